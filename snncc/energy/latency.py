"""How long a step and an inference take, from the events of each core in each step (docs/energy.md)::

    neuron phase  = N_mapped·τ_acc + N_active·τ_upd + N_fired·τ_spk + A_out·τ_axout
    synapse phase = A_in·τ_axin + Σ_format S·τ_syn
    t_core = both(neuron phase, synapse phase)
    t_step = max(period, max over cores of t_core + t_noc + t_sync(tiles) + t_mgmt)
    t_inf  = both(Σ t_step, host)

``both(a, b) = max(a, b) + serial·min(a, b)``: what runs at the same time takes as long as the longer (serial 0), what runs one
after the other as long as both (serial 1); which, is a parameter of the uncertainty. A host takes part where the run describes one:
published times of hosts differ more than everything else does. t_noc is the flight of a message over the
mean route; messages that wait for one another are not modelled. Counts are means over the samples, so a step whose slowest core
changes from sample to sample comes out slightly short.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snncc.energy.counted import Counted

Columns = Mapping[str, np.ndarray]
"""Parameter to its values (K,) in SI units: K draws, or low, typ and high."""

NEURON_PHASE = {
    "updates": "neuron_access",
    "active": "neuron_update",
    "spikes": "spike_out",
    "axons_out": "axon_out",
}
SYNAPSE_PHASE = {
    "axons_in": "axon_in",
    "synaptic_dense": "synapse_dense",
    "synaptic_sparse": "synapse_sparse",
    "synaptic_conv": "synapse_conv",
}
ROUTE = {"hops_east_west": "hop_east_west", "hops_north_south": "hop_north_south"}
NO_HOST = "no host is described: give host_seconds, or host = true for the costs' time.host"
MAX_CELLS = 4_000_000
"""Of an array (cores × steps, draws) at once: 32 MB."""


@dataclass(frozen=True)
class Times:
    """Seconds, one value a column. ``steps``: mean time of a step; None where the inference was measured.

    ``missing``: what the times leave out, name to reason.
    """

    inference: np.ndarray
    steps: np.ndarray | None
    missing: Mapping[str, str]


def times(run: Counted, columns: Columns) -> Times | str:
    """Times of ``run`` at each column of parameters, or the reason why there are none."""
    some = columns["serial"]
    if run.inference_seconds is not None:
        return Times(np.full(some.shape, run.inference_seconds), None, {})
    missing: dict[str, str] = {}
    if run.steps is None:
        return "the number of steps is not given"
    if run.per_core:
        phases = [_phase(run, phase, columns, missing) for phase in (NEURON_PHASE, SYNAPSE_PHASE)]
        if not any(events for events, _ in phases) and run.period_seconds is None:
            return "the costs hold no time of any event"
        beside = _flight(run, columns, missing) + _barrier(run, columns, missing) + _per_step(columns, missing)
        chip = _chip(run, phases, beside, columns)
    elif run.period_seconds is not None:
        missing["busy cores"] = "no counts by core and step; a step is taken as its period"
        chip = np.full(some.shape, run.steps * run.period_seconds)
    else:
        return "needs counts by core and step, a period, or a measured time"
    host = columns.get("time.host") if run.host else None
    if run.host_seconds is not None:
        host = np.full(some.shape, run.host_seconds)
    if host is None:
        missing["host"] = "the costs hold no time.host" if run.host else NO_HOST
        return Times(chip, chip / run.steps, missing)
    return Times(both(chip, host, some), chip / run.steps, missing)


def both(a: np.ndarray, b: np.ndarray, serial: np.ndarray) -> np.ndarray:
    """Time of two activities of which a share ``serial`` of the shorter does not overlap."""
    return np.maximum(a, b) + serial * np.minimum(a, b)


Phase = tuple[list[np.ndarray], list[np.ndarray]]
"""Counts a sample (cores × steps,) of the events that have a time, and those times (K,)."""


def _phase(run: Counted, phase: Mapping[str, str], columns: Columns, missing: dict[str, str]) -> Phase:
    counts, taus = [], []
    for event, cost in phase.items():
        tau = columns.get(f"time.{cost}")
        if event not in run.per_core:
            if run.counts.get(event) != 0:
                missing[event] = "not counted by core and step"
        elif not run.per_core[event].any():
            continue
        elif tau is None:
            missing[event] = f"the costs hold no time.{cost}"
        else:
            counts.append(run.per_core[event].ravel() / run.samples)
            taus.append(tau)
    return counts, taus


def _chip(run: Counted, phases: list[Phase], beside: np.ndarray, columns: Columns) -> np.ndarray:
    """Σ over steps of t_step (K,), a few columns at a time."""
    assert run.cores is not None and run.steps is not None
    draws, period = columns["serial"].size, run.period_seconds or 0.0
    cells = run.cores * run.steps
    width = max(1, MAX_CELLS // cells)
    total = np.zeros(draws)
    for start in range(0, draws, width):
        part = slice(start, min(draws, start + width))
        busy = [
            np.stack(counts, axis=1) @ np.stack([tau[part] for tau in taus])
            if counts
            else np.zeros((cells, part.stop - start))
            for counts, taus in phases
        ]
        cores = both(busy[0], busy[1], columns["serial"][part]).reshape(run.cores, run.steps, -1)
        total[part] = np.maximum(cores.max(axis=0) + beside[part], period).sum(axis=0)
    return total


def _flight(run: Counted, columns: Columns, missing: dict[str, str]) -> np.ndarray:
    """Seconds of one message over the mean route."""
    result = np.zeros(columns["serial"].shape)
    messages = run.counts.get("axons_out")
    for event, cost in ROUTE.items():
        hops, tau = run.counts.get(event), columns.get(f"time.{cost}")
        if hops is None or (hops and not messages):
            missing[event] = "the network's hops or messages are not counted"
        elif hops and tau is None:
            missing[event] = f"the costs hold no time.{cost}"
        elif hops and messages and tau is not None:
            result += hops / messages * tau
    return result


def _barrier(run: Counted, columns: Columns, missing: dict[str, str]) -> np.ndarray:
    found = columns.get("curve.synchronisation")
    if found is None:
        shown = "of unknown number" if run.tiles is None else f"{run.tiles}"
        missing["synchronisation"] = f"the costs hold no time of a barrier for these tiles: {shown}"
        return np.zeros(columns["serial"].shape)
    return found


def _per_step(columns: Columns, missing: dict[str, str]) -> np.ndarray:
    found = columns.get("time.management_step")
    if found is None:
        missing["management processors"] = "the costs hold no time.management_step"
        return np.zeros(columns["serial"].shape)
    return found
