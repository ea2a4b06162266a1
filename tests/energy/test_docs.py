"""The figures in docs/energy.md are what the code computes."""

from __future__ import annotations

import doctest
from pathlib import Path


def test_the_figures_of_the_energy_page() -> None:
    page = Path(__file__).parents[2] / "docs" / "energy.md"
    known = {"counts_folder": page.parent / "counts"}
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8", globs=known)
    assert result.attempted >= 15 and result.failed == 0
