"""Whose exporter wrote a NIR file, from the constants and names that it left behind.

A dialect *fits* a file if every neuron is one that the framework's exporter would write (snnTorch 1.0, SpikingJelly 2.0, Norse
1.1, sinabs 3.1, Rockpool 3.1, Spyx 0.1). ``euler`` and ``exact`` fit whatever a person wrote by hand, and are named only where
the constants carry no mark of an exporter. What fits alone is a guess that :mod:`snncc.frontends.nir_guess` may take; what fits
beside others is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from snncc.frontends.dialects import DIALECTS, NeuronRecord
from snncc.frontends.nir_neurons import lambert_w

Array = np.ndarray

EXPORT_DT = 1e-4
"""Time step in seconds of the exporters of snnTorch and SpikingJelly."""
SCALED = (1e-6, 1e-4)
"""τ·dt in seconds² for time constants of 1 to 100 ms at Norse's time step of 1 ms; as seconds, shorter than any network's."""
TOLERANCE = 1e-4
"""Relative; exporters compute in float32."""
EXPORTER_INPUT = "input"
"""Name that nirtorch's ``extract_nir_graph`` gives the input; its torch.fx tracer, which SpikingJelly's exporter uses, never
does."""

TRACED_INPUT = "input_1"
"""Name that torch.fx gives the input of an ``nn.Sequential``; nobody would write it by hand."""


@dataclass(frozen=True)
class Fit:
    """A dialect that a file's neurons fit, and why in one line."""

    dialect: str
    evidence: str


def fitting(records: Sequence[NeuronRecord], input_name: str) -> tuple[Fit, ...]:
    """Every dialect that all of ``records`` fit; ``input_name`` is the name of the file's outermost input node."""
    fits = [fit for name, rule in _RULES.items() if (fit := _fit(name, rule, records)) is not None]
    traced = input_name != EXPORTER_INPUT
    named = [f for f in fits if (f.dialect == "spikingjelly") == traced]
    if 0 < len(named) < len(fits):
        how = "as a torch.fx tracer has it" if traced else "as SpikingJelly's exporter never has it"
        fits = [replace(f, evidence=f"{f.evidence}; the input is named {input_name!r}, {how}") for f in named]
    by_hand = [f.dialect for f in fits] in (["norse"], ["spikingjelly"]) and input_name != TRACED_INPUT
    if by_hand and any(_in_seconds(r) for r in records):
        fits.append(Fit("euler", "files written by hand have r = 1 and τ in seconds too"))
    return tuple(fits)


def scaled_time_constants(records: Sequence[NeuronRecord]) -> bool:
    """Whether all time constants are so short that only Norse's exporter can have written them, as τ·dt."""
    taus = [v for r in records for key, v in r.parameters.items() if key in ("tau", "tau_mem", "tau_syn")]
    return bool(taus) and all(np.all(SCALED[0] <= t) and np.all(t < SCALED[1]) for t in taus)


def says_dt(records: Sequence[NeuronRecord], dt: float) -> bool:
    """Whether the file itself holds ``dt``: r = τ/dt, or 1/dt without a leak, for every neuron."""
    with np.errstate(all="ignore"):
        return all(_near(r.parameters.get("r", np.nan), _tau(r) / dt) for r in records)


def _fit(name: str, rule: Callable[[NeuronRecord], str], records: Sequence[NeuronRecord]) -> Fit | None:
    dialect = DIALECTS[name]
    found: dict[str, None] = {}
    for record in records:
        if record.kind not in dialect.kinds or any(np.any(record.parameters.get(k, 0)) for k in dialect.must_be_zero):
            return None
        found[rule(record)] = None
    if not found or "" in found or (name == "rockpool" and len(found) > 1):  # Rockpool's evidence holds its one dt
        return None
    return Fit(name, ", ".join(found))


def _snntorch(record: NeuronRecord) -> str:
    return "r = τ/1e-4" if _by_export_dt(record) else ""


def _spikingjelly(record: NeuronRecord) -> str:
    given = record.parameters
    if not _near(given.get("v_leak", given.get("v_reset", 0.0)), given.get("v_reset", 0.0)):
        return ""
    if record.kind == "IF":
        return "r = 1/1e-4 without a leak" if _near(given["r"], 1 / EXPORT_DT) else ""
    if _by_export_dt(record):
        return "r = τ/1e-4, as it writes without decay_input"
    steps = _tau(record) / EXPORT_DT
    counts = record.kind == "LIF" and _near(given["r"], 1.0) and np.all(steps >= 1) and np.all(_tau(record) < 1)
    return "r = 1 and τ in seconds, as it writes with decay_input" if counts else ""


def _norse(record: NeuronRecord) -> str:
    given = record.parameters
    if not _near(given["r"], 1.0) or not _near(given.get("w_in", 1.0), 1.0) or np.any(_tau(record, 0.0) >= 1):
        return ""
    if record.kind == "IF":
        return "r = 1 without a leak"
    return "r = 1 and τ·dt in place of τ" if scaled_time_constants([record]) else "r = 1 and τ in seconds"


def _sinabs(record: NeuronRecord) -> str:
    if not _near(record.parameters["r"], 1.0) or np.any(_tau(record) < 1):
        return ""
    return "r = 1 without a leak" if record.kind == "IF" else "r = 1 and τ counts steps"


def _rockpool(record: NeuronRecord) -> str:
    given, tau = record.parameters, _tau(record)
    if np.any(given["r"] <= 0) or not _near(given.get("w_in", 1.0), 1.0):
        return ""
    with np.errstate(all="ignore"):
        steps = tau * lambert_w(1.0 / given["r"])
    middle = float(np.median(steps))
    short = float(f"{middle:.2g}")
    if not np.all(np.abs(steps - middle) <= 1e-5 * middle) or np.any(tau >= 1):
        return ""
    if abs(short - middle) <= 1e-5 * middle:
        return f"r = τ/dt·exp(−dt/τ) for dt = {short:g}"
    return f"r = τ/dt·exp(−dt/τ) for dt = {middle:.4g}, and its names" if "Torch" in record.name else ""


def _spyx(record: NeuronRecord) -> str:
    tau = _tau(record, np.inf)
    if np.any(tau <= 1) or not _near(record.parameters["r"], 1.0 - 1.0 / tau):
        return ""
    return "r = 1 without a leak" if record.kind == "IF" else "r = 1 − 1/τ"


_RULES: Mapping[str, Callable[[NeuronRecord], str]] = {
    "snntorch": _snntorch,
    "spikingjelly": _spikingjelly,
    "norse": _norse,
    "sinabs": _sinabs,
    "rockpool": _rockpool,
    "spyx": _spyx,
}
"""What each exporter writes: the evidence where a neuron fits, nothing where it does not."""


def _tau(record: NeuronRecord, missing: float = 1.0) -> Array:
    """The membrane's time constant; ``missing`` for a neuron without a leak."""
    given = record.parameters
    return np.asarray(given.get("tau", given.get("tau_mem", missing)))


def _by_export_dt(record: NeuronRecord) -> bool:
    """r = τ/1e-4, on the current too."""
    given = record.parameters
    synapse = given["tau_syn"] / EXPORT_DT if "tau_syn" in given else 1.0
    return _near(given["r"], _tau(record) / EXPORT_DT) and _near(given.get("w_in", 1.0), synapse)


def _in_seconds(record: NeuronRecord) -> bool:
    """r = 1 and τ of 0.1 ms to 1 s."""
    return record.kind != "IF" and _near(record.parameters["r"], 1.0) and not scaled_time_constants([record])


def _near(value: Array | float, wanted: Array | float) -> bool:
    """Whether all of ``value`` is ``wanted``, to the precision of float32 constants."""
    with np.errstate(all="ignore"):
        return bool(np.allclose(value, wanted, rtol=TOLERANCE, atol=0.0))
