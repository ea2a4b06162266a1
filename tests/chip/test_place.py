"""Cores on the mesh: no place twice, never worse than their order, distances step by step; and what it is worth on the zoo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from brute import limits_of
from hypothesis import given
from networks import examples, seeds
from test_partition import WIDE, assert_respects, convolutions, tight

from snncc.chip.partition import Partition, partition
from snncc.chip.place import Placement, one_each, place, routes
from snncc.chip.spec import chips, load_chip
from snncc.compiler import compile_graph
from snncc.frontends import load_model
from snncc.models.checkpoint import write_checkpoint
from snncc.models.module import SpikingNetwork
from snncc.program.program import Program
from snncc.registry import get_models, get_target, resolve_model
from snncc.target import CompileOptions


def walk(chip_columns: int, columns: int, rows: int, a: int, b: int) -> tuple[int, int, int]:
    """(hops east or west, hops north or south, crossings) from tile to tile, one link at a time."""

    def spot(tile: int) -> list[int]:
        number, within = divmod(tile, columns * rows)
        return [number % chip_columns * columns + within % columns, number // chip_columns * rows + within // columns]

    here, there = spot(a), spot(b)
    counted = [0, 0, 0]
    for axis, side in ((0, columns), (1, rows)):
        while here[axis] != there[axis]:
            before = here[axis] // side
            here[axis] += 1 if there[axis] > here[axis] else -1
            counted[2 if here[axis] // side != before else axis] += 1
    return counted[0], counted[1], counted[2]


def small_mesh(folder: Path, columns: int = 3, rows: int = 2, per_tile: int = 2, **limits: int):  # type: ignore[no-untyped-def]
    tight(folder, **WIDE, **limits)
    path = folder / "tight.toml"
    text = path.read_text(encoding="utf-8")
    for name, value in (("columns", columns), ("rows", rows), ("cores_per_tile", per_tile)):
        head, _, rest = text.partition(f"[mesh.{name}]\n")
        text = f"{head}[mesh.{name}]\nvalue = {value}\n{rest.partition(chr(10))[2]}"
    path.write_text(text, encoding="utf-8")
    return load_chip(path)


def assert_placed(made: Placement) -> None:
    chip, cores = made.partition.chip, len(made.partition.cores)
    assert len(set(made.slots.tolist())) == cores and made.slots.min() >= 0
    assert made.slots.max() < made.partition.chips * chip.cores
    width = int(np.ceil(np.sqrt(made.partition.chips)))
    cost = 0
    for tiles, count in ((made.tiles, "cost"), (np.arange(cores) // chip.side("cores_per_tile"), "naive_cost")):
        cost = sum(
            int(m.sum()) * sum(walk(width, chip.side("columns"), chip.side("rows"), int(tiles[a]), int(tiles[b])))
            for a, b, m in zip(made.traffic.source, made.traffic.target, made.traffic.messages, strict=True)
        )
        assert cost == getattr(made, count)
    assert made.cost <= made.naive_cost


def test_routes_are_walks(tmp_path: Path) -> None:
    chip = small_mesh(tmp_path)
    for count in (1, 2, 3, 5):
        width = int(np.ceil(np.sqrt(count)))
        for a in range(count * 6):
            for b in range(count * 6):
                assert tuple(int(x) for x in routes(chip, np.asarray(a), np.asarray(b), count)) == walk(
                    width, 3, 2, a, b
                )


@pytest.mark.parametrize("neurons", [6, 20, 200])
def test_cores_are_placed_once_and_never_worse(tmp_path: Path, neurons: int) -> None:
    cut, _ = partition(convolutions(np.random.default_rng(5)), small_mesh(tmp_path, neurons_per_core=neurons))
    assert cut is not None
    made = place(cut)
    assert_placed(made)
    np.testing.assert_array_equal(place(cut).slots, made.slots)
    assert not made.measured


@given(seeds)
@examples(8)
def test_measured_spikes_decide(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = np.random.default_rng(seed)
    chip = small_mesh(tmp_path_factory.mktemp("chip"), neurons_per_core=int(rng.integers(4, 40)))
    cut, _ = partition(convolutions(rng), chip)
    assert cut is not None
    spikes = {p.name: rng.integers(0, 9, p.shape) for p in cut.program.populations}
    made = place(cut, spikes)
    assert made.measured
    assert_placed(made)
    silent = place(cut, {name: 0 * s for name, s in spikes.items()})
    assert silent.cost == 0


def test_no_swap_or_move_gains_anything(tmp_path: Path) -> None:
    """Local search ends where it says it does."""
    cut, _ = partition(convolutions(np.random.default_rng(6)), small_mesh(tmp_path, neurons_per_core=20))
    assert cut is not None
    made = place(cut)
    traffic, chip, count = made.traffic, cut.chip, cut.chips

    def cost(slots: np.ndarray) -> int:
        tiles = slots // chip.side("cores_per_tile")
        links = sum(routes(chip, tiles[traffic.source], tiles[traffic.target], count))
        return int((traffic.messages.sum(axis=1) * links).sum())

    free = sorted(set(range(count * chip.cores)) - set(made.slots.tolist()))
    for i in range(len(made.slots)):
        for j in range(i):
            swapped = made.slots.copy()
            swapped[[i, j]] = swapped[[j, i]]
            assert cost(swapped) >= made.cost
        for slot in free:
            moved = made.slots.copy()
            moved[i] = slot
            assert cost(moved) >= made.cost


def compiled(name: str | Path, target: str, per_channel: bool = True) -> Program:
    graph = load_model(resolve_model(str(name)))
    return compile_graph(graph, get_target(target), CompileOptions(per_channel=per_channel)).program


def cut_for(program: Program, chip: str) -> Partition:
    made, findings = partition(program, load_chip(chip))
    assert made is not None, findings
    return made


@pytest.mark.parametrize(("name", "chip"), [("ecg-recurrent", "loihi2"), ("mnist-lif", "loihi1")])
def test_zoo(name: str, chip: str) -> None:
    """Every limit of every core, neuron by neuron, and the sums of messages times links."""
    cut = cut_for(compiled(name, "fixed-sim"), chip)
    made = place(cut)
    assert_placed(made)
    assert set(one_each(cut)) == {p.name for p in cut.program.populations}
    assert_respects(cut, limits_of(chips()[chip]))


def test_a_deep_network_sends_30_percent_less_far(tmp_path: Path) -> None:
    """The deepest network of the zoo, 19 layers of weights, against cores in their order. Placed without data, every neuron
    counts alike, so the weights need no training."""
    network = get_models()["mnist-plain19"].network
    write_checkpoint(tmp_path / "plain19.pt", network, SpikingNetwork(network).state_dict(), {})
    made = place(cut_for(compiled(tmp_path / "plain19.pt", "fixed-sim"), "loihi1"))
    assert len(made.partition.program.populations) >= 19
    assert made.cost <= 0.7 * made.naive_cost
