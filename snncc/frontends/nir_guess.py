"""What a NIR file does not say: which dialect it follows, and what that dialect leaves open.

Unsaid, the one dialect whose exporter the constants fit is taken, and its defaults with it; ``graph.origin["warnings"]`` then says
so in words. Where several dialects fit, none is taken. Strict reading refuses every guess and every such default, all at once,
each with the option that says it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from snncc.errors import DialectError
from snncc.frontends.dialects import DIALECTS, MANY_LEVELS, SILENT, NeuronRecord, Reading
from snncc.frontends.nir_fingerprint import Fit, fitting, says_dt, scaled_time_constants
from snncc.frontends.semantics import Semantics, option_of, options_of

GUESSED = "guessed"
"""Where a value came from, beside "option", "sidecar" and "default"."""
UNSAID = "the file does not say how its neurons reset or fire (NIR has no field for it)"


def with_dialect(
    where: str, semantics: Semantics, records: Sequence[NeuronRecord], input_name: str
) -> tuple[Semantics, Fit | None]:
    """``semantics`` with a dialect, and the guess if it is one. Raises :class:`DialectError` where none or several fit."""
    if "dialect" in semantics.values:
        return semantics, None
    fits = fitting(records, input_name)
    if len(fits) == 1:
        return _with(semantics, "dialect", fits[0].dialect), fits[0]
    say = f"Say whose network it is: --dialect {'|'.join(DIALECTS)}"
    if not fits:
        raise DialectError(f"{where}: {UNSAID}.\nNo known exporter writes such neurons. {say}")
    listed = "\n".join(
        f"  {f.dialect}: {f.evidence}: --dialect {f.dialect} {options_of(DIALECTS[f.dialect])}" for f in fits
    )
    raise DialectError(f"{where}: {UNSAID}.\nIt may be one of these, which give different spikes:\n{listed}\n{say}")


def with_time_constants(semantics: Semantics, records: Sequence[NeuronRecord]) -> Semantics:
    """``semantics`` with Norse's ``tau_scaled`` where nothing was said of time and τ makes sense only scaled."""
    said = {"tau_scaled", "dt"} & set(semantics.values)
    if semantics.values["dialect"] != "norse" or said or not scaled_time_constants(records):
        return semantics
    return _with(semantics, "tau_scaled", "yes")


def left_open(
    reading: Reading,
    settled: Mapping[str, Any],
    sources: Mapping[str, str],
    records: Sequence[NeuronRecord],
    delays: bool,
) -> dict[str, str]:
    """The options that change spikes, that the file cannot say and that nobody said: key to value, as text. ``delays``: the file
    has a Delay node, which counts in time steps."""
    fires = any(r.kind not in (*SILENT, "Threshold") for r in records)
    leaky = any(key in r.parameters for r in records for key in ("tau", "tau_mem"))
    steps = reading.dt is not None and not says_dt(records, reading.dt)
    matters = {
        "dt": steps and (leaky or delays or reading.dialect.integrate == "nir"),
        "norm_input": leaky,
        "tau_scaled": leaky,
        "transposed": True,
    }
    keys = [k for k in reading.dialect.options if sources[k] in ("default", GUESSED) and matters.get(k, fires)]
    return {key: _shown(key, settled[key]) for key in keys} if records else {}


def refuse(where: str, guess: Fit | None, dialect: str, opened: Mapping[str, str]) -> None:
    """Strict reading. Raises :class:`DialectError` with all that would have been guessed or taken by default."""
    lines = [f"  dialect: it looks like {dialect} ({guess.evidence}): --dialect {dialect}"] if guess else []
    lines += [f"  {key}: {value} by default: {option_of(DIALECTS[dialect], key)}" for key, value in opened.items()]
    if lines:
        raise DialectError("\n".join([f"{where}: --strict, and the file does not say, nor did anybody else:", *lines]))


def remarks(where: str, guess: Fit | None, dialect: str, opened: Mapping[str, str]) -> list[str]:
    """One line for a guessed dialect, one for all its defaults."""
    lines = []
    if guess is not None:
        lines.append(
            f"{where} does not say whose it is; read as {dialect} because {guess.evidence}; say --dialect {dialect} to silence "
            "this; --strict refuses it"
        )
    if opened:
        options = " ".join(option_of(DIALECTS[dialect], key) for key in opened)
        lines.append(
            f"{where} leaves open what changes spikes; taken as {dialect} has it by default: {defaults(opened)}; say {options} to "
            "silence this; --strict refuses it"
        )
    return lines


def defaults(opened: Mapping[str, str]) -> str:
    """What was taken, in one line."""
    return ", ".join(f"{key} {value}" for key, value in opened.items())


def _with(semantics: Semantics, key: str, value: str) -> Semantics:
    return Semantics({**semantics.values, key: value}, {**semantics.sources, key: GUESSED})


def _shown(key: str, value: Any) -> str:
    """A settled value as its option takes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key == "multi_spike" and value in (1, MANY_LEVELS):
        return "no" if value == 1 else "yes"
    if value is None:
        return "none"
    return value if isinstance(value, str) else f"{value:g}"
