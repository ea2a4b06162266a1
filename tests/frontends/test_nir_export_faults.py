"""What the frameworks' NIR exporters lose, keep too much of, or refuse, and what the reader says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nir_export_cases import (
    EXPORTS,
    Export,
    Make,
    framework,
    nn,
    norse_exports,
    norse_neuron,
    on_grid,
    rockpool_exports,
    snntorch_neuron,
    spikingjelly_neuron,
    torch,
)
from nir_export_runs import differing, exported, network, nir, read, theirs, written
from torch_networks import frames

from snncc.errors import DialectError, GraphError, InputError
from snncc.frontends.nir import read_nir
from snncc.ir.interpreter import run_graph

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporters warn of their own deprecations


def test_snntorch_resets_that_cannot_be_said(tmp_path: Path) -> None:
    inputs = frames("dense", 1)
    for kind, reset, delay, error, message in (
        ("Leaky", "none", "yes", InputError, "reset is 'none'; the dialect snntorch resets by subtract or zero"),
        ("RSynaptic", "zero", "no", InputError, "RSynaptic ignores reset_delay=False"),
    ):
        make = snntorch_neuron(kind, reset, delay == "yes" or kind == "RSynaptic")
        case = Export("snntorch", kind, reset, make, {"reset": reset, "reset_delay": delay})
        path = written(tmp_path / "net.nir", exported(case, network(case, "dense", 1), inputs))
        with pytest.raises(error, match=message):
            read(case, path)


def test_norse_writes_scaled_time_constants(tmp_path: Path) -> None:
    """Norse 1.1.0 writes τ·dt; unsaid, that is seen, and said in a warning."""
    case = Export("norse", "LIFBoxCell", "to 0", norse_neuron("LIFBoxCell", tau_mem_inv=170.0, v_th=0.3))
    module, inputs = network(case, "dense", 1), frames("dense", 1)
    path = written(tmp_path / "net.nir", exported(case, module, inputs))
    graph = read(case, path)
    wrong, _, active = differing(case, module, inputs, graph)
    assert wrong == 0 and active > 100
    assert graph.origin["semantics_from"]["tau_scaled"] == "guessed"
    assert any("Norse's exporter (up to 1.1.0) writes them: τ·dt" in text for text in graph.origin["warnings"])
    with pytest.raises(DialectError, match=r"tau_scaled: yes by default: --opt tau_scaled=yes"):
        read(case, path, strict="yes")
    with pytest.raises(InputError, match=r"tau is 5\.88235e-06, below the time step 0\.001.*say tau_scaled yes"):
        read(case, path, tau_scaled="no")


def batched(name: str, size: int) -> tuple[Export, nn.Module, Any]:
    """A network, and its export from a sample with an axis of ``size`` in front."""
    if name == "norse":
        case = norse_exports()[0]
        module = network(case, "dense", 1)
        return case, module, framework("norse.torch").to_nir(module, torch.zeros(size, 12))
    if name == "rockpool":
        case = rockpool_exports()[0]
        module = network(case, "dense", 1)
        to_nir = framework("rockpool.nn.modules.torch.nir").to_nir
        return case, module, to_nir(module) if size == 1 else to_nir(module, torch.zeros(size, 12))
    neuron = framework("sinabs.layers").IAF
    case = Export("sinabs", "IAF", "subtract", lambda shape: neuron(), layout="batch_time")
    module = network(case, "dense", 1)
    return case, module, framework("sinabs.nir").to_nir(module, torch.zeros(1, size, 12))


FROM_A_SAMPLE = ("norse", "rockpool", "sinabs")
"""Norse and Rockpool (by default) keep the sample's batch axis, sinabs's layers without ``Squeeze`` its time axis."""


@pytest.mark.parametrize("name", FROM_A_SAMPLE)
def test_an_axis_of_1_in_front_is_left_out(name: str, tmp_path: Path) -> None:
    case, module, exported_graph = batched(name, 1)
    graph = read(case, written(tmp_path / "net.nir", exported_graph))
    assert graph.nodes[graph.input].shape == (12,)  # type: ignore[union-attr]
    assert graph.origin["input_shape"] == "the file keeps a batch axis of 1 in front of (12,); left out"
    wrong, cells, active = differing(case, module, frames("dense", 1), graph)
    print(f"{name:13}batch axis of 1 left out{wrong:5} of {cells:6}, {active:5} active")
    assert wrong == 0 and active > 100


def test_a_batch_axis_in_front_of_images_is_left_out(tmp_path: Path) -> None:
    case = norse_exports()[0]
    module = network(case, "conv", 1)
    exported_graph = framework("norse.torch").to_nir(module, torch.zeros(1, 2, 8, 8))
    exported_graph.nodes["0"].input_shape, exported_graph.nodes["2"].input_shape = (
        (8, 8),
        (6, 6),
    )  # it infers none with a batch
    graph = read(case, written(tmp_path / "net.nir", exported_graph))
    assert graph.nodes[graph.input].shape == (2, 8, 8)  # type: ignore[union-attr]
    wrong, _, active = differing(case, module, frames("conv", 1), graph)
    assert wrong == 0 and active > 100


@pytest.mark.parametrize("name", FROM_A_SAMPLE)
def test_a_longer_axis_in_front_is_refused_with_the_remedy(name: str, tmp_path: Path) -> None:
    case, _, exported_graph = batched(name, 5)
    with pytest.raises(
        GraphError, match=r"has shape \(5, 12\), but the layers take \(12,\); .* as batch or time: export"
    ):
        read(case, written(tmp_path / "net.nir", exported_graph))


class Residual(nn.Module):
    """Spikes of one layer go into the next both through weights and past them."""

    def __init__(self, make: Make) -> None:
        super().__init__()
        self.a, self.first, self.b, self.second = nn.Linear(12, 12), make((12,)), nn.Linear(12, 12), make((12,))
        on_grid(self.a, 0.8, 0.1)
        on_grid(self.b, 0.8, 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spikes = self.first(self.a(x))
        return self.second(self.b(spikes) + spikes)


def test_residual_sum(tmp_path: Path) -> None:
    """SpikingJelly's export keeps it; snnTorch's drops the sum and, without a word, the neurons behind it."""
    inputs = frames("dense", 1)
    torch.manual_seed(1)
    lif = spikingjelly_neuron("LIFNode", 0.0, "s", tau=2.3)
    case = Export("spikingjelly", "LIFNode", "to 0", lif, {"reset": "zero"})
    module = Residual(lif)
    graph = read(case, written(tmp_path / "net.nir", exported(case, module, inputs)))
    spikes = run_graph(graph, inputs, dtype=np.float32).spikes["second"]
    expected = theirs(case, module, inputs)
    assert int((spikes != expected).sum()) == 0 and expected.sum() > 100


class Longer(Residual):
    """Another layer behind the sum."""

    def __init__(self, make: Make) -> None:
        super().__init__(make)
        self.c, self.third = nn.Linear(12, 9), make((9,))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.third(self.c(super().forward(x)))


def test_a_residual_sum_that_snntorch_lost_is_seen(tmp_path: Path) -> None:
    """At the end the neurons are gone without a word; in the middle a second input stands where the sum was."""
    inputs, leaky = frames("dense", 1), snntorch_neuron("Leaky", "subtract", True)
    case = Export("snntorch", "Leaky", "subtract", leaky)
    lost = exported(case, Residual(leaky), inputs)
    assert sorted(lost.nodes) == ["a", "b", "first", "input", "output"]
    (remark,) = [w for w in read(case, written(tmp_path / "end.nir", lost)).origin["warnings"] if "residual" in w]
    assert "ends in b, a layer without neurons" in remark and "snncc.from_torch" in remark
    path = written(tmp_path / "middle.nir", exported(case, Longer(leaky), inputs))
    with pytest.raises(
        GraphError, match=r"input_second: the exporter lost what feeds second, a residual sum .*from_torch"
    ):
        read(case, path)
    whole = read(case, written(tmp_path / "net.nir", exported(case, network(case, "dense", 1), inputs)))
    assert not any("residual" in text for text in whole.origin["warnings"])


def test_recurrence_that_rockpool_leaves_out_is_said(tmp_path: Path) -> None:
    """Nothing in the file shows it, so that every Rockpool file is read with the remark."""
    case = rockpool_exports()[0]
    graph = read(case, written(tmp_path / "net.nir", exported(case, network(case, "dense", 1), frames("dense", 1))))
    (remark,) = [text for text in graph.origin["warnings"] if "has_rec=True" in text]
    assert "recurrent weights and the bias of neurons" in remark and "snncc.from_torch" in remark


UNSAID: dict[str, tuple[str, ...]] = {
    "snntorch-Leaky-subtract,_delayed": ("snntorch",),
    "snntorch-Synaptic-subtract,_delayed": ("snntorch",),
    "snntorch-RLeaky-subtract,_delayed": ("snntorch",),
    "snntorch-RSynaptic-subtract,_delayed": ("snntorch",),
    "spikingjelly-IFNode-to_0.0,_one_step": ("spikingjelly",),
    "spikingjelly-LIFNode-to_-0.1,_one_step": ("spikingjelly",),
    "spikingjelly-LIFNode_plain_input-to_0.0,_all_steps": ("spikingjelly",),
    "spikingjelly-CUBALIFNode-to_0.0,_one_step": ("spikingjelly",),
    "sinabs-LIF-subtract,_many_spikes": ("sinabs",),
    "sinabs-IAF-subtract,_many_spikes": ("norse", "sinabs", "spyx"),
    "norse-LIFBoxCell-to_0,_leak_0.125": ("norse",),
    "norse-LIFCell-to_0": ("norse",),
    "norse-LIBoxCell-none": ("norse",),
    "norse-IAFCell-to_0": ("norse", "sinabs", "spyx"),
    "rockpool-LIFTorch-subtract,_many_spikes": ("rockpool",),
}
"""Dialects that fit a file of each exporter, where its neurons are what their defaults say."""


@pytest.mark.parametrize("label", UNSAID)
def test_whose_it_is_where_nobody_says(label: str, tmp_path: Path) -> None:
    """One dialect fits: it is taken, with a warning, and no spike differs. Several fit: refused with all of them."""
    case = next(case for case in EXPORTS if case.label == label)
    module, inputs = network(case, "dense", 1), frames("dense", 1)
    path, fits = written(tmp_path / "net.nir", exported(case, module, inputs)), UNSAID[label]
    print(f"{case.framework:13}{case.neuron:21}{case.reset:24}{', '.join(fits)}")
    if len(fits) > 1:
        with pytest.raises(DialectError) as caught:
            read_nir(path, {"time_steps": "100"})
        assert all(f"  {name}: " in str(caught.value) for name in fits)
        return
    graph = read_nir(path, {"time_steps": "100"})
    assert (graph.origin["semantics"]["dialect"], graph.origin["semantics_from"]["dialect"]) == (*fits, "guessed")
    assert f"read as {fits[0]} because {graph.origin['dialect_guessed']}" in graph.origin["warnings"][0]
    assert differing(case, module, inputs, graph)[0] == 0
    with pytest.raises(DialectError, match=f"--strict.*\n  dialect: it looks like {fits[0]} "):
        read_nir(path, {"time_steps": "100", "strict": "yes"})


def test_what_the_exporters_refuse(tmp_path: Path) -> None:
    """Each with the error that its exporter (or ``nir.write``) gives; a change here is a change of the framework."""
    inputs = frames("dense", 1)
    soft = Export("spikingjelly", "IFNode", "soft", spikingjelly_neuron("IFNode", None, "s"))
    with pytest.raises(NotImplementedError, match="soft reset"):
        exported(soft, network(soft, "dense", 1), inputs)
    lapicque = Export(
        "snntorch", "Lapicque", "zero", lambda shape: framework("snntorch").Lapicque(beta=0.8, init_hidden=True)
    )
    with pytest.raises(AttributeError, match="NoneType"):
        exported(lapicque, network(lapicque, "dense", 1), inputs)
    scalar = Export(
        "snntorch", "Leaky", "scalar", lambda shape: framework("snntorch").Leaky(beta=0.8, init_hidden=True)
    )
    with pytest.raises(ValueError, match="type mismatch"):
        exported(scalar, network(scalar, "dense", 1), inputs)
    sinabs = framework("sinabs.nir")
    with pytest.raises(NotImplementedError, match="AvgPool2d"):
        sinabs.to_nir(nn.Sequential(nn.AvgPool2d(2), nn.Flatten()), torch.zeros(1, 2, 8, 8))
    norse = norse_exports()[0]
    with pytest.raises(TypeError, match="Scalar datasets"):
        nir.write(tmp_path / "net.nir", exported(norse, network(norse, "dense", 1), inputs))
