"""Every limit of every core, checked neuron by neuron against the chip's own file; refusals that list every reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from brute import Neuron, limits_of, usage
from hypothesis import assume, given
from hypothesis import strategies as st
from integer_networks import programs
from networks import examples, seeds

from snncc.chip.footprint import CORE_LIMITS, ids_of
from snncc.chip.partition import Partition, partition
from snncc.chip.spec import Chip, chips, load_chip
from snncc.program.program import EXACT, Population, Program, Projection, Readout, Source


def where(made: Partition) -> dict[Neuron, int]:
    """(population, neuron) to core; no neuron is left out or held twice."""
    found: dict[Neuron, int] = {}
    for core, box in enumerate(made.cores):
        shape = made.program.population(box.population).shape
        ids = ids_of(box, shape if len(shape) == 3 else (int(np.prod(shape)), 1, 1))  # type: ignore[arg-type]
        for i in ids:
            assert found.setdefault((box.population, int(i)), core) == core
    assert len(found) == sum(p.size for p in made.program.populations) == sum(b.size for b in made.cores)
    return found


def assert_respects(made: Partition, limits: dict[str, int | str]) -> None:
    counted = usage(made.program, where(made), limits)
    assert sorted(counted) == list(range(len(made.cores)))
    for core, taken in counted.items():
        assert dict(made.taken[core]) == taken, made.cores[core]
        for name in CORE_LIMITS:
            limit = limits[name]
            assert not isinstance(limit, int) or taken[name] <= limit, (made.cores[core], name)


def tight(tmp: Path, **limits: int) -> tuple[Chip, dict[str, int | str]]:
    """Loihi 1 with other limits."""
    text = chips()["loihi1"].read_text(encoding="utf-8")
    for name, value in limits.items():
        head, _, rest = text.partition(f"[limits.{name}]\n")
        _, _, rest = rest.partition("\n")
        text = f"{head}[limits.{name}]\nvalue = {value}\n{rest}"
    path = tmp / "tight.toml"
    path.write_text(text, encoding="utf-8")
    return load_chip(path), limits_of(path)


WIDE = {"weight_bits": 64, "spike_bits": 64, "delay": 64}


@given(st.data(), programs(EXACT), seeds)
@examples(40)
def test_random_programs(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, p: Program, seed: int) -> None:
    """Every limit holds, or a neuron that no core can hold is named; and the other way round."""
    p = replace(p, projections=tuple(q for q in p.projections if q.pool is None))
    assume(p.projections)
    rng = np.random.default_rng(seed)
    sizes = {
        "neurons_per_core": int(rng.choice([1, 3, 8, 100])),
        "input_axons_per_core": int(rng.choice([3, 8, 16, 100])),
        "output_axons_per_core": int(rng.choice([4, 16, 60, 1000])),
        "synapse_bits_per_core": int(rng.choice([40, 300, 1000, 10**6])),
        "neuron_profiles_per_core": int(rng.integers(1, 4)),
        "threshold_profiles_per_core": int(rng.integers(1, 4)),
        "synapse_profiles_per_core": int(rng.integers(1, 4)),
    }
    chip, limits = tight(tmp_path_factory.mktemp("chip"), **sizes, **WIDE)
    made, findings = partition(p, chip)
    neurons = [(q.name, i) for q in p.populations for i in range(q.size)]
    alone = usage(p, {n: core for core, n in enumerate(neurons)}, limits)
    # An output axon a neuron depends on how its targets are cut; the others do not depend on any cut.
    names = [n for n in CORE_LIMITS if n != "output_axons_per_core"]
    wanted = {
        neurons[core][0] for core, taken in alone.items() for n in names if taken[n] > int(limits[n])
    }  # fmt: skip
    refused = {f.layer for f in findings}
    assert wanted <= refused
    if made is None:
        assert findings
        assert all("a core's neuron" in f.what for f in findings if f.layer not in wanted)
    else:
        assert_respects(made, limits)


def population(name: str, *shape: int, **fields: object) -> Population:
    zero = np.asarray(0)
    made = Population(name, shape, np.asarray(64), np.asarray(4096), zero, zero, np.asarray(64), zero)
    return replace(made, **fields)  # type: ignore[arg-type]


def convolutions(rng: np.random.Generator, channels: int = 6) -> Program:
    """Spikes 2×9×7 → convolution, stride 1 → convolution of two groups, stride 2 → dense."""
    source = Source("in", (2, 9, 7), "spikes", 0, 1)
    populations = (population("a", channels, 9, 7), population("b", 4, 5, 4), population("c", 11))
    weights = [rng.integers(-90, 90, s) for s in ((channels, 2, 3, 3), (4, channels // 2, 3, 3), (11, 80))]
    projections = (
        Projection("in-a", "in", "a", "conv", weights[0], padding=(1, 1)),
        Projection("a-b", "a", "b", "conv", weights[1], padding=(1, 1), stride=(2, 2), groups=2),
        Projection("b-c", "b", "c", "dense", weights[2]),
    )
    return Program("net", 4, EXACT, source, populations, projections, Readout("c", "spike_count"))


@pytest.mark.parametrize("axons", [40, 80, 4096])
@pytest.mark.parametrize("neurons", [7, 64, 1024])
def test_convolutions_are_cut_in_space_and_channels(tmp_path: Path, axons: int, neurons: int) -> None:
    chip, limits = tight(tmp_path, input_axons_per_core=axons, neurons_per_core=neurons)
    made, findings = partition(convolutions(np.random.default_rng(1)), chip)
    if axons == 40:  # the dense layer hears 80 neurons
        assert [(f.layer, f.actual, f.limit) for f in findings] == [("c", "80", "40 axons")]
    else:
        assert made is not None and not findings
        assert_respects(made, limits)
        spread = {(box.rows, box.columns) for box in made.cores if box.population == "a"}
        assert len(spread) > 1 or axons > 126  # what all positions together hear


def test_the_fewest_cores(tmp_path: Path) -> None:
    """A dense layer alone: synapse memory decides, to the neuron."""
    source = Source("in", (100,), "spikes", 0, 1)
    weight = np.full((30, 100), -100)
    weight[0, 0] = 99
    for bits, cores in ((8 * 100 * 10, 3), (8 * 100 * 10 - 1, 4), (8 * 100 * 30, 1), (8 * 100, 30)):
        chip, _ = tight(tmp_path, synapse_bits_per_core=bits)
        p = Program(
            "net", 2, EXACT, source, (population("n", 30),), (Projection("w", "in", "n", "dense", weight),),
            Readout("n", "spike_count"),
        )  # fmt: skip
        made, _ = partition(p, chip)
        assert made is not None and len(made.cores) == cores


def test_static_inputs_take_nothing() -> None:
    p = replace(convolutions(np.random.default_rng(2)), source=Source("in", (2, 9, 7), "static", 0, 255))
    made, findings = partition(p, load_chip("loihi1"))
    assert made is not None and not findings
    for box, taken in zip(made.cores, made.taken, strict=True):
        assert (taken["input_axons_per_core"] == taken["synapse_bits_per_core"] == 0) == (box.population == "a")


def test_all_reasons_at_once(tmp_path: Path) -> None:
    """Wide weights, wide spikes, a long delay, pooling, too many axons, too much memory: each with layer, actual and limit."""
    source = Source("in", (20,), "frames", -3, 9)
    weight = np.arange(60).reshape(3, 20) * 301 - 5000
    projections = (
        Projection("w", "in", "n", "dense", weight),
        Projection("loop", "n", "n", "dense", np.eye(3, dtype=np.int64), delay=7),
        Projection("m", "n", "o", "dense", np.ones((5, 3), np.int64)),
    )
    populations = (population("n", 3, levels=4), population("o", 5))
    p = Program("net", 2, EXACT, source, populations, projections, Readout("o", "spike_count"))
    chip, _ = tight(tmp_path, input_axons_per_core=22, synapse_bits_per_core=200, delay=6)
    made, findings = partition(p, chip)
    assert made is None
    said = {(f.layer, f.actual.split(",")[0].split(" ")[0], f.limit.split(" ")[0]) for f in findings}
    assert ("w", "15", "8") in said and ("loop", "7", "6") in said and ("n", "0..4", "1") in said
    assert ("in", "-3..9", "1") in said and ("n", "23", "22") in said and ("n", "303", "200") in said
    assert all(f.remedy for f in findings) and len(findings) == 6


def test_pooling_has_no_form() -> None:
    source = Source("in", (1, 6, 6), "spikes", 0, 1)
    q = Projection("w", "in", "n", "conv", np.ones((1, 1, 3, 3), np.int64), pool=(2, 2), pool_stride=(2, 2))
    p = Program("net", 2, EXACT, source, (population("n", 1, 2, 2),), (q,), Readout("n", "spike_count"))
    _, findings = partition(p, load_chip("unlimited"))
    assert [f.layer for f in findings] == ["w"]


def test_too_many_chips(tmp_path: Path) -> None:
    chip, _ = tight(tmp_path, neurons_per_core=1, chips=2)
    made, findings = partition(convolutions(np.random.default_rng(3)), chip)
    assert made is None and findings[-1].actual == f"{6 * 63 + 80 + 11} cores, 4 chips of 128"


def test_unlimited_gives_each_population_a_core() -> None:
    made, findings = partition(convolutions(np.random.default_rng(4)), load_chip("unlimited"))
    assert made is not None and not findings and [b.population for b in made.cores] == ["a", "b", "c"]


def layered(*projections: Projection, sizes: dict[str, int], **fields: object) -> Program:
    """Spikes of three neurons into populations of these sizes; ``fields``: of the population a."""
    source = Source("in", (3,), "spikes", 0, 1)
    entry = Projection("in-a", "in", "a", "dense", np.ones((sizes["a"], 3), np.int64))
    made = tuple(population(n, size, **(fields if n == "a" else {})) for n, size in sizes.items())
    return Program("net", 2, EXACT, source, made, (entry, *projections), Readout(list(sizes)[-1], "spike_count"))


def test_output_axons_cut_the_layer_that_sends(tmp_path: Path) -> None:
    """b is on four cores, so each of the twelve neurons of a takes four output axons, and a core of nine has two of them."""
    p = layered(Projection("a-b", "a", "b", "dense", np.ones((8, 12), np.int64)), sizes={"a": 12, "b": 8})
    chip, limits = tight(tmp_path, synapse_bits_per_core=24, output_axons_per_core=9)
    made, findings = partition(p, chip)
    assert made is not None and not findings
    assert_respects(made, limits)
    assert [b.size for b in made.cores] == [2] * 6 + [2] * 4


def test_a_loop_of_its_own_counts_as_many_listeners_as_it_has_cores(tmp_path: Path) -> None:
    """Ten neurons that hear themselves: n cores give each n output axons; three or four cores have one of 12, five of 10."""
    p = layered(Projection("a-a", "a", "a", "dense", np.ones((10, 10), np.int64), delay=1), sizes={"a": 10})
    chip, limits = tight(tmp_path, neurons_per_core=4, output_axons_per_core=10)
    made, findings = partition(p, chip)
    assert made is not None and not findings and [b.size for b in made.cores] == [2] * 5
    assert_respects(made, limits)
    chip, _ = tight(tmp_path, neurons_per_core=4, output_axons_per_core=9)
    made, findings = partition(p, chip)
    assert made is None and [(f.layer, f.actual, f.limit) for f in findings] == [("a", "10", "9 axons")]
    assert "one neuron alone" in findings[0].what


def test_a_core_at_the_edge_may_need_more_than_those_in_the_middle(tmp_path: Path) -> None:
    """The first neurons have a threshold each, the others share one: where a core may have two, the layer is cut for the first."""
    p = layered(sizes={"a": 12}, threshold=np.array([1, 2, 3, 4] + [9] * 8))
    chip, limits = tight(tmp_path, threshold_profiles_per_core=2)
    made, findings = partition(p, chip)
    assert made is not None and not findings and [b.size for b in made.cores] == [2] * 6
    assert_respects(made, limits)


@given(seeds)
@examples(30)
def test_random_convolutions(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Stride, padding, dilation and groups of all kinds: every limit holds, counted synapse by synapse."""
    rng = np.random.default_rng(seed)
    groups, kernel, stride, dilation = (int(rng.integers(1, 4)) for _ in range(4))
    padding, side = int(rng.integers(0, 3)), int(rng.integers(7, 12))
    given_by, out = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 4))
    size = (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    assume(size > 0)
    weight = rng.integers(-3, 4, (out, given_by // groups, kernel, kernel))
    form = {"stride": (stride,) * 2, "padding": (padding,) * 2, "dilation": (dilation,) * 2, "groups": groups}
    p = Program(
        "net", 2, EXACT, Source("in", (given_by, side, side), "spikes", 0, 1),
        (population("a", out, size, size), population("b", 5)),
        (
            Projection("in-a", "in", "a", "conv", weight, **form),  # type: ignore[arg-type]
            Projection("a-b", "a", "b", "dense", rng.integers(-3, 4, (5, out * size**2))),
        ),
        Readout("b", "spike_count"),
    )  # fmt: skip
    sizes = {"neurons_per_core": int(rng.integers(4, 40)), "input_axons_per_core": int(rng.integers(20, 2000))}
    chip, limits = tight(tmp_path_factory.mktemp("chip"), **sizes)
    made, findings = partition(p, chip)
    most = max(given_by // groups * kernel**2, out * size**2)
    if made is None:
        assert {f.layer for f in findings} <= {"a", "b"} and most > sizes["input_axons_per_core"]
    else:
        assert_respects(made, limits)
