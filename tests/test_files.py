"""Files and folders are written whole or not at all, whoever else writes and whatever happens meanwhile."""

from __future__ import annotations

import io
import multiprocessing
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from snncc import files
from snncc.errors import InputError
from snncc.files import folder_written_beside, load_arrays, written_beside


def _write(folder: Path, text: str) -> None:
    with folder_written_beside(folder) as beside:
        for name in ("a", "b"):
            (beside / name).write_text(text)


def _write_often(folder: Path, text: str) -> None:
    for _ in range(50):
        _write(folder, text)


def test_processes_that_write_one_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=_write_often, args=(tmp_path / "out", str(i))) for i in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [w.exitcode for w in writers] == [0, 0, 0]
    assert (tmp_path / "out" / "a").read_text() == (tmp_path / "out" / "b").read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_the_old_folder_stays_where_the_last_step_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    _write(tmp_path / "out", "old")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise error
        return rename(self, target)

    monkeypatch.setattr(files.Path, "rename", fail)
    with pytest.raises(type(error)):
        _write(tmp_path / "out", "new")
    assert (tmp_path / "out" / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_a_dead_process_of_our_number_left_is_cleared(tmp_path: Path) -> None:
    _write(tmp_path / "out", "old")
    for kind in ("part", "old"):
        left = tmp_path / f".out.{os.getpid()}.{kind}"
        left.mkdir()
        (left / "a").write_text("left")
    _write(tmp_path / "out", "new")
    assert (tmp_path / "out" / "a").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_only_regular_files_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(InputError, match="no regular file"), written_beside(tmp_path / name):
            pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "pipe"]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with written_beside(tmp_path / "link") as beside:
        beside.write_text("new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == "new"


def test_an_archive_of_zeros_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """8 MiB in 8 KB; the limit that holds at 512 MiB is lowered, to keep the test light."""
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(1 << 23, np.uint8))
    assert load_arrays(tmp_path / "a.npz")["x"].size == 1 << 23
    monkeypatch.setattr(files, "MAX_UNPACKED_BYTES", 1 << 20)
    with pytest.raises(InputError, match="unpacks to 8,388,736 bytes; the limit is 1,048,576"):
        load_arrays(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=np.zeros(1 << 21, np.uint8))  # in proportion to the file
    assert load_arrays(tmp_path / "b.npz")["x"].size == 1 << 21


def test_a_directory_of_a_hundred_thousand_entries_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", b"")
    one = buffer.getvalue()
    start, end = one.index(b"PK\x01\x02"), one.index(b"PK\x05\x06")
    directory = one[start:end] * 100_000
    tail = bytearray(one[end:])
    tail[12:16] = len(directory).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(one[:start] + directory + tail)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(InputError, match="directory has 5,100,000 bytes; the limit is 4,194,304"):
        load_arrays(tmp_path / "a.npz")
