"""Finding and installing Lava, without the network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from snncc.errors import TargetError
from snncc.targets.loihi_sim import setup as lava_setup

VERSION = lava_setup.LAVA_VERSION


def fake_install(folder: Path, version: str = VERSION) -> Path:
    """A folder that looks like an environment with lava-nc."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text("")
    (folder / "lib" / "python3.11" / "site-packages" / f"lava_nc-{version}.dist-info").mkdir(parents=True)
    return folder


def test_the_folder_is_the_variable_or_the_users_data_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SNNCC_LAVA", str(tmp_path / "here"))
    assert lava_setup.default_folder() == tmp_path / "here"
    monkeypatch.delenv("SNNCC_LAVA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert lava_setup.default_folder() == tmp_path / "snncc" / f"lava-nc-{VERSION}"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")  # not allowed by the specification
    assert lava_setup.default_folder() == Path.home() / ".local" / "share" / "snncc" / f"lava-nc-{VERSION}"


def test_an_environment_with_lava_is_found_and_others_are_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "lava"
    monkeypatch.setenv("SNNCC_LAVA", str(folder))
    assert lava_setup.find_lava() is None
    with pytest.raises(TargetError, match="snncc setup loihi-sim"):
        lava_setup.require_lava()
    fake_install(folder)
    assert lava_setup.require_lava() == lava_setup.LavaInstall(folder, folder / "bin" / "python", VERSION)
    monkeypatch.setenv("SNNCC_LAVA", str(fake_install(tmp_path / "old", "0.9.0")))
    with pytest.raises(TargetError, match=r"holds lava-nc 0\.9\.0"):
        lava_setup.require_lava()


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(TargetError, match="holds something else"):
        lava_setup.install(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(("version", "expected"), [("3 10", [["lava-nc==0.10.0"]]), ("3 12", None)])
def test_what_is_installed_for_which_python(
    version: str, expected: list[list[str]] | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if "venv" in command:
            (Path(command[-1]) / "lib" / "python3.12" / "site-packages" / "tests").mkdir(parents=True)
        if "pip" in command:
            asked.append(command[command.index("-q") + 1 :])
        return subprocess.CompletedProcess(command, 0, version, "")

    monkeypatch.setattr(subprocess, "run", run)
    folder = lava_setup.install(tmp_path / "lava", Path(sys.executable))
    modern = [list(lava_setup.DEPENDENCIES), ["--no-deps", "--ignore-requires-python", "lava-nc==0.10.0"]]
    assert asked == (expected or modern)
    assert not any("torch" in word for words in asked for word in words)
    assert not list(folder.rglob("tests")) and (folder / "snncc-lava.json").is_file()


def test_a_failed_installation_leaves_nothing_and_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        failed = "pip" in command
        return subprocess.CompletedProcess(command, int(failed), "3 12", "no network" if failed else "")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(TargetError, match=r"(?s)installing Lava's dependencies failed:.*no network"):
        lava_setup.install(tmp_path / "lava", Path(sys.executable))
    assert list(tmp_path.iterdir()) == []
