"""NIR files that the frameworks write with their own exporters, against the frameworks' own runs of the same networks:
100 steps, 3 seeds, 0 differing spikes; and what those exporters leave out, as a measured difference. ``pytest -s`` prints
the tables.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nir_export_cases import EXPORTS, Export, framework, norse_neuron, rockpool_neuron, sinabs_neuron, snntorch_neuron
from nir_export_runs import compare

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporters warn of their own deprecations
SEEDS = (1, 2, 3)


@pytest.mark.parametrize("case", EXPORTS, ids=lambda case: case.label)
def test_export_runs_as_the_framework(case: Export, tmp_path: Path) -> None:
    found = [compare(case, kind, seed, tmp_path / "net.nir") for kind in case.kinds for seed in SEEDS]
    differing, cells, active = (sum(column) for column in zip(*found, strict=True))
    kinds = "+".join(case.kinds)
    print(f"{case.framework:13}{case.neuron:21}{case.reset:24}{kinds:11}{differing:5} of {cells:6}, {active:5} active")
    assert differing == 0
    assert active > 100


def subtracting() -> dict[str, Any]:
    return {"reset_method": framework("norse.torch.functional.reset").reset_subtract}


LOST: dict[str, Callable[[], Export]] = {
    "snntorch: no reset": lambda: Export(
        "snntorch", "Leaky", "none", snntorch_neuron("Leaky", "none", True), {"reset": "subtract"}
    ),
    "sinabs: synaptic current": lambda: Export(
        "sinabs",
        "LIF tau_syn",
        "subtract",
        sinabs_neuron("LIF", "subtract", True, tau_syn=3.0, norm_input=False),
        {"norm_input": "no"},
        layout="squeezed",
    ),
    "sinabs: clamp": lambda: Export(
        "sinabs", "IAF", "subtract", sinabs_neuron("IAF", "subtract", True, min_v_mem=-1.0), layout="squeezed"
    ),
    "sinabs: one spike a step": lambda: Export(
        "sinabs", "IAF", "subtract", sinabs_neuron("IAF", "subtract", False), layout="squeezed"
    ),
    "norse: reset by subtraction": lambda: Export(
        "norse",
        "LIFBoxCell",
        "subtract",
        norse_neuron("LIFBoxCell", tau_mem_inv=170.0, v_th=0.3, **subtracting()),
        {"tau_scaled": "yes"},
    ),
    "norse: reset value": lambda: Export(
        "norse", "IAFCell", "to -0.25", norse_neuron("IAFCell", v_th=1.3, v_reset=-0.25), {"tau_scaled": "yes"}
    ),
    "rockpool: bias": lambda: Export(
        "rockpool", "LIFTorch", "bias", rockpool_neuron(1.0, 0.03125), {"multi_spike": "no"}, layout="batch_time"
    ),
    "rockpool: recurrence": lambda: Export(
        "rockpool",
        "LIFTorch",
        "recurrent",
        rockpool_neuron(1.0, recurrent=True),
        {"multi_spike": "no"},
        layout="batch_time",
    ),
    "rockpool: one spike a step": lambda: Export(
        "rockpool", "LIFTorch", "one spike", rockpool_neuron(1.0), layout="batch_time"
    ),
}
"""What a file does not hold, where a reader who was not told gets another network."""


@pytest.mark.parametrize("lost", LOST)
def test_what_an_exporter_leaves_out_shows(lost: str, tmp_path: Path) -> None:
    case = LOST[lost]()
    found = [compare(case, "dense", seed, tmp_path / "net.nir") for seed in SEEDS]
    differing, cells, _ = (sum(column) for column in zip(*found, strict=True))
    print(f"{lost:35}{differing:5} of {cells:6} differ")
    assert differing > 0
