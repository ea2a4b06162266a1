"""A profile as plain values, for JSON, for a table of one fact a row, and for the pages that are made of them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from typing import Any

import numpy as np

from snncc.accuracy import correct, paired, steps_with_label
from snncc.energy.costs import Interval
from snncc.energy.record import account_dict
from snncc.evidence import Errors, interval
from snncc.profile import Layer, Measured, Profile

Array = np.ndarray
Facts = dict[str, Any]


def profile_facts(p: Profile, target: str, labels: Array | None, energy: bool = True) -> Facts:
    """Everything a profile says. Energies are joules an inference, times seconds, shares and accuracies of 1.

    ``sha256`` is that of all other values, as JSON with sorted keys: it changes with any count, constant, source or limit.
    """
    made: Facts = {
        "program": p.program.name,
        "target": target,
        "samples": p.measured.samples,
        "time_steps": p.program.time_steps,
        "accuracy": accuracy_facts(p.measured, labels),
        "layers": [_layer(layer, energy) for layer in p.layers],
        "total": _layer(p.total, energy),
        "placement": placement_facts(p) if energy or p.placement is not None else None,
        "energy": account_dict(p.account) if energy else None,
    }
    return {**made, "sha256": digest(made)}


def digest(facts: Facts) -> str:
    """SHA-256 of values as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def accuracy_facts(m: Measured, labels: Array | None) -> Facts:
    """Accuracies, None without labels or without a run of the float network; its spikes and agreement beside them.

    ``drop``: float minus integer; ``drop_interval_95``: where it lies for samples without end that are like these
    (:mod:`snncc.evidence`).
    """
    keys = ("integer", "float", "drop", "drop_interval_95", "agreement", "float_spikes")
    made: Facts = dict.fromkeys(keys)
    if labels is not None:
        made["integer"] = float(correct(m.predictions, labels).mean())
    if m.floats is None:
        return made
    made["agreement"] = float(np.mean(m.floats.predictions == m.predictions))
    made["float_spikes"] = m.floats.spikes
    if labels is not None:
        made["float"] = float(correct(m.floats.predictions, labels).mean())
        pairs = paired(m.floats.predictions, m.predictions, labels, steps_with_label(labels))
        made["drop"], made["drop_interval_95"] = pairs.mean, list(interval(pairs, Errors()))
    return made


def placement_facts(p: Profile) -> Facts:
    """Where the network is, or why it is nowhere."""
    if p.chip is None:
        return {"chip": None, "not_placed": p.unplaced}
    made: Facts = {
        "chip": p.chip.name,
        "sha256": p.chip.sha256,
        "not_checked": [limit.name for limit in p.chip.unchecked],
        "assumed": [x.name for x in (*p.chip.mesh.values(), *p.chip.limits.values()) if x.assumed],
        "sources": {x.name: x.source for x in (*p.chip.mesh.values(), *p.chip.limits.values())},
    }
    if p.placement is None:
        return {**made, "not_placed": p.unplaced, "findings": [vars(f) for f in p.findings]}
    return {
        **made,
        "cores": len(p.placement.partition.cores),
        "tiles": p.placement.tiles_used,
        "chips": p.placement.chips_used,
        "hop_weighted": p.placement.cost,
        "hop_weighted_in_order": p.placement.naive_cost,
        "cut": "fastest" if p.placement.partition.least else "fewest",
    }


def _layer(layer: Layer, energy: bool) -> Facts:
    made: Facts = {
        "layer": layer.name,
        "neurons": layer.neurons,
        "cores": layer.cores,
        **layer.per_inference,
        "synaptic_operations": layer.synaptic_operations,
    }
    if energy:
        made["energy_s1"] = _interval(layer.energy)
        made["energy_s1_by_event"] = {event: _interval(e) for event, e in layer.energies.items()}
    return made


def _interval(e: Interval) -> dict[str, float]:
    return {"low": e.low, "typ": e.typ, "high": e.high}


CSV_COLUMNS = ("part", "name", "quantity", "unit", "value", "low", "high", "p5", "p50", "p95", "note")
ESTIMATES = ("typ", "low", "high", "p5", "p50", "p95")


def profile_csv(facts: Facts) -> str:
    """One fact a row: ``value`` is typical where there is an interval, and empty, with a note, where nothing is modelled."""
    rows: list[list[Any]] = [["run", facts["program"], key, "", facts[key], *[""] * 6] for key in ("target", "sha256")]
    rows += [["run", facts["program"], key, "1", facts[key], *[""] * 6] for key in ("samples", "time_steps")]
    for key in ("integer", "float", "drop", "agreement"):
        if facts["accuracy"].get(key) is not None:
            ends = (facts["accuracy"]["drop_interval_95"] if key == "drop" else None) or ["", ""]
            note = "95 % interval" if key == "drop" else ""
            rows.append(["accuracy", key, "accuracy", "1", facts["accuracy"][key], *ends, *[""] * 3, note])
    for layer in (*facts["layers"], facts["total"]):
        part = "total" if layer is facts["total"] else "layer"
        for key, value in layer.items():
            if isinstance(value, int | float):
                unit = "1" if key in ("neurons", "cores") else "1/inference"
                rows.append([part, layer["layer"], key, unit, value, *[""] * 6])
        if "energy_s1" in layer:
            rows.append([part, layer["layer"], "energy_s1", "J/inference", *_estimate(layer["energy_s1"]), ""])
    for key, value in (facts["placement"] or {}).items():
        if key in ("chip", "sha256", "cores", "tiles", "chips", "not_placed"):
            rows.append(["placement", facts["program"], key, "", value, *[""] * 6])
    if facts["energy"] is not None:
        rows += _energy_rows(facts["energy"])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([CSV_COLUMNS, *rows])
    return text.getvalue()


def _energy_rows(a: Facts) -> list[list[Any]]:
    rows = []
    for scope in a["scopes"]:
        note = f"not modelled: {scope['not_modelled']}" if "not_modelled" in scope else ", ".join(scope["leaves_out"])
        if scope["scope"] != "S0":
            rows.append(["scope", scope["scope"], "energy", "J/inference", *_estimate(scope["energy"]), note])
    for term in a["terms"]:
        note = f"not modelled: {term['not_modelled']}" if "not_modelled" in term else ""
        rows.append(["term", term["name"], "count", "1/inference", term["per_inference"], *[""] * 6])
        rows.append(["term", term["name"], "energy", "J/inference", *_estimate(term["energy"]), note])
        rows.append(["term", term["name"], "share", "1", term["share"], *[""] * 6])
    missing = a["latency_leaves_out"].get("latency", "")
    rows.append(["latency", "inference", "time", "s", *_estimate(a["latency_seconds"]), missing])
    edp = a["energy_delay_product"]
    rows.append(
        ["latency", "energy_delay_product", "energy × time", "J·s", *_estimate(edp["value"]), edp["definition"]]
    )
    for what in ("name", "grade", "sha256"):
        rows.append(["costs", a["costs"]["name"], what, "", a["costs"][what], *[""] * 6])
    return rows


def _estimate(value: Facts | None) -> list[Any]:
    return [""] * len(ESTIMATES) if value is None else [value.get(key, "") for key in ESTIMATES]
