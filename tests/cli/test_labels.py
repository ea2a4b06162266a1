"""Labels that are no class of the network are refused wherever an accuracy is made of them, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncc.accuracy import check_labels
from snncc.errors import InputError
from snncc.testing import asked, deploy
from tests.cli.small_network import SAMPLES, write_network


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_network(tmp_path_factory.mktemp("labels"))


def relabelled(files: tuple[Path, Path], labels: np.ndarray) -> Path:
    with np.load(files[1]) as data:
        path = files[1].with_name("other.npz")
        np.savez(path, x=data["x"], y=labels)
    return path


OTHER = {
    "beyond": (np.arange(SAMPLES) % 6 + 100, "y spans 100..105; the network has classes 0..2: number them so"),
    "from-1": (np.arange(SAMPLES) % 3 + 1, "y spans 1..3; the network has classes 0..2"),
    "negative": (np.arange(SAMPLES) % 3 - 1, "y spans -1..1; the network has classes 0..2"),
    "wrapped": (np.full(SAMPLES, 2**63, np.uint64), "y reaches 9223372036854775808; labels are classes"),
}


@pytest.mark.parametrize("kind", OTHER)
def test_every_verb_that_judges_refuses_them(snncc: Any, files: tuple[Path, Path], tmp_path: Path, kind: str) -> None:
    labels, message = OTHER[kind]
    data = relabelled(files, labels)
    verbs = (
        ("verify", "--bits", 2, "--max-accuracy-drop", 0.5),
        ("profile",),
        ("compile", "--budget-accuracy", 1, "--calibrate", data, "--calibration-samples", 2, "-o", tmp_path / "made"),
        ("diff", "--stages"),
    )
    for verb, *options in verbs:
        where = () if verb == "compile" else ("--data", data)
        code, _, err = snncc(verb, files[0], "-t", "fixed-sim", *where, *options)
        assert code == 2 and f"{data}: {message}" in err, (verb, err)
    with pytest.raises(InputError, match=message[:20]):
        deploy(asked({"model": files[0], "data": data})).verify()


def test_where_labels_do_not_matter_they_may_be_anything(snncc: Any, files: tuple[Path, Path], tmp_path: Path) -> None:
    data = relabelled(files, OTHER["beyond"][0])
    options = ("--calibrate", data, "--record", data, "-o", tmp_path / "made")
    assert snncc("compile", files[0], "-t", "fixed-sim", *options)[0] == 0


@given(
    st.lists(st.integers(-3, 6), min_size=1, max_size=6),
    st.integers(1, 5),
    st.booleans(),
)
def test_classes_are_numbered_from_0_and_a_step_may_have_none(values: list[int], classes: int, steps: bool) -> None:
    labels = np.array([values] if steps else values)
    if all((-1 if steps else 0) <= value < classes for value in values):
        check_labels("own.npz", labels, classes)
        return
    none = ", and -1 is a step without one" if steps else ""
    said = (
        rf"own\.npz: y spans {min(values)}\.\.{max(values)}; the network has classes 0\.\.{classes - 1}{none}: number"
    )
    with pytest.raises(InputError, match=said):
        check_labels("own.npz", labels, classes)
