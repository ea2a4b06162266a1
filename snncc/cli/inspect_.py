"""``snncc inspect``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from snncc.cli import options as shared

if TYPE_CHECKING:
    from snncc.program.artifact import Artifact


@click.command("inspect")
@click.argument("model")
@click.option("--text", is_flag=True, help="Print the stable text form that --print-after and golden tests use.")
@shared.semantics_options
@shared.json_option
def command(
    model: str,
    text: bool,
    semantics: dict[str, str],
    as_json: bool,
) -> None:
    """Print what the network of MODEL does, layer by layer, so that it can be checked against one's own code."""
    from snncc.ir.shapes import infer_shapes
    from snncc.ir.text import format_graph
    from snncc.report import terminal
    from snncc.report.words import describe_graph, describe_node, fan_in, parameters

    artifact = shared.read_compiled(model)
    if artifact is not None:
        graph = artifact.graph
    else:
        _, graph = shared.read_graph(model, semantics)
    if text:
        click.echo(format_graph(graph), nl=False)
        return
    shapes = infer_shapes(graph)
    layers: list[dict[str, Any]] = [
        {
            "layer": name,
            "kind": type(node).__name__,
            "shape": list(shapes[name]),
            "from": [e.source + (f" (delay {e.delay})" if e.delay else "") for e in graph.incoming(name)],
            "parameters": parameters(node),
            "fan_in": fan_in(node),
            "means": describe_node(node),
        }
        for name, node in graph.nodes.items()
    ]
    if as_json:
        compiled = {} if artifact is None else {"compiled": _compiled(artifact)}
        terminal.print_json(
            {"name": graph.name, "time_steps": graph.time_steps, "origin": dict(graph.origin), "layers": layers}
            | compiled
        )
        return
    terminal.fact("network", graph.name, describe_graph(graph))
    if artifact is not None:
        made = _compiled(artifact)
        words = ", ".join(f"{name} {bits}" for name, bits in made["weight_bits"].items())
        terminal.fact(
            "compiled",
            f"for {made['target']}",
            f"bits a weight: {words}",
            f"{made['weight_bytes']:,.0f} bytes of weights",
        )
    rows = [
        [
            layer["layer"],
            layer["kind"],
            "×".join(map(str, layer["shape"])),
            f"{layer['parameters']:,}" if layer["parameters"] else "",
            str(layer["fan_in"] or ""),
            layer["means"],
        ]
        for layer in layers
    ]
    head = ["layer", "kind", "shape", "parameters", "fan-in", "means"]
    terminal.table(head, rows, left=len(head))
    for key, value in graph.origin.items():
        if key != "warnings" or artifact is not None:  # else they were said when it was read
            terminal.fact(str(key), str(value))


def _compiled(artifact: Artifact) -> dict[str, Any]:
    """What a compiled folder's options were, and what its weights take."""
    from snncc.memory import weight_bytes, word_bits

    program = artifact.program
    widest: dict[str, int] = {}
    for p in program.projections:
        widest[p.target] = max(widest.get(p.target, 0), word_bits(p))
    return {
        "target": artifact.manifest.get("target"),
        "options": artifact.manifest.get("options"),
        "weight_bits": widest,
        "weight_bytes": weight_bytes(program),
    }
