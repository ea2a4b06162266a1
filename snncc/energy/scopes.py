"""Which events there are, which cost prices each, and in which scope: the whole energy model as three tables.

A scope adds to the one before it: S0 operations, S1 core dynamic, S2 + network on chip, S3 + static power, S4 + management
processors and host, S5 board. Core dynamic energy over all steps (docs/energy.md)::

    E = N_mapped·e_acc + N_active·e_upd + N_fired·e_spk + Σ_format S·e_syn + A_in·e_axin + A_out·e_axout
"""

from __future__ import annotations

from dataclasses import dataclass

EVENTS = {
    "updates": "neurons accessed: every mapped neuron in every step",
    "active": "neurons whose state a spike, a current, a bias or a leak may change in the step",
    "spikes": "neurons that fired; a graded spike is one",
    "synaptic_dense": "synaptic operations of fully connected weights",
    "synaptic_sparse": "synaptic operations of listed weights",
    "synaptic_conv": "synaptic operations of convolutions",
    "axons_in": "messages that reach the population",
    "axons_out": "messages that leave the population",
    "host_operations": "multiply-accumulates of a static input, done once on the host and injected as a current each step",
}
"""Event counters of S0: name to meaning. Synaptic operations are non-zero weight × non-zero source × valid position."""

SYNAPTIC_EVENTS = ("synaptic_dense", "synaptic_sparse", "synaptic_conv")


@dataclass(frozen=True)
class Term:
    """One product of the model: the count of ``event`` times ``cost``, in ``scope``."""

    event: str
    cost: str
    scope: str


TERMS = (
    Term("updates", "neuron_access", "S1"),
    Term("active", "neuron_update", "S1"),
    Term("spikes", "spike_out", "S1"),
    Term("synaptic_dense", "synapse_dense", "S1"),
    Term("synaptic_sparse", "synapse_sparse", "S1"),
    Term("synaptic_conv", "synapse_conv", "S1"),
    Term("axons_in", "axon_in", "S1"),
    Term("axons_out", "axon_out", "S1"),
)


@dataclass(frozen=True)
class Scope:
    """A line of the report. ``missing`` says why it holds no figure yet; empty where it does."""

    key: str
    title: str
    missing: str = ""


SCOPES = (
    Scope("S0", "operations"),
    Scope("S1", "core dynamic"),
    Scope("S2", "+ network on chip", "hops and synchronisation need neurons placed on cores"),
    Scope("S3", "+ static power", "leakage needs the cores in use and the time an inference takes"),
    Scope("S4", "+ management processors and host", "needs the time an inference takes and a described host"),
    Scope("S5", "board", "no board is described"),
)

GRADES = {
    "A": "validated on silicon",
    "B": "calibrated on aggregates",
    "C": "per-operation literature only",
    "D": "assumed",
}
"""How far a set of costs may be believed."""
