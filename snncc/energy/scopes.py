"""Which events there are, which cost prices each, and in which scope: the whole energy model as tables.

A scope adds to the one before it: S0 operations, S1 core dynamic, S2 + network on chip, S3 + static power, S4 + management
processors and host, S5 board. Over all T steps of an inference that takes t_inf (docs/energy.md)::

    E_S1 = N_mapped·e_acc + N_active·e_upd + N_fired·e_spk + Σ_format S·e_syn + A_in·e_axin + A_out·e_axout
    E_S2 = E_S1 + Σ hops·e_hop + crossings·e_chip + T·cores·e_sync
    E_S3 = E_S2 + (cores·P_core + chips·P_chip)·t_inf
    E_S4 = E_S3 + chips·P_mgmt·t_inf + T·e_mgmt + I_in·e_in + O_out·e_out
    E_S5 = E_S4 + P_board·t_inf
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

PLACED_EVENTS = {
    "hops_east_west": "messages times tiles that each goes east or west",
    "hops_north_south": "messages times tiles that each goes north or south",
    "chip_crossings": "messages times chips that each leaves",
    "inputs": "values that the host sends",
    "outputs": "values that the host fetches",
}
"""Counters that need neurons placed on cores, or a host."""

FOLLOWING = {
    "core_steps": "cores in use × steps, each waiting for the others",
    "steps": "steps that the management processors see to",
    "core_static": "leakage of the cores in use, for the time of an inference",
    "chip_static": "leakage of the chips besides their cores, for that time",
    "management": "management processors of the chips in use, for that time",
    "board": "everything else on the board, for that time",
}
"""Terms that are not counted but follow from the run: name to meaning."""

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

PLACED_TERMS = (
    Term("hops_east_west", "hop_east_west", "S2"),
    Term("hops_north_south", "hop_north_south", "S2"),
    Term("chip_crossings", "chip_crossing", "S2"),
    Term("core_steps", "synchronisation", "S2"),
    Term("steps", "management_step", "S4"),
    Term("inputs", "input", "S4"),
    Term("outputs", "output", "S4"),
    Term("host_operations", "host_operation", "S4"),
)
"""``core_steps`` are cores × steps and ``steps`` steps, of all samples: both follow from the run and are not counted."""


@dataclass(frozen=True)
class StaticTerm:
    """Power that flows for as long as an inference takes: ``number`` of ``cost`` (a power), in ``scope``."""

    name: str
    number: str
    cost: str
    scope: str


STATIC_TERMS = (
    StaticTerm("core_static", "cores", "core", "S3"),
    StaticTerm("chip_static", "chips", "chip", "S3"),
    StaticTerm("management", "chips", "management", "S4"),
    StaticTerm("board", "boards", "board", "S5"),
)


@dataclass(frozen=True)
class Scope:
    """A line of the report."""

    key: str
    title: str


SCOPES = (
    Scope("S0", "operations"),
    Scope("S1", "core dynamic"),
    Scope("S2", "+ network on chip"),
    Scope("S3", "+ static power"),
    Scope("S4", "+ management processors and host"),
    Scope("S5", "board"),
)

GRADES = {
    "A": "validated on silicon",
    "B": "calibrated on aggregates",
    "C": "per-operation literature only",
    "D": "assumed",
}
"""How far a set of costs may be believed."""
