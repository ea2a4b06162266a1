"""Lava in a virtual environment of its own: it never meets the core's process, and torch never meets it.

lava-nc 0.10.0 declares Python < 3.11 and NumPy < 2. It runs on newer ones with the three mends of
``package/snncc_lava/shim.py``, so there it is installed without its declared dependencies, and they are named here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from snncc.errors import TargetError
from snncc.files import folder_written_beside
from snncc.targets.loihi_sim.limits import LAVA_VERSION

FOLDER_VARIABLE = "SNNCC_LAVA"
SETUP_COMMAND = "snncc setup loihi-sim"
LAVA = f"lava-nc=={LAVA_VERSION}"
DEPENDENCIES = ("numpy==2.4.6", "scipy==1.17.1", "scikit-learn==1.9.1", "asteval==1.0.10", "networkx==3.6.1")
"""What lava-nc's METADATA names, in versions tried with it on Python 3.11, 3.12 and 3.13."""
LAST_DECLARED_PYTHON = (3, 10)
INSTALL_TIMEOUT_S = 1800.0
_RECORD = "snncc-lava.json"
_TAIL_CHARACTERS = 2000


@dataclass(frozen=True)
class LavaInstall:
    """Where Lava is: the folder of its environment, the Python that has it, its version."""

    folder: Path
    python: Path
    version: str


def default_folder() -> Path:
    """``$SNNCC_LAVA``, else a folder of the user's data directory (XDG base directory specification)."""
    if given := os.environ.get(FOLDER_VARIABLE):
        return Path(given).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    base = Path(data) if data and Path(data).is_absolute() else Path.home() / ".local" / "share"
    return base / "snncc" / f"lava-nc-{LAVA_VERSION}"


def find_lava(folder: Path | None = None) -> LavaInstall | None:
    """The installed Lava, or None. Any virtual environment that holds lava-nc will do; nothing is executed to find out."""
    folder = folder or default_folder()
    python = folder / "bin" / "python"
    if not python.exists():
        return None
    for packages in folder.glob("lib/python*/site-packages"):
        for found in packages.glob("lava_nc-*.dist-info"):
            return LavaInstall(folder, python, found.name.removeprefix("lava_nc-").removesuffix(".dist-info"))
    return None


def require_lava() -> LavaInstall:
    """:func:`find_lava`, or a :class:`TargetError` that says how to get it."""
    found = find_lava()
    if found is None:
        raise TargetError(
            f"loihi-sim: Lava is not installed in {default_folder()}; run `{SETUP_COMMAND}`, "
            f"or point {FOLDER_VARIABLE} at an environment that has {LAVA}"
        )
    if found.version != LAVA_VERSION:
        raise TargetError(
            f"loihi-sim: {found.folder} holds lava-nc {found.version}; {LAVA_VERSION} is needed: run `{SETUP_COMMAND}`"
        )
    return found


def install(
    folder: Path | None = None, python: Path | None = None, progress: Callable[[str], None] | None = None
) -> Path:
    """Install Lava into ``folder`` (default: :func:`default_folder`) for ``python`` (default: this one); the folder.

    An environment already there is replaced, once the new one is whole. Raises :class:`TargetError` with the end of the
    installer's output where a step fails.
    """
    folder = (folder or default_folder()).absolute()
    tell = progress or (lambda _: None)
    if sys.platform == "win32":
        raise TargetError("loihi-sim: Lava forks its Processes, which Windows cannot; use Linux or macOS")
    if folder.exists() and find_lava(folder) is None and any(folder.iterdir()):
        raise TargetError(f"loihi-sim: {folder} holds something else; give an empty folder in {FOLDER_VARIABLE}")
    base = str(python or sys.executable)
    version = _version_of(base)
    with folder_written_beside(folder) as beside:
        tell(f"an environment for Python {version[0]}.{version[1]}")
        _run([base, "-m", "venv", str(beside)], "creating a virtual environment")
        pip = [str(beside / "bin" / "python"), "-I", "-m", "pip", "install", "--disable-pip-version-check", "-q"]
        if version <= LAST_DECLARED_PYTHON:
            tell(f"{LAVA} and what it declares")
            _run([*pip, LAVA], f"installing {LAVA}")
        else:
            tell(", ".join(DEPENDENCIES))
            _run([*pip, *DEPENDENCIES], "installing Lava's dependencies")
            tell(LAVA)
            _run([*pip, "--no-deps", "--ignore-requires-python", LAVA], f"installing {LAVA}")
        for packages in beside.glob("lib/python*/site-packages"):
            shutil.rmtree(packages / "tests", ignore_errors=True)  # lava-nc's wheel drops its own tests there
        record = {"lava-nc": LAVA_VERSION, "python": ".".join(map(str, version)), "dependencies": list(DEPENDENCIES)}
        (beside / _RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    tell(f"installed in {folder}")
    return folder


def clean_environment() -> dict[str, str]:
    """The environment variables for Lava's Python: none that would lead it to other packages."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}


def _version_of(python: str) -> tuple[int, int]:
    output = _run([python, "-I", "-c", "import sys; print(*sys.version_info[:2])"], f"asking {python} for its version")
    major, minor = output.split()[-2:]
    return int(major), int(minor)


def _run(command: Sequence[str], doing: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, env=clean_environment(), check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TargetError(f"loihi-sim: {doing} failed: {error}") from error
    if done.returncode:
        raise TargetError(f"loihi-sim: {doing} failed:\n{(done.stdout + done.stderr)[-_TAIL_CHARACTERS:].strip()}")
    return done.stdout
