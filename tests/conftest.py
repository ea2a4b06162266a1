"""Test profiles, and golden texts.

``HYPOTHESIS_PROFILE=search`` draws other examples in every run, ``SNNCC_EXAMPLES=20`` twenty times as many;
``SNNCC_UPDATE_GOLDEN=1`` writes the golden files anew instead of comparing with them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_SLOW_START = [HealthCheck.too_slow, HealthCheck.data_too_large]  # the first example compiles kernels
_GOLDEN = Path(__file__).parent / "golden"

settings.register_profile("ci", derandomize=True, max_examples=40, deadline=None, suppress_health_check=_SLOW_START)
settings.register_profile("search", max_examples=40, deadline=None, suppress_health_check=_SLOW_START)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """``golden(name, text)``: the text must be that of ``tests/golden/name.txt``."""

    def compare(name: str, text: str) -> None:
        path = _GOLDEN / f"{name}.txt"
        if os.environ.get("SNNCC_UPDATE_GOLDEN"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), (
            f"{path.name} differs; SNNCC_UPDATE_GOLDEN=1 accepts the new text"
        )

    return compare


@pytest.fixture(scope="session")
def lava() -> None:
    """Skips where Lava is not installed; ``make test`` installs it."""
    from snncc.targets.loihi_sim.setup import find_lava

    if find_lava() is None:
        pytest.skip("Lava is not installed: snncc setup loihi-sim")
