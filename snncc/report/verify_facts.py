"""A verification as plain data: what ``--json`` prints, and what a baseline is read from."""

from __future__ import annotations

from typing import Any

import numpy as np

from snncc.baseline import per_sample_facts
from snncc.baseline_costs import Costs, cost_facts
from snncc.compare import Comparison
from snncc.verify import Verification


def verify_facts(
    v: Verification, target: str, data: str, costs: Costs | None = None, marks: np.ndarray | None = None
) -> dict[str, Any]:
    """Accuracies and shares in 0..1; a gate's figures in its own unit; ``costs`` and the ``marks`` of the samples for a later
    run to compare with."""
    return {
        "target": target,
        "samples": v.samples,
        "accuracy": {"float": v.float_accuracy, "integer": v.integer_accuracy, "target": v.target_accuracy},
        "accuracy_drop": v.drop,
        "accuracy_drop_interval_95": v.drop_interval,
        "samples_that_differ": None if v.lost is None else {"float_right": v.lost, "integer_right": v.won},
        "prediction_agreement": v.agreement,
        "spikes_per_inference": {"float": v.float_spikes, "integer": v.integer_spikes},
        "layers": [vars(layer) for layer in v.layers],
        "first_deviation_from_float": v.first_deviation,
        "fixed_sim_against_reference": _comparison(v.reference),
        "target_against_reference": v.target and _comparison(v.target),
        "gates": [{**vars(g), "passed": g.passed} for g in v.gates],
        "outcome": v.outcome,
        "passed": v.passed,
        "per_sample": per_sample_facts(v, data, marks),
        "costs": None if costs is None else cost_facts(costs),
    }


def _comparison(c: Comparison) -> dict[str, Any]:
    return {"samples": c.samples, "cells": c.cells, "differing": c.differing, "first": c.first and vars(c.first)}
