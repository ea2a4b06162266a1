"""Whether a network fits a target and a chip: everything that either cannot take, at once."""

from __future__ import annotations

from dataclasses import dataclass

from snncc.chip.partition import Partition, partition
from snncc.chip.spec import Chip
from snncc.compiler import Compilation, RefusedError, compile_graph
from snncc.errors import UnsupportedError
from snncc.ir.graph import Graph
from snncc.registry import get_target
from snncc.target import CompileOptions, Finding, Target

ENGINE = "fixed-sim"
"""Whose whole numbers the chip is asked about where the target's own passes refuse the network."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A network, compiled and cut, as far as that went.

    Attributes:
        made: None where a pass refuses the network.
        partition: None where it does not fit, or no chip was given.
        findings: of the passes, the target and the chip.
    """

    made: Compilation | None
    partition: Partition | None
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> list[Finding]:
        """Findings that forbid deployment."""
        return [f for f in self.findings if f.severity == "error"]


def fit(graph: Graph, target: Target, options: CompileOptions, chip: Chip | None = None) -> Fit:
    """Compile ``graph`` and cut it for ``chip``, whatever the target says of it; nothing is raised for what does not fit.

    Where the target's passes refuse the network, the chip is asked about :data:`ENGINE`'s whole numbers, if there are any:
    fan-in and neurons are the same, weights and thresholds may differ by rounding.
    """
    made: Compilation | None = None
    try:
        made = compile_graph(graph, target, options)
        findings = list(made.findings)
    except UnsupportedError as error:
        findings = [_refusal(part) for part in error.parts]
    if chip is None:
        return Fit(made, None, tuple(findings))
    asked = made
    if asked is None:
        try:
            asked = compile_graph(graph, get_target(ENGINE), options)
        except UnsupportedError:
            return Fit(None, None, tuple(findings))
    cut, misfits = partition(asked.program, chip)
    said = {(f.layer, f.what) for f in findings}
    findings += [f for f in misfits if (f.layer, f.what) not in said]
    return Fit(made, cut if made else None, tuple(findings))


def compile_for(graph: Graph, target: Target, options: CompileOptions, chip: Chip | None = None) -> Compilation:
    """The compilation for ``target``. Raises :class:`RefusedError` where it cannot take the network, with what ``chip``
    cannot take beside it, or without a chip what the passes raise. Whether it fits the chip is not asked otherwise."""
    try:
        made = compile_graph(graph, target, options)
        if not made.errors:
            return made
    except UnsupportedError:
        if chip is None:
            raise
    raise RefusedError(target.name, fit(graph, target, options, chip).errors)


def _refusal(message: str) -> Finding:
    """A refusal of a pass, ``layer: what; remedy``, as a finding."""
    layer, _, rest = message.partition(": ")
    what, _, remedy = rest.partition("; ")
    return Finding(layer, "no integer form", what, "what the passes take", remedy or "change the layer")
