"""Builds a network of dense layers as a Brian2 C++ standalone program; run by a Python that has Brian2, not by snncc's.

    BRIAN_PYTHON benchmarks/brian_network.py NETWORK.npz FOLDER THREADS

Brian2 delivers a spike one step after it was fired, so that every layer is one step behind the layer before it; a sample
takes as many steps more, and fires the same spikes. The samples of ``NETWORK.npz`` run one after the other.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    defaultclock,
    device,
    ms,
    prefs,
    set_device,
)


def main(file: Path, folder: Path, threads: int) -> None:
    """Generate, compile and run once; the program can be run again as ``FOLDER/main``."""
    set_device("cpp_standalone", directory=str(folder), build_on_run=False)
    prefs.core.default_float_dtype = np.float32
    prefs.devices.cpp_standalone.openmp_threads = threads if threads > 1 else 0
    stored = np.load(file)
    layers = int(stored["layers"])
    period = int(stored["steps"]) + layers
    defaultclock.dt = 1 * ms
    groups = [
        SpikeGeneratorGroup(int(stored["inputs"]), stored["indices"], stored["times"] * ms, sorted=False, when="start")
    ]
    synapses, monitors = [], []
    for k in range(layers):
        weight = stored[f"weight{k}"]
        decay, fires = float(stored[f"decay{k}"]), bool(stored[f"fires{k}"])
        leaks = decay < 1
        names = {"theta": float(stored[f"threshold{k}"])} if fires else {}
        names |= {"tau": -1 / math.log(decay) * ms} if leaks else {}
        group = NeuronGroup(
            len(weight), "dv/dt = -v / tau : 1" if leaks else "v : 1", threshold="v > theta" if fires else None,
            reset="v = 0" if fires else None, method="exact" if leaks else None, namespace=names,
        )  # fmt: skip
        group.run_regularly("v = 0", dt=period * defaultclock.dt, when="start")
        for source, w in ((groups[-1], weight), (group, stored.get(f"recurrent{k}"))):
            if w is not None:
                made = Synapses(source, group, "w : 1 (constant)", on_pre="v_post += w")
                made.connect()
                made.w = np.ascontiguousarray(w.T).ravel()
                synapses.append(made)
        if fires:
            monitors.append(SpikeMonitor(group, record=False))
        groups.append(group)
    network = Network(*groups, *synapses, *monitors)
    network.schedule = ["start", "groups", "synapses", "thresholds", "resets", "end"]
    network.run(period * int(stored["samples"]) * ms)
    device.build(directory=str(folder), compile=True, run=True)
    print("spikes", *(m.num_spikes for m in monitors))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
