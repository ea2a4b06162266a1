"""A digital core from its parts, against the formulas of its module worked by hand, and interpolation between published points."""

from __future__ import annotations

from pathlib import Path

import pytest

from snncc.energy.costs import load_costs
from snncc.energy.digital import on_curve
from snncc.errors import InputError


def test_the_core_that_ships_by_hand() -> None:
    """8-bit weights in 32 KB (0.3125 pJ a bit), 32-bit states in 8 KB (0.156 pJ a bit), Horowitz's additions at 32 bits."""
    energy = {name: cost.si.typ * 1e12 for name, cost in load_costs("digital").energy.items()}
    assert energy == {
        "neuron_access": pytest.approx(32 * 0.156 + 0.1),
        "neuron_update": pytest.approx(3.1 + 0.1 + 32 * 0.156),
        **dict.fromkeys(
            ("synapse_dense", "synapse_sparse", "synapse_conv"), pytest.approx(8 * 0.3125 + 2 * 32 * 0.156 + 0.1)
        ),
    }


def test_memory_is_interpolated_over_the_logarithm_of_capacity() -> None:
    points = load_costs("digital").curves["sram_bit"]
    assert on_curve(points, 8192).typ * 1e12 == pytest.approx(0.156)  # type: ignore[union-attr]
    assert on_curve(points, 16384).typ * 1e12 == pytest.approx((0.156 + 0.3125) / 2)  # type: ignore[union-attr]
    assert on_curve(points, 65536).typ * 1e12 == pytest.approx(0.3125 + (1.56 - 0.3125) / 5)  # type: ignore[union-attr]
    assert on_curve(points, 4096) is None and on_curve(points, 2**21) is None


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = Path(load_costs("digital").file).read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new))
    return path


def test_another_core(tmp_path: Path) -> None:
    """Narrower states add and multiply for less; a width that is not published is priced as the next wider one."""
    ours = load_costs("digital").energy
    narrow = load_costs(changed(tmp_path, "state_bits = 32", "state_bits = 8")).energy
    assert narrow["neuron_update"].si.typ * 1e12 == pytest.approx(0.2 + 0.03 + 8 * 0.156)
    between = load_costs(changed(tmp_path, "state_bits = 32", "state_bits = 12")).energy
    assert between["neuron_update"].si.typ * 1e12 == pytest.approx(3.1 + 0.1 + 12 * 0.156)
    larger = load_costs(changed(tmp_path, "weight_bytes = 32768", "weight_bytes = 1048576")).energy
    more = larger["synapse_conv"].si.typ - ours["synapse_conv"].si.typ
    assert more * 1e12 == pytest.approx(8 * (1.56 - 0.3125))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("state_bits = 32", "state_bits = 64", "64 bits are wider than the widest curve.add, 32"),
        ("state_bytes = 8192", "state_bytes = 4096", "4096 bytes lie outside curve.sram_bit"),
    ],
)
def test_a_core_beyond_the_published_figures_does_not_load(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        load_costs(changed(tmp_path, old, new))
