"""Where the files of the named data sets are found: the user's data folder, the cache, or the set's own home."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snncc.errors import InputError

DATA_VARIABLE = "SNNCC_DATA"
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Source:
    """One data set on the network.

    Attributes:
        name: the set's name and the folder it lies in.
        homes: folders to download from, tried in order.
        md5: file name to the MD5 its authors published.
    """

    name: str
    homes: tuple[str, ...]
    md5: Mapping[str, str]


MNIST = Source(
    "mnist",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
    {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
)
FASHION_MNIST = Source(
    "fashion-mnist",
    ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
)
CIFAR10 = Source(
    "cifar10",
    ("https://www.cs.toronto.edu/~kriz/",),
    {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
)


def cache_folder() -> Path:
    """The user's cache folder for downloads (``$XDG_CACHE_HOME/snncc`` or ``~/.cache/snncc``)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "snncc"


def find_file(source: Source, file: str) -> Path:
    """Path of one file of a set: ``$SNNCC_DATA/<set>/<file>``, else the cache, else downloaded into the cache.

    Raises :class:`InputError` where the file is nowhere and cannot be downloaded.
    """
    folder = os.environ.get(DATA_VARIABLE)
    if folder and (own := Path(folder) / source.name / file).is_file():
        return own
    cached = cache_folder() / source.name / file
    if not cached.is_file():
        _download(source, file, cached)
    return cached


def folder_of(name: str) -> Path:
    """The folder of a set that is never downloaded: ``$SNNCC_DATA/<name>``, else the one in the cache."""
    folder = os.environ.get(DATA_VARIABLE)
    return (Path(folder) if folder else cache_folder()) / name


def _download(source: Source, file: str, target: Path) -> None:
    """Fetch ``file`` from the first home that has it unaltered; written beside ``target``, then renamed."""
    failures: list[str] = []
    for home in source.homes:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                part = Path(folder) / file
                request = urllib.request.urlopen(home + file, timeout=TIMEOUT_SECONDS)
                with request as response, part.open("wb") as stream:
                    shutil.copyfileobj(response, stream)
                found = hashlib.md5(part.read_bytes(), usedforsecurity=False).hexdigest()
                if found == source.md5[file]:
                    part.replace(target)
                    return
            failures.append(f"{home}: MD5 is {found}, published is {source.md5[file]}")
        except (OSError, urllib.error.URLError) as error:
            failures.append(f"{home}: {getattr(error, 'reason', error)}")
    raise InputError(
        f"{source.name}: {file} is not on this machine and could not be downloaded ({'; '.join(failures)}). "
        f"Put {', '.join(source.md5)} into a folder {source.name}/ and point {DATA_VARIABLE} at its parent"
    )
