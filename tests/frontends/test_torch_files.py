"""Files of PyTorch: weights meet the user's code; the file itself never runs, unless the user says so."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_stored import Marks, read, refuse, save, state, weight_of

from snncc.errors import InputError
from snncc.frontends.checkpoint import FRONTEND as CHECKPOINT
from snncc.frontends.torch_files import OPTIONS
from snncc.ir.nodes import Dense, Input, Output

pytestmark = [
    pytest.mark.usefixtures("code_folder"),
    pytest.mark.filterwarnings("ignore:No complete tensor found"),  # of torch.export.save
]


@pytest.mark.parametrize("arch", ["mynet:Net", "mynet:net", "mynet.py:Net"])
def test_a_bare_state_dict(seen: list[Any], arch: str) -> None:
    graph = read(save(state()), arch=arch)
    np.testing.assert_array_equal(weight_of(graph), state()["fc.weight"].numpy())
    module, example, options = seen[0]
    assert (float(module.beta), module.training) == (0.5, False)
    assert (tuple(example.shape), set(example.unique().tolist())) == ((1, 6), {0.0, 1.0})
    assert options == {"time_steps": 5, "encoding": None}
    assert (graph.name, graph.time_steps, graph.origin["arch"]) == ("w", 5, arch)
    assert graph.origin["semantics_from"]["time_steps"] == "option"


@pytest.mark.parametrize(
    ("wrap", "options"),
    [
        (lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"lr": 0.1}}, {}),
        (lambda s: {"model": s}, {}),
        (lambda s: {"module." + k: v for k, v in s.items()}, {}),
        (lambda s: {"ema": s, "model": state(1)}, {"weights_key": "ema"}),
        (lambda s: {k: v.half().double() for k, v in s.items()}, {}),
    ],
)
def test_other_ways_people_save_weights(seen: list[Any], wrap: Callable[[Any], Any], options: dict[str, str]) -> None:
    graph = read(save(wrap(state())), arch="mynet:Net", **options)
    np.testing.assert_allclose(weight_of(graph), state()["fc.weight"].numpy(), atol=1e-3)


def test_input_and_readout_as_said(seen: list[Any]) -> None:
    said = {
        "input_encoding": "frames",
        "input_scale": "0.25",
        "input_low": "-8",
        "input_high": "7",
        "ties": "highest_index",
    }
    graph = read(save(state()), arch="mynet:Net", readout="weighted_count", time_weights="1,2,3,4,5", **said)
    entry, out = graph.nodes["input"], graph.nodes["output"]
    assert isinstance(entry, Input) and isinstance(out, Output)
    assert (entry.encoding, entry.scale, entry.low, entry.high) == ("frames", 0.25, -8, 7)
    assert (out.readout, out.ties, out.time_weights) == ("weighted_count", "highest_index", (1, 2, 3, 4, 5))
    assert 0 < seen[0][1].sum() != seen[0][1].round().sum()
    Path("w.pth.semantics.toml").write_text("time_steps = 7\n[input]\nscale = 2.0\n")
    graph = CHECKPOINT.read(Path("w.pth"), {"arch": "mynet:Net", "example_shape": "2x4x6"})
    assert (graph.time_steps, tuple(seen[1][1].shape)) == (7, (2, 4, 6))


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("mynet", "must be package.module:factory"),
        ("nothere:Net", "ModuleNotFoundError: No module named 'nothere'"),
        ("nothere.py:Net", "there is no file nothere.py"),
        ("mynet:Nett", "has no attribute 'Nett'"),
        ("mynet:needs", "TypeError.*without arguments"),
        ("mynet:number", "made a int; a torch.nn.Module"),
        ("mynet:broken", "ValueError: my own fault"),
        ("mynet:leaves", "SystemExit"),
        ("mynet:Two", r"the file lacks fc2\.weight, fc2\.bias \(2 in all\)"),
    ],
)
def test_what_arch_may_get_wrong(seen: list[Any], arch: str, message: str) -> None:
    refuse(save(state()), message, arch=arch)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (state() | {"extra": torch.zeros(1)}, {}, r"no extra \(1 in all\)"),
        (state() | {"fc.bias": torch.zeros(4)}, {}, r"does not fit --arch mynet:Net.*size mismatch for fc\.bias"),
        (state() | {"fc.bias": torch.tensor([0.0, float("nan"), 1.0])}, {}, r"fc\.bias holds 1 values that are NaN"),
        ({"a": state(), "b": 3}, {}, r"no state_dict \(it has a, b\).*weights_key"),
        ({"model": state(), "net": state()}, {}, r"several state_dicts \(model, net\)"),
        ({"model": state()}, {"weights_key": "net"}, "no state_dict under 'net'; it has model"),
        ([1, 2], {}, "holds a list, not a state_dict"),
        (state(), {"input_shape": "a"}, "input_shape is 'a'"),
        (state(), {"input_shape": "99999,99999"}, "elements in 5 axes"),
        (state(), {"input_shape": "7"}, r"cannot be run on an input of shape \(1, 7\)"),
        (state(), {"time_steps": "0"}, "time_steps is '0'"),
        (state(), {"dialect": "snntorch"}, "no option 'dialect'; a module says how its neurons run"),
        (state(), {"colour": "red"}, "no option 'colour'; it takes arch"),
    ],
)
def test_what_the_file_may_get_wrong(seen: list[Any], content: Any, options: dict[str, str], message: str) -> None:
    refuse(save(content), message, **({"arch": "mynet:Net"} | options))


def test_missing_input_shape(seen: list[Any]) -> None:
    with pytest.raises(InputError, match="--input-shape 1,28,28"):
        CHECKPOINT.read(save(state()), {"arch": "mynet:Net"})


def test_a_sidecar_cannot_name_code(seen: list[Any]) -> None:
    path = save(state())
    for key in ("arch", "unsafe_load"):
        Path("w.pth.semantics.toml").write_text(f'{key} = "mynet:Net"\n')
        refuse(path, f"unknown option '{key}'", arch="mynet:Net")


def test_zoo_checkpoints_take_no_options() -> None:
    zoo = Path(__file__).parents[2] / "models" / "checkpoints" / "mnist-lif.pt"
    refuse(zoo, "says everything itself; leave out")
    assert CHECKPOINT.read(zoo, {}).time_steps == 4


@pytest.mark.parametrize(
    "wrap", [lambda m: m, lambda m: {"state_dict": state(), "x": m}, lambda m: state() | {"fc.bias": m}]
)
def test_code_never_runs_unasked(seen: list[Any], wrap: Callable[[Any], Any]) -> None:
    path = save(wrap(Marks()))
    refuse(path, "--unsafe-load runs what it holds", arch="mynet:Net")
    with pytest.raises(InputError, match="--unsafe-load"):
        CHECKPOINT.read(path, {})
    assert not Path("marker").exists()


def test_a_whole_module(seen: list[Any]) -> None:
    sys.path.insert(0, str(Path.cwd()))
    try:
        import mynet  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(Path.cwd()))
    path = save(mynet.Net(), "whole.pt")
    refuse(path, "unsafe_load is 'maybe'; it must be yes or no", unsafe_load="maybe")
    refuse(path, "holds Python objects or code.*--arch.*--unsafe-load")
    sys.modules.pop("mynet")
    graph = read(path, unsafe_load="yes")
    assert graph.origin["file_kind"] == "pickled module, loaded unsafely"
    sys.modules.pop("mynet")
    Path("mynet.py").rename("elsewhere.py")
    refuse(path, "must be importable from here", unsafe_load="yes")
    refuse(save({"x": Marks()}, "marks.pt"), "holds a dict, not a torch.nn.Module", unsafe_load="yes")
    assert Path("marker").exists()  # that is what unsafe means


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_named(seen: list[Any]) -> None:
    script = torch.jit.trace(torch.nn.Linear(6, 3), torch.zeros(1, 6))
    torch.jit.save(script, "s.pt")
    refuse(Path("s.pt"), "TorchScript archive", arch="mynet:Net")


def test_real_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """End to end with snnTorch: the file's weights in the user's class give the module's own spikes."""
    pytest.importorskip("snntorch", reason="snnTorch is not installed (make frameworks)")
    Path("other.py").write_text(
        "import torch, snntorch\n"
        "def make():\n"
        "    leaky = lambda b: snntorch.Leaky(beta=b, init_hidden=True)\n"
        "    return torch.nn.Sequential(torch.nn.Linear(6, 9), leaky(0.9), torch.nn.Linear(9, 3), leaky(0.8))\n"
    )
    from snncc.frontends.torch_arch import build_module, own_code

    with own_code():
        module = build_module("other:make")
    graph = read(save(module.state_dict()), arch="other:make")
    assert graph.origin["parity"]["differing"] == 0
    dense = [node for node in graph.nodes.values() if isinstance(node, Dense)]
    np.testing.assert_array_equal(dense[0].weight, module[0].weight.detach().numpy())


def test_every_option_is_explained() -> None:
    assert all(len(text) > 5 for text in OPTIONS.values())
