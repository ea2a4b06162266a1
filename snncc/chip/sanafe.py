"""A placed network, its spikes and a cost set as the two YAML files that the simulator SANA-FE 2 reads.

SANA-FE (Boyle et al., IEEE TCAD 44(8), 2025; files as in its releases' ``arch/README.md`` and ``snn/README.md``) counts and prices
messages, hops and synapses on its own, from the mesh, the places and the synapses. What the neurons do is played back, so that
both look at the same spikes:

1. A neuron is a soma of SANA-FE's model ``input`` with the steps in which it fires. Such a soma is accessed at every step,
   and updated only when it fires. A neuron that is also updated without firing gets a *companion*: a soma in the same core
   without synapses, on a unit whose access and spikes are free, that fires in those steps.
2. The samples run one after another, ``steps`` in all.
3. SANA-FE takes a soma's synapses for ones of one unit. A population's are of the unit of its first projection; those of another
   format lead to an *ear* in the same core, a soma without costs. So does, at no cost, what stands for weights of zero where a
   neuron reaches a core through nothing else: the message is sent all the same.
4. Values from the host come without hops: every tile has one more core, without costs, which holds the source's neurons
   that the tile listens to.
5. Such somas take no current, so synapses are listed without their weights; weights of zero are none.
6. Costs are the set's typical ones; what the set does not have is 0, as in the model's sum of what is modelled.

Two things differ: SANA-FE processes a spike in the step in which it is fired, so those that a delay carries beyond a
sample's end are synaptic operations there and none in the network; and it knows no cost of synchronisation but its time. It
has one mesh, so a network on several chips is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snncc.chip.footprint import reached
from snncc.chip.place import Placement
from snncc.energy.costs import CostSet
from snncc.errors import InputError
from snncc.files import folder_written_beside
from snncc.program.activity import Activity
from snncc.program.program import Program, Projection, conv_shape

Array = np.ndarray
ARCHITECTURE, NETWORK = "architecture.yaml", "network.yaml"
MAX_SYNAPSES = 2_000_000
"""SANA-FE's file has a line for each synapse."""
MAX_CELLS = 20_000_000
"""Neurons × steps that are played back, a character each."""
SYNAPSES = ("dense", "sparse", "conv")
UNLISTED = "zero"
"""The synapse unit of messages that meet zero weights alone."""


@dataclass(frozen=True)
class Written:
    """What the files hold: ``steps`` to run, all samples one after another, and how many synapses and somas."""

    steps: int
    synapses: int
    somas: int


def write_sanafe(placement: Placement, costs: CostSet, samples: Sequence[Activity], folder: Path) -> Written:
    """Write :data:`ARCHITECTURE` and :data:`NETWORK` into ``folder``, which is replaced whole.

    ``samples``: activity of one inference each (:func:`snncc.program.activity.measure_activity`). Raises :class:`InputError`
    where the network lies on several chips, is too large for files of text, or an activity is of more than one inference.
    """
    program, steps = placement.partition.program, placement.partition.program.time_steps * len(samples)
    if placement.chips_used > 1:
        raise InputError(
            f"{program.name}: lies on {placement.chips_used:,} chips; SANA-FE has one mesh: take a chip with larger cores"
        )
    if not samples or any(a.samples != 1 for a in samples):
        raise InputError(f"{program.name}: SANA-FE plays single inferences back; give the activity of each on its own")
    cells = steps * sum(p.size for p in program.populations)
    if cells > MAX_CELLS:
        raise InputError(
            f"{program.name}: {cells:,} neurons × steps are too many to write out ({MAX_CELLS:,}); take fewer samples"
        )
    synapses = sum(
        int(np.count_nonzero(p.weight)) for p in program.projections if p.kind != "conv" and not program.is_static(p)
    )
    _refuse_many(program, synapses)
    writer = _Network(placement, samples)
    lines = list(writer.lines())
    with folder_written_beside(folder) as beside:
        (beside / ARCHITECTURE).write_text("\n".join(_architecture(placement, costs, writer)) + "\n", encoding="utf-8")
        (beside / NETWORK).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Written(steps, writer.synapses, sum(writer.somas.values()))


def synapses_of(program: Program, projection: Projection) -> Iterator[tuple[Array, Array]]:
    """(targets, sources) of a projection's non-zero weights at valid positions, in parts: flat neuron numbers."""
    weight = projection.weight
    if projection.kind == "dense":
        yield np.nonzero(weight)[0], np.nonzero(weight)[1]
        return
    if projection.kind == "sparse":
        assert projection.index is not None
        used = weight != 0
        yield projection.index[0][used], projection.index[1][used]
        return
    shape_in = program.shape_of(projection.source)
    _, rows, columns = conv_shape(projection, shape_in)
    out, per_group = weight.shape[:2]
    for c, i, ky, kx in np.argwhere(weight).tolist():
        y = np.arange(rows) * projection.stride[0] - projection.padding[0] + ky * projection.dilation[0]
        x = np.arange(columns) * projection.stride[1] - projection.padding[1] + kx * projection.dilation[1]
        valid_y, valid_x = np.flatnonzero((y >= 0) & (y < shape_in[1])), np.flatnonzero((x >= 0) & (x < shape_in[2]))
        channel = c // (out // projection.groups) * per_group + i
        sources = ((channel * shape_in[1] + y[valid_y, None]) * shape_in[2] + x[valid_x]).ravel()
        targets = ((c * rows + valid_y[:, None]) * columns + valid_x).ravel()
        yield targets, sources


class _Network:
    """Lines of the network's file, and what the architecture has to offer for it."""

    def __init__(self, placement: Placement, samples: Sequence[Activity]) -> None:
        self.placement = placement
        self.program = placement.partition.program
        self.spikes = {n: np.concatenate([a.spikes[n] for a in samples], axis=1) != 0 for n in samples[0].spikes}
        self.active = {n: np.concatenate([a.active[n] for a in samples], axis=1) != 0 for n in samples[0].active}
        self.core_of = {name: cores.ravel() for name, cores in placement.partition.core_of().items()}
        self.somas: dict[tuple[int, int, str], int] = {}
        self.synapses = 0
        self.unit: dict[str, str] = {}
        """The synapse unit of a population's own somas."""
        for p in reversed(self.program.projections):
            if not self.program.is_static(p):
                self.unit[p.target] = p.kind
        self.ears: dict[str, dict[int, int]] = {}
        self.chip = placement.partition.chip
        self.group = {name: f"g{i}_{_clean(name)}" for i, name in enumerate((self.program.source.name, *self.core_of))}

    def lines(self) -> Iterator[str]:
        groups, mappings = [], []
        for name in self.core_of:
            silent = self.active[name] & ~self.spikes[name]
            rests = np.flatnonzero(silent.any(axis=1))
            trains = [*self.spikes[name], *silent[rests]]
            groups += self._group(self.group[name], trains, self.unit.get(name, UNLISTED))
            places = [(self._place(core), "soma") for core in self.core_of[name].tolist()]
            places += [(self._place(core), "update") for core in self.core_of[name][rests].tolist()]
            mappings += self._map(self.group[name], places)
        edges = list(self._edges())
        for unit, cores in self.ears.items():
            groups += self._group(f"ear_{unit}", [np.zeros(1, bool)] * len(cores), unit)
            mappings += self._map(f"ear_{unit}", [(self._place(core), "ear") for core in cores])
        for tile, ids in self._host().items():
            name = f"{self.group[self.program.source.name]}_{tile}"
            groups += self._group(name, list(self.spikes[self.program.source.name][ids]))
            mappings += self._map(name, [((tile, self.chip.side("cores_per_tile")), "host")] * len(ids))
        yield from ("network:", f"  name: {self.group[self.program.source.name]}", "  groups:", *groups)
        yield from ("  edges:", *edges) if edges else ("  edges: []",)
        yield from ("mappings:", *mappings)

    def _place(self, core: int) -> tuple[int, int]:
        """(tile, core in it) as SANA-FE counts them: tiles column by column."""
        tile, within = divmod(int(self.placement.slots[core]), self.chip.side("cores_per_tile"))
        row, column = divmod(tile, self.chip.side("columns"))
        return column * self.chip.side("rows") + row, within

    def _receiver(self, population: str, neuron: int, core: int, unit: str) -> str:
        """Where a synapse of ``unit`` leads."""
        if unit == self.unit.get(population):
            return f"{self.group[population]}.{neuron}"
        return f"ear_{unit}.{self.ears.setdefault(unit, {}).setdefault(core, len(self.ears[unit]))}"

    def _group(self, name: str, trains: Sequence[Array], unit: str = UNLISTED) -> list[str]:
        made = [f"    - name: {name}", f"      attributes: [synapse_hw_name: {unit}]", "      neurons:"]
        return made + [
            f"        - {i}: [soma: {{spikes: [{', '.join('01'[int(s)] for s in train)}]}}]"
            for i, train in enumerate(trains)
        ]

    def _map(self, name: str, places: Sequence[tuple[tuple[int, int], str]]) -> list[str]:
        made = []
        for i, ((tile, core), unit) in enumerate(places):
            number = self.somas.setdefault((tile, core, unit), 0)
            self.somas[tile, core, unit] += 1
            made.append(f'  - {name}.{i}: [core: {tile}.{core}, soma: "{unit}[{number}]"]')
        return made

    def _host(self) -> dict[int, Array]:
        """Tile to the source's neurons that its cores listen to, of a source that is not static."""
        source, heard = self.program.source.name, dict[int, list[Array]]()
        for number, box in enumerate(self.placement.partition.cores):
            ids = reached(self.placement.partition.wiring, box).get(source)
            if ids is not None and ids.size:
                heard.setdefault(self._place(number)[0], []).append(ids)
        return {tile: np.unique(np.concatenate(parts)) for tile, parts in sorted(heard.items())}

    def _edges(self) -> Iterator[str]:
        partition, program = self.placement.partition, self.program
        host = {tile: {int(n): i for i, n in enumerate(ids)} for tile, ids in self._host().items()}
        cores = len(partition.cores)
        met: dict[str, list[Array]] = {}
        for projection in (p for p in program.projections if not program.is_static(p)):
            for targets, sources in synapses_of(program, projection):
                core = self.core_of[projection.target][targets]
                met.setdefault(projection.source, []).append(np.unique(sources * cores + core))
                self.synapses += len(targets)
                _refuse_many(program, self.synapses)
                for to, of, at in zip(targets.tolist(), sources.tolist(), core.tolist(), strict=True):
                    receiver = self._receiver(projection.target, to, at, projection.kind)
                    yield f"    - {self._sender(projection.source, of, at, host)} -> {receiver}: [weight: 0]"
        for number, box in enumerate(partition.cores):
            for name, ids in reached(partition.wiring, box).items():
                known = np.concatenate(met.get(name, [np.zeros(0, np.int64)]))
                for of in (np.setdiff1d(ids * cores + number, known) // cores).tolist():
                    receiver = self._receiver("", 0, number, UNLISTED)
                    yield f"    - {self._sender(name, of, number, host)} -> {receiver}: [weight: 0]"

    def _sender(self, name: str, neuron: int, core: int, host: dict[int, dict[int, int]]) -> str:
        if name in self.core_of:
            return f"{self.group[name]}.{neuron}"
        tile = self._place(core)[0]
        return f"{self.group[name]}_{tile}.{host[tile][neuron]}"


def _refuse_many(program: Program, synapses: int) -> None:
    if synapses > MAX_SYNAPSES:
        raise InputError(
            f"{program.name}: has more than {MAX_SYNAPSES:,} synapses, and SANA-FE's file a line for each; take a smaller network"
        )


Attributes = dict[str, object]
MESSAGE_IN, MESSAGE_OUT = ("message_in", "axon_in"), ("message_out", "axon_out")
SOMA = (("access_neuron", "neuron_access"), ("update_neuron", "neuron_update"), ("spike_out", "spike_out"))
HOPS = tuple(
    (f"{way}_hop", f"hop_{axis}")
    for axis in ("north_south", "east_west")
    for way in (axis.split("_")[0], axis.split("_")[1])
)
"""Pairs of what SANA-FE calls a cost (after ``energy_`` and ``latency_``) and what a cost set calls it."""


def _architecture(placement: Placement, costs: CostSet, network: _Network) -> Iterator[str]:
    """Lines of the architecture's file: a mesh of tiles, the chip's cores and one for the host in each."""
    chip = placement.partition.chip
    curve = {round(c.at): c.si.typ for c in costs.curves.get("synchronisation", ()) if c.at is not None}
    mesh: Attributes = {
        "topology": "mesh",
        "width": chip.side("columns"),
        "height": chip.side("rows"),
        "link_buffer_size": 16,
    }
    mesh |= (
        {"sync_model": "table", "latency_sync": _flow(curve)} if curve else {"sync_model": "fixed", "latency_sync": 0.0}
    )
    nothing = _priced(None, *SOMA)
    somas = {
        "soma": _priced(costs, *SOMA),
        "update": nothing | _priced(costs, ("update_neuron", "neuron_update")),
        "ear": nothing,
        "host": nothing,
    }
    synapses = {kind: _priced(costs, ("process_spike", f"synapse_{kind}")) for kind in SYNAPSES}
    synapses[UNLISTED] = _priced(None, ("process_spike", ""))
    yield from ("architecture:", f"  name: {_clean(chip.name)}", f"  attributes: {_flow(mesh)}", "  tile:")
    yield from (
        f"    - name: tile[0..{chip.tiles - 1}]",
        f"      attributes: {_flow(_priced(costs, *HOPS))}",
        "      core:",
    )
    for name, number, payer, units in (
        ("core", chip.side("cores_per_tile"), costs, ("soma", "update", "ear")),
        ("host", 1, None, ("host",)),
    ):
        most = {unit: max((n for (*_, u), n in network.somas.items() if u == unit), default=0) for unit in units}
        if not any(most.values()):
            continue
        core = {"buffer_position": "soma", "buffer_inside_unit": "false", "max_neurons_supported": sum(most.values())}
        yield from (f"        - name: {name}[0..{number - 1}]", f"          attributes: {_flow(core)}")
        yield from _units("axon_in", {"axon_in": _priced(payer, MESSAGE_IN)})
        yield from _units("synapse", {n: {"model": "current_based"} | a for n, a in synapses.items()})
        yield from _units(
            "dendrite", {"dendrite": {"model": "accumulator", "energy_update": 0.0, "latency_update": 0.0}}
        )
        yield from _units(
            "soma",
            {f"{unit}[0..{count - 1}]": {"model": "input"} | somas[unit] for unit, count in most.items() if count},
        )
        yield from _units("axon_out", {"axon_out": _priced(payer, MESSAGE_OUT)})


def _units(section: str, units: Mapping[str, Attributes]) -> Iterator[str]:
    yield f"          {section}:"
    for name, attributes in units.items():
        yield from (f"            - name: {name}", f"              attributes: {_flow(attributes)}")


def _priced(costs: CostSet | None, *pairs: tuple[str, str]) -> Attributes:
    """Energy in joules and latency in seconds, typical; 0 without a set and where the set has none."""
    made: Attributes = {}
    for field, entry in pairs:
        for quantity, known in (("energy", costs.energy), ("latency", costs.time)) if costs else ():
            made[f"{quantity}_{field}"] = known[entry].si.typ if entry in known else 0.0
        if costs is None:
            made |= {f"energy_{field}": 0.0, f"latency_{field}": 0.0}
    return made


def _flow(attributes: Mapping[Any, object]) -> str:
    """A table on one line of YAML."""
    return "{" + ", ".join(f"{key}: {value}" for key, value in attributes.items()) + "}"


def _clean(name: str) -> str:
    """A name without what SANA-FE's addresses are made of."""
    return re.sub("[^A-Za-z0-9_]", "_", name)
