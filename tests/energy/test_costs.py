"""Cost sets: what ships loads with its sources, and what is not cited or not sane does not load."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from snncc.energy.costs import DEFAULT_COSTS, ENERGY_COSTS, cost_sets, load_costs
from snncc.energy.record import constants
from snncc.energy.scopes import TERMS
from snncc.errors import InputError

GOOD = """format = 1
name = "mine"
title = "a chip"
chip = "loihi1"
grade = "D"
grade_reason = "invented for a test"

[energy.spike_out]
low = 1
typ = 2.5
high = 4
unit = "nJ"
kind = "assumed"
conditions = "0.75 V"
source = "nobody"
"""


def test_what_ships() -> None:
    assert cost_sets() == [
        "digital",
        "loihi1",
        "loihi1-davies2018",
        "loihi1-sanafe",
        "loihi2",
        "spinnaker1",
        "spinnaker2",
        "truenorth",
    ]
    for name in cost_sets():
        costs = load_costs(name)
        assert costs.name == name
        assert all(len(cost.source) > 20 and cost.conditions for cost in constants(costs).values())
        assert costs.sha256 == hashlib.sha256(Path(costs.file).read_bytes()).hexdigest()
    assert load_costs().name == DEFAULT_COSTS


def test_the_published_figures() -> None:
    davies, sanafe = load_costs("loihi1-davies2018").energy, load_costs("loihi1-sanafe").energy
    assert davies["neuron_access"].value.typ == 52 and davies["neuron_access"].kind == "spice"
    assert davies["neuron_access"].value.typ + davies["neuron_update"].value.typ == 81
    assert davies["neuron_update"].kind == "derived"
    assert {davies[f"synapse_{f}"].value.typ for f in ("dense", "sparse", "conv")} == {23.6}
    assert "spike_out" not in davies and "axon_in" not in davies
    picojoules = {name: cost.value.typ for name, cost in sanafe.items()}
    assert picojoules == {
        "neuron_access": 51.2,
        "neuron_update": 21.6,
        "spike_out": 69.3,
        "synapse_dense": 35.5,
        "synapse_sparse": 33.6,
        "synapse_conv": 24.0,
        "axon_in": 0.0,
        "axon_out": 111.0,
        "hop_east_west": 3.0,
        "hop_north_south": 4.2,
    }
    assert sanafe["neuron_access"].joules.typ == pytest.approx(51.2e-12, rel=1e-12)


def test_the_default_brackets_both_sets() -> None:
    default = load_costs("loihi1").energy
    for other in ("loihi1-davies2018", "loihi1-sanafe"):
        for name, cost in load_costs(other).energy.items():
            if name in default:
                assert default[name].value.low <= cost.value.low and cost.value.high <= default[name].value.high, name
    assert set(load_costs("loihi1-davies2018").energy) <= set(default)


def test_every_term_has_a_known_cost() -> None:
    assert {term.cost for term in TERMS} <= set(ENERGY_COSTS)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    for given in (path, str(path)):
        cost = load_costs(given).energy["spike_out"]
        assert (cost.joules.low, cost.joules.typ, cost.joules.high) == pytest.approx((1e-9, 2.5e-9, 4e-9))


def test_any_change_changes_the_hash(tmp_path: Path) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text(GOOD)
    other.write_text(GOOD.replace("2.5", "2.6"))
    assert load_costs(one).sha256 != load_costs(other).sha256


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('source = "nobody"\n', "", "energy.spike_out: source is None"),
        ('source = "nobody"', 'source = "  "', "energy.spike_out: source is '  '"),
        ('conditions = "0.75 V"\n', "", "energy.spike_out: conditions is None"),
        ("typ = 2.5", "typ = 5", "energy.spike_out: low 1.0, typ 5.0, high 4.0"),
        ("low = 1", "low = 3", "energy.spike_out: low 3.0, typ 2.5, high 4.0"),
        ("low = 1", "low = -1", "energy.spike_out: low is -1"),
        ("high = 4", "high = inf", "energy.spike_out: high is inf"),
        ("typ = 2.5", "typ = nan", "energy.spike_out: typ is nan"),
        ("typ = 2.5", "typ = true", "energy.spike_out: typ is True"),
        ("typ = 2.5", 'typ = "2.5"', "energy.spike_out: typ is '2.5'"),
        ("high = 4", "high = 1" + "0" * 400, "energy.spike_out: high is 1000"),
        ("typ = 2.5\n", "", "energy.spike_out: typ is None"),
        ('"nJ"', '"ns"', "energy.spike_out: unit is 'ns'"),
        ('"assumed"', '"guessed"', "energy.spike_out: kind is 'guessed'"),
        ("[energy.spike_out]", "[energy.spike_off]", "energy: 'spike_off' is unknown"),
        ("[energy.spike_out]", "[force.spike_out]", "'force' is unknown"),
        ("[energy.spike_out]", "[power.spike_out]", "power: 'spike_out' is unknown"),
        ("[energy.spike_out]", "[time.spike_out]", "time.spike_out: unit is 'nJ'; it must be one of"),
        ("[energy.spike_out]", "[[curve.add]]", "curve.add: at is None"),
        ("[energy.spike_out]", "[[curve.add]]\nat = 0", "curve.add: at is 0; it must be more than 0"),
        ("[energy.spike_out]", "[curve.add]", "curve.add: is {"),
        ("[energy.spike_out]", "[[curve.sub]]", "curve: 'sub' is unknown"),
        ("[energy.spike_out]", "[core]\nweight_bits = 8\n[energy.spike_out]", "core: state_bits is None"),
        (
            "[energy.spike_out]",
            "[core]\nweight_bits = 8\nstate_bits = 8\nweight_bytes = 8\nstate_bytes = 8\n[energy.spike_out]",
            "[core] needs [[curve.add]]",
        ),
        ('source = "nobody"', 'source = "nobody"\nsauce = 1', "energy.spike_out: 'sauce' is unknown"),
        ('grade = "D"', 'grade = "E"', "grade is 'E'"),
        ("format = 1", "format = 2", "format is 2"),
        ("format = 1", "format = ", "no readable TOML"),
    ],
)
def test_bad_files_name_the_entry(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = tmp_path / "mine.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(InputError) as caught:
        load_costs(path)
    assert str(path) in str(caught.value) and told in str(caught.value)


def test_a_bare_figure_does_not_load(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.split("[energy")[0] + "[energy]\nspike_out = 2.5\n")
    with pytest.raises(InputError, match="a bare figure has no source"):
        load_costs(path)
    path.write_text(GOOD.split("[energy")[0])
    with pytest.raises(InputError, match="holds no"):
        load_costs(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a cost set"):
        load_costs("loihi9")
    with pytest.raises(InputError, match="neither a cost set"):
        load_costs(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no readable TOML"):
        load_costs(binary)
    deep = tmp_path / "deep.toml"
    deep.write_text("a = " + "[" * 100_000)
    with pytest.raises(InputError, match="no readable TOML"):
        load_costs(deep)
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(InputError, match="1,048,577 bytes"):
        load_costs(large)


def test_the_published_times_and_powers() -> None:
    """Of docs/energy.md's sources, in ns and mW."""
    davies, sanafe, loihi = (load_costs(name) for name in ("loihi1-davies2018", "loihi1-sanafe", "loihi1"))
    nanoseconds = {name: cost.value.typ for name, cost in sanafe.time.items()}
    assert nanoseconds == {
        "neuron_access": 6.0,
        "neuron_update": 3.7,
        "spike_out": 30.0,
        "synapse_dense": 3.8,
        "synapse_sparse": 4.7,
        "synapse_conv": 3.1,
        "axon_in": 16.0,
        "axon_out": 5.1,
        "hop_east_west": 4.1,
        "hop_north_south": 6.5,
    }
    assert davies.time["neuron_access"].value.typ + davies.time["neuron_update"].value.typ == pytest.approx(8.4)
    assert [(c.at, c.si.typ) for c in davies.curves["synchronisation"]] == [
        (1, pytest.approx(113e-9)),
        (32, pytest.approx(465e-9)),
    ]
    assert [(c.at, c.value.typ) for c in sanafe.curves["synchronisation"]][:4] == [
        (1, 0.6),
        (2, 1.0),
        (4, 1.4),
        (29, 1.8),
    ]
    core, management = loihi.power["core"].si, loihi.power["management"].si
    assert (core.low, core.typ, core.high) == pytest.approx((0.38e-3, 0.6e-3, 0.82e-3))
    assert (management.low, management.typ, management.high) == pytest.approx((20e-3, 22e-3, 65e-3))
    assert not davies.power and not sanafe.power, "nobody publishes them with these sets"
    assert "chip" not in loihi.power and "board" not in loihi.power


def test_the_suggested_set_brackets_the_published_ones() -> None:
    """Wherever two sets publish a figure, the default's interval holds both (its synapse times end at SANA-FE's formats)."""
    loihi = load_costs("loihi1")
    for name in ("loihi1-davies2018", "loihi1-sanafe"):
        other = load_costs(name)
        for section in ("energy", "time"):
            ours, theirs = loihi.sections()[section], other.sections()[section]
            for entry in theirs.keys() & ours.keys():
                assert ours[entry].si.low <= theirs[entry].si.typ <= ours[entry].si.high, (name, section, entry)


def test_loihi2_is_loihi1_scaled_and_says_that_it_is_assumed() -> None:
    one, two = load_costs("loihi1"), load_costs("loihi2")
    assert two.grade == "D" and "assumed" in two.title and "no energy or time" in two.grade_reason
    ours, theirs = constants(two), constants(one)
    assert ours.keys() == theirs.keys()
    for name, cost in ours.items():
        value = theirs[name].si
        assert cost.kind == "assumed"
        assert (cost.si.low, cost.si.typ, cost.si.high) == pytest.approx(
            (0.3 * value.low, value.typ, 1.5 * value.high), rel=1e-5, abs=0
        )


def test_points_of_a_curve_rise(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    point = GOOD.split("[energy.spike_out]")[1].replace("nJ", "ns")
    path.write_text(GOOD + "".join(f"\n[[curve.synchronisation]]\nat = {at}{point}" for at in (1, 4)))
    assert [c.at for c in load_costs(path).curves["synchronisation"]] == [1, 4]
    path.write_text(GOOD + "".join(f"\n[[curve.synchronisation]]\nat = {at}{point}" for at in (4, 1)))
    with pytest.raises(InputError, match=r"curve.synchronisation: at \(tiles\) runs 4, 1; it must rise"):
        load_costs(path)
