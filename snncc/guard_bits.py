"""How many guard bits a network needs: ``--guard-bits auto``, measured on calibration data.

Guard bits are the fraction bits of membranes. Fewer make narrower states, and round thresholds, biases and leaks more coarsely.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from snncc.compiler import compile_graph
from snncc.errors import UnsupportedError
from snncc.feed import take
from snncc.ir.fast import apply_fast, torch_there
from snncc.ir.graph import Graph
from snncc.ir.interpreter import run_graph
from snncc.ir.linear import apply_node
from snncc.ir.nodes import Input
from snncc.program.program import Program
from snncc.registry import get_target
from snncc.target import CompileOptions, RunOptions

Array = np.ndarray
TRIED = (0, 1, 2, 3, 4, 6, 8, 10)
ENOUGH = 1.1
"""Times the least error that is still good enough."""
SAMPLES = 64
TARGET = "fixed-sim"
"""Runs the candidates; guard bits mean the same on every target with exact arithmetic."""


def measure_guard_bits(graph: Graph, options: CompileOptions) -> dict[int, float]:
    """Guard bits to the error of the network's spikes (:func:`spike_error`) with nearest rounding on the first :data:`SAMPLES`
    of the calibration data; what cannot be compiled is left out. Raises :class:`UnsupportedError` where nothing can."""
    entry = graph.nodes[graph.input]
    assert isinstance(entry, Input) and options.calibration is not None
    inputs = take(options.calibration, entry, 0, SAMPLES)
    apply = apply_fast if torch_there() else apply_node
    trained = run_graph(graph, inputs, np.float32, record_membranes=True, apply=apply)
    wanted = replace(options, calibration=inputs, rounding="nearest")
    found: dict[int, float] = {}
    refused = ""
    for bits in TRIED:
        try:
            made = compile_graph(graph, get_target(TARGET), replace(wanted, guard_bits=bits))
        except UnsupportedError as error:
            refused = str(error)
            continue
        if not made.errors:
            found[bits] = spike_error(made.program, inputs, trained.spikes, trained.membranes)
    if not found:
        raise UnsupportedError(f"--guard-bits auto: none of {', '.join(map(str, TRIED))} compiles; {refused}")
    return found


def choose_guard_bits(errors: dict[int, float]) -> int:
    """The fewest of those whose error is at most :data:`ENOUGH` times the least."""
    least = min(errors.values())
    return min(bits for bits, error in errors.items() if error <= ENOUGH * least)


def spike_error(program: Program, inputs: Array, spikes: Mapping[str, Array], membranes: Mapping[str, Array]) -> float:
    """Mean over the populations of the share of cells with other spikes than ``spikes`` (T, N, *shape) has; where a population
    never fires, of the squared distance of its ``membranes`` over their mean square."""
    run = get_target(TARGET).run(program, None, inputs, RunOptions(record=True))
    found = []
    for p in program.populations:
        if p.name not in spikes:
            continue
        if p.fires:
            found.append(float(np.mean(run.spikes[p.name] != spikes[p.name])))
        elif p.name in run.membranes:
            wanted = membranes[p.name]
            distance = np.square(run.membranes[p.name] * (p.unit / 2.0**p.guard_bits) - wanted).mean()
            found.append(float(distance / max(float(np.square(wanted).mean()), np.finfo(np.float32).tiny)))
    return float(np.mean(found)) if found else 0.0
