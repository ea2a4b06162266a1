"""What the pipelines of our targets have in common."""

from __future__ import annotations

from snncc.pipeline import Pass
from snncc.target import CompileOptions


def float_passes(options: CompileOptions) -> tuple[Pass, ...]:
    """From an imported Graph to one synapse between populations, and a look at the activity."""
    from snncc.passes.calibrate import Calibrate
    from snncc.passes.fold_batch_norm import FoldBatchNorm
    from snncc.passes.fold_pooling import FoldPooling
    from snncc.passes.fold_spike_values import FoldSpikeValues
    from snncc.passes.integrate_readout import IntegrateReadout
    from snncc.passes.merge_synapses import MergeSynapses
    from snncc.passes.relay_max_pooling import RelayMaxPooling
    from snncc.passes.remove_identities import RemoveIdentities

    return (
        RemoveIdentities(),
        RelayMaxPooling(),
        FoldBatchNorm(),
        FoldPooling(),
        FoldSpikeValues(),
        IntegrateReadout(),
        MergeSynapses(),
        Calibrate(options.calibration),
    )


def exact_pipeline(options: CompileOptions) -> tuple[Pass, ...]:
    """The common passes, then quantisation in exact arithmetic with guard bits."""
    from snncc.passes.learn_rounding import learned_passes
    from snncc.passes.quantise import Quantise

    guard_bits = 6 if options.guard_bits is None else options.guard_bits
    quantise = Quantise(options.bits, guard_bits, options.per_channel, layer_bits=options.layer_bits)
    return (*float_passes(options), quantise, *learned_passes(options.rounding, options.calibration))
