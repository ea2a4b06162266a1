"""Faults of exporters that their files show, each with the remedy: a sum that was lost, time constants that were scaled."""

from __future__ import annotations

from collections.abc import Mapping

from snncc.errors import GraphError
from snncc.frontends.nir_loops import FlatNetwork

LIVE = "read the live module instead (snncc.from_torch)"
LOST = "input_"
"""nirtorch's ``extract_nir_graph`` names an input so that it puts before a layer whose true input it lost."""
WEIGHTED = ("Affine", "Linear", "Conv1d", "Conv2d")


def refuse_lost_inputs(flat: FlatNetwork) -> None:
    """Raise :class:`GraphError` where a layer has an input of its own in place of the operation that fed it."""
    for source, target in flat.edges:
        if flat.nodes[source].kind == "Input" and source == LOST + target and "input" in flat.nodes:
            raise GraphError(
                f"{source}: the exporter lost what feeds {target}, a residual sum or another operation outside the layers, and "
                f"wrote a second input there; {LIVE}, or lead both paths to {target} in the NIR graph: edges into one node add up"
            )


def faults(where: str, flat: FlatNetwork, dialect: str, sources: Mapping[str, str], recurrent: bool) -> list[str]:
    """One line a fault that is seen, or that this exporter's files cannot show. ``recurrent``: the file has a loop."""
    found = []
    if sources.get("tau_scaled") == "guessed":
        found.append(
            f"{where}: its τ are below 0.1 ms, as Norse's exporter (up to 1.1.0) writes them: τ·dt in place of τ; divided by dt; "
            "say --opt tau_scaled=yes to silence this"
        )
    ends = [s for s, t in flat.edges if flat.nodes[t].kind == "Output" and flat.nodes[s].kind in WEIGHTED]
    if dialect == "snntorch" and ends:
        found.append(
            f"{where}: ends in {ends[0]}, a layer without neurons; snnTorch's exporter leaves out a residual sum and all neurons "
            f"behind it without a word: if the module goes on, {LIVE}"
        )
    if dialect == "rockpool" and not recurrent:
        found.append(
            f"{where}: Rockpool's exporter leaves out recurrent weights and the bias of neurons without a word: if the module has "
            f"has_rec=True or a bias, {LIVE}"
        )
    return found
