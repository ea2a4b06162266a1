"""``snncc convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snncc.cli import options as shared

CONVERTER = "ann-to-snn"


@click.command("convert")
@click.argument("ann", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write, .pt or .nir.")
@click.option("--time-steps", type=click.IntRange(1, 4096), required=True, help="Steps a sample.")
@click.option(
    "--data", "data_name", help="Calibration data, such as cifar10:train45k; needed where no bound was trained."
)
@click.option("--samples", type=click.IntRange(min=1), default=500, show_default=True, help="Of the calibration data.")
@click.option(
    "--thresholds", "rule", type=click.Choice(["percentile", "mse"]), default="percentile", show_default=True,
    help="How thresholds are found where no bound was trained.",
)  # fmt: skip
@click.option("--percentile", type=click.FloatRange(0, 100, min_open=True), default=99.9, show_default=True)
@click.option("--per-channel", is_flag=True, help="A threshold each channel of a convolution instead of one a layer.")
@click.option("--replace-bounds", is_flag=True, help="Find thresholds also where a bound was trained or given (ReLU6).")
@click.option(
    "--v-init", type=click.Choice(["half", "zero"]), default="half", show_default=True, help="v(0): θ/2 or 0."
)
@click.option(
    "--max-pooling", type=click.Choice(["refuse", "currents"]), default="refuse", show_default=True,
    help="currents: the largest current of each step, which overestimates.",
)  # fmt: skip
@click.option("--arch", metavar="MODULE:FACTORY", help="Your code that builds the ANN of a bare state_dict.")
@click.option("--input-shape", metavar="C,H,W", help="Shape of a sample, for --arch.")
@click.option("--input-scale", type=float, help="What one unit of the data is worth to the ANN (1/255).")
@click.option("--mean", metavar="M,M,M", help="What the ANN's training took off each channel, after --input-scale.")
@click.option("--std", metavar="S,S,S", help="What it then divided by.")
@click.option("--report-data", help="Data to report accuracy against time steps on, such as cifar10:test.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples of --report-data.")
@shared.json_option
def command(ann: Path, output: Path, time_steps: int, as_json: bool, **rest: Any) -> None:
    """Make ANN (a zoo checkpoint, an .onnx file, or a state_dict with --arch) spike, and write the network.

    Thresholds are the trained bounds of clip and QCFS activations; ReLU needs --data to find them on. The network
    written is what snncc compile, verify and profile take.
    """
    from snncc.errors import InputError
    from snncc.files import check_writable
    from snncc.registry import get, resolve_model
    from snncc.report import terminal

    if output.suffix not in (".pt", ".nir"):
        raise InputError(f"{output}: give a file that ends in .pt (a zoo checkpoint) or .nir")
    path = resolve_model(str(ann))
    if output.exists() and output.samefile(path):
        raise InputError(f"{output}: is the ANN itself; write to another file")
    check_writable(output)
    convert = get("snncc.converters", CONVERTER)
    with terminal.progress("running", not as_json) as update:
        made = convert(
            path, time_steps, rest["data_name"], rest["samples"], _search(rest), rest["v_init"],
            rest["max_pooling"] == "currents", rest["arch"], _entry(rest), rest["report_data"], rest["limit"], update,
        )  # fmt: skip
    if output.suffix == ".pt":
        made.write(output)
    else:
        from snncc.cli.export_ import write_nir

        write_nir(made.graph(), output)
    if as_json:
        terminal.print_json(facts(made, path, output))
    else:
        show(made, path, output)


def _search(rest: dict[str, Any]) -> dict[str, Any]:
    return {key: rest[key] for key in ("rule", "percentile", "per_channel", "replace_bounds")}


def _entry(rest: dict[str, Any]) -> dict[str, Any]:
    """What was said about the input, as numbers."""
    entry: dict[str, Any] = {"scale": rest["input_scale"]} if rest["input_scale"] is not None else {}
    for key, field, kind in (("input_shape", "shape", int), ("mean", "mean", float), ("std", "std", float)):
        if rest[key] is not None:
            entry[field] = _numbers(f"--{key.replace('_', '-')}", rest[key], kind)
    return entry


def _numbers(option: str, text: str, kind: type) -> tuple[Any, ...]:
    from math import isfinite

    try:
        values = tuple(kind(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(isfinite(v) for v in values) or (kind is int and min(values) < 1):
        what = "whole numbers above 0" if kind is int else "numbers"
        raise click.BadParameter(f"{text!r} is no list of {what}, such as 3,32,32", param_hint=option)
    return values


def facts(made: Any, path: Path, output: Path) -> dict[str, Any]:
    """The conversion as plain data."""
    return {
        "ann": str(path),
        "output": str(output),
        **made.record,
        "layers": [vars(threshold) for threshold in made.thresholds],
        "report_samples": made.samples,
        "accuracies": made.accuracies,
    }


def show(made: Any, path: Path, output: Path) -> None:
    """The conversion for a person."""
    from snncc.report import terminal

    terminal.fact("read", str(path))
    rows = [[t.layer, _span(t.value), t.rule, terminal.percent(t.clipped)] for t in made.thresholds]
    terminal.table(["layer", "threshold", "found by", "above it"], rows)
    if made.accuracies is not None:
        lines = [
            [str(t), terminal.percent(a), f"{100 * (a - made.ann_accuracy):+.2f}"] for t, a in made.accuracies.items()
        ]
        lines.append(["ANN", terminal.percent(made.ann_accuracy), ""])
        click.echo()
        terminal.table(["steps", "accuracy", "points from the ANN"], lines)
        terminal.fact("on", f"{made.samples:,} samples")
    terminal.fact("wrote", str(output), f"{made.network['time_steps']} steps, v(0) {made.record['v_init']}")


def _span(value: Any) -> str:
    """A number, or the range of an array."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value.min():.4g} … {value.max():.4g}"
