"""How faults are planted: in a Graph, a pass, a Program; and what finds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from small_net import (
    Net,
    Place,
    data,
)

from snncc.compare import Cell
from snncc.diff.stages import Stage
from snncc.diff.walk import Walk, walk
from snncc.ir.graph import Edge, Graph
from snncc.ir.nodes import Dense, Node
from snncc.pipeline import Context, PassResult
from snncc.program.program import Program
from snncc.registry import get_target
from snncc.target import CompileOptions, Target

Array = np.ndarray
X = data()
FIXED = get_target("fixed-sim")


def named(cell: Cell | None) -> Place | None:
    return None if cell is None else (cell.layer, cell.step, cell.sample, cell.neuron)


def walked(stages: list[Stage]) -> Walk:
    graph = stages[0].graph
    assert graph is not None
    return walk(stages, graph.nodes[graph.input], X, None)  # type: ignore[arg-type]


def early(net: Net) -> Net:
    """The bias of lif2 comes in one step before the first."""
    return net.with_(lif2=replace(net.lif2, start=net.lif2.bias))


def of(name: str, **changes: Any) -> Callable[[Net], Net]:
    return lambda net: net.with_(**{name: replace(getattr(net, name), **changes)})


def negated(w: Array, *place: int) -> Array:
    made = w.copy()
    made[place] *= -1
    return made


@dataclass(frozen=True)
class Planted:
    """A pass that does what ``real`` does and then spoils it."""

    real: Any
    spoil: Callable[[Graph], Graph]
    rewrites: tuple[str, ...] = ()
    analysis: ClassVar[bool] = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def run(self, graph: Graph, context: Context) -> PassResult:
        result = self.real.run(graph, context)
        return PassResult(self.spoil(result.graph), True, result.summary)


def faulty_target(
    name: str, spoil: Callable[[Graph], Graph], target: Target = FIXED, rewrites: tuple[str, ...] = ()
) -> Target:
    """``target`` with its pass ``name`` spoilt, which says that it ``rewrites`` these fields."""

    def pipeline(options: CompileOptions) -> list[Any]:
        return [Planted(p, spoil, rewrites) if p.name == name else p for p in target.pipeline(options)]

    return replace(target, pipeline=pipeline)


def node(name: str, change: Callable[[Any], Node]) -> Callable[[Graph], Graph]:
    return lambda graph: graph.with_nodes({name: change(graph.nodes[name])})


def dynamics(name: str, **changes: Any) -> Callable[[Graph], Graph]:
    def change(given: Any) -> Node:
        made = {k: v(getattr(given.dynamics, k)) if callable(v) else v for k, v in changes.items()}
        return replace(given, dynamics=given.dynamics.with_(**made))

    return node(name, change)


def delayed(by: int) -> Callable[[Graph], Graph]:
    """The delay before dense3 changes."""

    def spoil(graph: Graph) -> Graph:
        edges = tuple(Edge(e.source, e.target, e.delay + by if e.target == "dense3" else e.delay) for e in graph.edges)
        return replace(graph, edges=edges)

    return spoil


def flip_one(dense: Any) -> Dense:
    return replace(dense, weight=negated(dense.weight, 2, 5))


def program_with(name: str, **changes: Any) -> Callable[[Program], Program]:
    """One population, some of its fields changed."""

    def change(program: Program) -> Program:
        made = {k: v(getattr(program.population(name), k)) if callable(v) else v for k, v in changes.items()}
        populations = tuple(replace(p, **made) if p.name == name else p for p in program.populations)
        return replace(program, populations=populations)

    return change


def projection_with(name: str, **changes: Any) -> Callable[[Program], Program]:
    def change(program: Program) -> Program:
        made = {
            k: v(next(q for q in program.projections if q.name == name).__dict__[k]) if callable(v) else v
            for k, v in changes.items()
        }
        return replace(
            program, projections=tuple(replace(q, **made) if q.name == name else q for q in program.projections)
        )

    return change
