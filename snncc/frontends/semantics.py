"""How a file is to be read: options, the sidecar file, and the defaults, each with a record of where it came from.

An option comes from the command line, else from the sidecar ``MODEL.semantics.toml``, else from the file's own
metadata, else from a named default. Nothing is taken silently: :attr:`Semantics.sources` says where every value came
from. A sidecar::

    dialect = "snntorch"
    time_steps = 100
    [options]            # what the dialect leaves open
    reset = "zero"
    [input]
    encoding = "frames"
    scale = 0.00392156862745098
    low = 0
    high = 255
    [output]
    readout = "spike_count"
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snncc.errors import InputError
from snncc.frontends.dialects import DIALECTS, Dialect, Reading
from snncc.ir.nodes import INPUT_ENCODINGS, READOUTS, TIE_RULES, Input, Output
from snncc.tables import read_toml_or_json

MAX_TIME_STEPS = 1_000_000
MAX_SIDECAR_BYTES = 1 << 20
BYTE_SCALE = 1.0 / 255.0
"""What one unit of an 8-bit pixel is worth."""

OPTIONS: Mapping[str, str] = {
    "dialect": "whose network it is: " + ", ".join(DIALECTS),
    "time_steps": "how many steps one sample runs",
    "states": "ONNX: which input of a step is which output after it: IN:OUT,IN:OUT",
    "dt": "time step in the unit of the file's time constants (seconds)",
    "reset": "subtract or zero (to v_reset where the framework has one)",
    "reset_delay": "yes: the reset acts in the next step (snnTorch's default); no: at once",
    "multi_spike": "yes: several spikes a step; no: one; or the most spikes a step",
    "v_min": "lower clamp of the membrane: none, -threshold, or a number",
    "norm_input": "sinabs: yes: the input is scaled by 1 − decay",
    "tau_scaled": "Norse: yes: the exporter wrote τ·dt in place of τ",
    "transposed": "Spyx: yes: dense weights are stored (in, out)",
    "input_encoding": "static, frames or spikes",
    "input_scale": "what one unit of the integer input is worth",
    "input_low": "least integer input",
    "input_high": "greatest integer input",
    "readout": ", ".join(READOUTS),
    "ties": ", ".join(TIE_RULES),
    "time_weights": "whole numbers, one a step, for weighted_count",
    "each_step": "yes: every step has an answer of its own; no: one a sample",
}
DIALECT_OPTIONS = ("dt", "reset", "reset_delay", "multi_spike", "v_min", "norm_input", "tau_scaled", "transposed")


@dataclass(frozen=True)
class Semantics:
    """Options that were given, as text, with where each came from ("option", "sidecar")."""

    values: Mapping[str, str]
    sources: Mapping[str, str]


def collect(path: Path, options: Mapping[str, str]) -> Semantics:
    """The options of a file and its sidecar. Raises :class:`InputError` on an unknown one, listing the known."""
    values, sources = _sidecar(path)
    for key, value in options.items():
        name = _known(path.name, key.replace("-", "_"))
        values[name], sources[name] = str(value), "option"
    return Semantics(values, sources)


def _known(where: str, name: str) -> str:
    if name not in OPTIONS:
        raise InputError(f"{where}: unknown option {name!r}; a NIR file takes {', '.join(OPTIONS)}")
    return name


def _sidecar(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    found = [
        p for p in (path.with_name(path.name + ".semantics.toml"), path.with_suffix(".semantics.toml")) if p.is_file()
    ]
    if not found:
        return {}, {}
    if len(found) > 1:
        raise InputError(f"{found[0].name} and {found[1].name} both describe {path.name}; remove one of them")
    file = found[0]
    table = read_toml_or_json(file, "a semantics file", MAX_SIDECAR_BYTES).content
    values: dict[str, str] = {}
    for key, value in table.items():
        prefix = {"input": "input_", "output": "", "options": ""}.get(key)
        if isinstance(value, dict) and prefix is not None:
            for inner, leaf in value.items():
                values[_known(file.name, prefix + inner)] = _plain(file.name, inner, leaf)
        else:
            values[_known(file.name, key)] = _plain(file.name, key, value)
    return values, dict.fromkeys(values, "sidecar")


def _plain(where: str, key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float | str):
        return str(value)
    if isinstance(value, list) and all(isinstance(v, int) and not isinstance(v, bool) for v in value):
        return ",".join(str(v) for v in value)
    raise InputError(f"{where}: {key} is a {type(value).__name__}; text, a number, true or false is needed")


def settle(where: str, semantics: Semantics) -> tuple[Reading, dict[str, Any], dict[str, str]]:
    """The dialect with its options: (reading, settled values, their sources), defaults named as such.
    Raises :class:`InputError` on a value out of range or an option the dialect does not have."""
    name = semantics.values["dialect"]
    if name not in DIALECTS:
        raise InputError(f"{where}: dialect is {name!r}; the known ones are {', '.join(DIALECTS)}")
    dialect = DIALECTS[name]
    for key in DIALECT_OPTIONS:
        if key in semantics.values and key not in dialect.options:
            raise InputError(f"{where}: the dialect {name} has no option {key!r}; it has {', '.join(dialect.options)}")
    reading = Reading(
        dialect,
        reset=dialect.resets[0],
        reset_delay=bool(dialect.delayed),
        dt=dialect.dt,
        levels=dialect.levels,
    )
    for key in dialect.options:
        if key in semantics.values:
            reading = _with_option(where, reading, key, semantics.values[key])
    settled: dict[str, Any] = {"dialect": name, "reset": reading.reset, "dt": reading.dt}
    shown = {"multi_spike": reading.levels}
    settled.update({key: shown.get(key, getattr(reading, key, None)) for key in dialect.options})
    return reading, settled, {key: semantics.sources.get(key, "default") for key in settled}


def _with_option(where: str, reading: Reading, key: str, text: str) -> Reading:
    dialect = reading.dialect
    if key == "reset":
        if text not in dialect.resets:
            raise InputError(
                f"{where}: reset is {text!r}; the dialect {dialect.name} resets by {' or '.join(dialect.resets)}"
            )
        return replace(reading, reset=text)
    if key == "dt":
        return replace(reading, dt=number(where, key, text, above=0.0))
    if key == "multi_spike":
        if text in ("yes", "true", "no", "false"):
            return replace(reading, levels=dialect.levels if yes(where, key, text) else 1)
        return replace(reading, levels=whole(where, key, text, 1, 2**31 - 1))
    if key == "v_min":
        if text in ("none", "-threshold"):
            return replace(reading, v_min=None if text == "none" else text)
        low = number(where, key, text)
        if low > 0:
            raise InputError(f"{where}: v_min is {low:g}; a lower clamp lies at 0 or below")
        return replace(reading, v_min=low)
    return replace(reading, **{key: yes(where, key, text)})  # type: ignore[arg-type]


def yes(where: str, key: str, text: str) -> bool:
    """``yes`` or ``no`` (or true, false)."""
    if text.lower() in ("yes", "true", "no", "false"):
        return text.lower() in ("yes", "true")
    raise InputError(f"{where}: {key} is {text!r}; it must be yes or no")


def number(where: str, key: str, text: str, above: float = -math.inf) -> float:
    """A finite number above ``above``."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= above:
        limit = "" if above == -math.inf else f" above {above:g}"
        raise InputError(f"{where}: {key} is {text!r}; it must be a number{limit}")
    return value


def whole(where: str, key: str, text: str, low: int, high: int) -> int:
    """A whole number in low..high."""
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise InputError(f"{where}: {key} is {text!r}; it must be a whole number in {low}..{high}")
    return value


def settled_time_steps(where: str, semantics: Semantics, known: int | None) -> tuple[int, str]:
    """(time steps, source); ``known`` are those of the file's metadata."""
    if "time_steps" in semantics.values:
        steps = whole(where, "time_steps", semantics.values["time_steps"], 1, MAX_TIME_STEPS)
        return steps, semantics.sources["time_steps"]
    if known is None:
        raise InputError(f"{where}: the file does not say how many steps a sample runs; say so: --time-steps N")
    return known, "metadata"


def settled_input(
    where: str, semantics: Semantics, shape: tuple[int, ...], known: Input | None
) -> tuple[Input, dict[str, str]]:
    """The input node and where its fields came from. Defaults: spikes 0..1; 8-bit values times 1/255 otherwise."""
    values = semantics.values
    if known is None or values.get("input_encoding", known.encoding) != known.encoding:
        spikes = values.get("input_encoding", "spikes") == "spikes"
        base = Input(shape, "spikes", 1.0, 0, 1) if spikes else Input(shape, "static", BYTE_SCALE, 0, 255)
        origin = "default"
    else:
        base, origin = known, "metadata"
    encoding = values.get("input_encoding", base.encoding)
    if encoding not in INPUT_ENCODINGS:
        raise InputError(f"{where}: input_encoding is {encoding!r}; it must be one of {', '.join(INPUT_ENCODINGS)}")
    limit = 2**31 - 1
    scale = number(where, "input_scale", values["input_scale"], above=0.0) if "input_scale" in values else base.scale
    low = whole(where, "input_low", values["input_low"], -limit, limit) if "input_low" in values else base.low
    high = whole(where, "input_high", values["input_high"], -limit, limit) if "input_high" in values else base.high
    node = replace(base, encoding=encoding, scale=scale, low=low, high=high)
    keys = ("input_encoding", "input_scale", "input_low", "input_high")
    return node, {key: semantics.sources.get(key, origin) for key in keys}


def settled_output(
    where: str, semantics: Semantics, steps: int, known: Output, origin: str
) -> tuple[Output, dict[str, str]]:
    """The output node and where its fields came from; ``known`` holds what ``origin`` says."""
    values = semantics.values
    readout, ties = values.get("readout", known.readout), values.get("ties", known.ties)
    for key, value, allowed in (("readout", readout, READOUTS), ("ties", ties, TIE_RULES)):
        if value not in allowed:
            raise InputError(f"{where}: {key} is {value!r}; it must be one of {', '.join(allowed)}")
    weights = known.time_weights if readout == "weighted_count" else None
    if "time_weights" in values:
        parts = values["time_weights"].split(",")
        weights = tuple(whole(where, "time_weights", part.strip(), -(2**31), 2**31) for part in parts)
    if readout == "weighted_count" and (weights is None or len(weights) != steps):
        have = "none" if weights is None else str(len(weights))
        raise InputError(
            f"{where}: weighted_count needs one time weight a step ({steps}), and there are {have}: time_weights"
        )
    each_step = yes(where, "each_step", values["each_step"]) if "each_step" in values else known.each_step
    node = Output(readout, ties, weights, each_step)
    keys = ("readout", "ties", "each_step") if each_step else ("readout", "ties")
    return node, {key: semantics.sources.get(key, origin) for key in keys}


def options_of(dialect: Dialect) -> str:
    """The options of a dialect as a command line shows them."""
    return " ".join(f"[{option_of(dialect, key)}]" for key in dialect.options)


def option_of(dialect: Dialect, key: str) -> str:
    """One option as a command line takes it, with its choices."""
    choices = {"reset": "|".join(dialect.resets), "dt": "SECONDS", "multi_spike": "yes|no|N"}
    choices["v_min"] = "none|-threshold|NUMBER"
    flags = {"reset", "reset_delay", "dt", "v_min", "multi_spike"}  # the others are given as --opt KEY=VALUE
    value = choices.get(key, "yes|no")
    return f"--{key.replace('_', '-')} {value}" if key in flags else f"--opt {key}={value}"
