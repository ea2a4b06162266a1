"""Files of PyTorch: weights meet the user's code; the file itself never runs, unless the user says so."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snncc.errors import InputError, SnnccError
from snncc.frontends import torch_files
from snncc.frontends.checkpoint import FRONTEND as CHECKPOINT
from snncc.frontends.torch_files import FRONTEND, OPTIONS
from snncc.frontends.torch_pt2 import module_classes, read_weights
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.nodes import Dense, Input, Output

CODE = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(6, 3)
        self.register_buffer("beta", torch.tensor(0.9))

    def forward(self, x):
        return self.fc(x) * self.beta

class Two(Net):
    def __init__(self):
        super().__init__()
        self.fc2 = torch.nn.Linear(3, 2)

net = Net()

def needs(size): return Net()
def number(): return 3
def broken(): raise ValueError("my own fault")
def leaves(): raise SystemExit(3)
"""
GIVEN = {"input_shape": "6", "time_steps": "5"}

pytestmark = pytest.mark.filterwarnings("ignore:No complete tensor found")  # of torch.export.save


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with the user's code; the conversion of modules, tested elsewhere, is a plain stand-in."""
    (tmp_path / "mynet.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield tmp_path
    assert sys.path == path
    for name in ("mynet", "other"):
        sys.modules.pop(name, None)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a stand-in for from_torch was called with; it takes the module's ``fc`` as the network."""
    calls: list[Any] = []

    def from_torch(module: Any, example: Any, **options: Any) -> Graph:
        calls.append((module, example, options))
        module(example)
        weight = np.array(module.fc.weight.detach().numpy())
        nodes = {
            "input": Input((6,), options["encoding"] or "spikes", 1.0, 0, 1),
            "fc": Dense(weight),
            "output": Output("summed_current"),
        }
        edges = (Edge("input", "fc"), Edge("fc", "output"))
        return build_graph(nodes, edges, options["time_steps"] or 9, "n", {"format": "torch module"})

    monkeypatch.setattr(torch_files, "_converter", lambda path: from_torch)
    return calls


def state(seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    return {"fc.weight": torch.randn(3, 6), "fc.bias": torch.randn(3), "beta": torch.tensor(0.5)}


def save(content: Any, name: str = "w.pth") -> Path:
    torch.save(content, name)
    return Path(name)


def read(path: Path, **options: str) -> Graph:
    frontend = FRONTEND if path.suffix == ".pt2" else CHECKPOINT
    return frontend.read(path, GIVEN | options)


def refuse(path: Path, message: str, **options: str) -> None:
    with pytest.raises(SnnccError, match=message) as caught:
        read(path, **options)
    assert len(str(caught.value)) < 900


def weight_of(graph: Graph) -> np.ndarray:
    node = graph.nodes["fc"]
    assert isinstance(node, Dense)
    return node.weight


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


class Marks:
    """Pickles to a call that writes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (Path("marker"), "the file ran code")


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


def export(name: str = "n.pt2") -> Path:
    torch.manual_seed(0)

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(6, 3)
            self.register_buffer("beta", torch.tensor(0.25))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(x) * self.beta

    net = Net()
    net.fc.weight.data = torch.randn(6, 3).T  # strides that are not in order
    torch.export.save(torch.export.export(net, (torch.zeros(1, 6),)), name)
    return Path(name)


def test_pt2(seen: list[Any]) -> None:
    path = export()
    wanted = torch.export.load(path).state_dict
    found = read_weights(path)
    assert list(found) == list(wanted)
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name].detach(), rtol=0, atol=0)
    graph = read(path, arch="mynet:Net")
    np.testing.assert_array_equal(weight_of(graph), wanted["fc.weight"].detach().numpy())
    assert float(seen[0][0].beta) == 0.25
    refuse(path, "its neurons .* are dissolved into tensor operations.*--arch")
    assert FRONTEND.sniff(path, b"PK\3\4") and not CHECKPOINT.sniff(path, b"PK\3\4")
    refuse(path, "so --unsafe-load would not help", unsafe_load="yes")
    assert module_classes(path)  # the class of this test's module


def rewrite(path: Path, change: Callable[[str, bytes], bytes], name: str = "changed.pt2") -> Path:
    with zipfile.ZipFile(path) as archive:
        members = {entry: archive.read(entry) for entry in archive.namelist()}
    with zipfile.ZipFile(name, "w") as archive:
        for entry, content in members.items():
            archive.writestr(entry, change(entry, content))
    return Path(name)


def with_config(edit: Callable[[dict[str, Any]], Any]) -> Callable[[str, bytes], bytes]:
    def change(name: str, content: bytes) -> bytes:
        if not name.endswith("model_weights_config.json"):
            return content
        config = json.loads(content)
        edited = edit(config)
        return json.dumps(config if edited is None else edited).encode()

    return change


def meta(config: dict[str, Any]) -> Any:
    return config["config"]["fc.weight"]["tensor_meta"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: meta(c)["sizes"][0].update(as_int=2**30), "leaves the 18 values stored"),
        (lambda c: meta(c)["sizes"][0].update(as_int=-1), "are no sizes"),
        (lambda c: meta(c)["strides"][0].update(as_int=100), "leaves the 18 values"),
        (lambda c: meta(c).update(dtype=99), "type 99 is not read"),
        (lambda c: meta(c).update(dtype=[]), "not described as it should be"),
        (lambda c: meta(c)["sizes"].append({"as_expr": "s0"}), "not described"),
        (lambda c: c["config"]["fc.weight"].update(path_name="../../etc/passwd"), "has no member"),
        (lambda c: c["config"].update({"fc.weight": 3}), "not described"),
        (lambda c: [], "no table 'config'"),
        (lambda c: {"config": {}}, r"lacks beta, fc\.weight, fc\.bias"),
    ],
)
def test_bad_pt2(seen: list[Any], edit: Callable[[dict[str, Any]], Any], message: str) -> None:
    refuse(rewrite(export(), with_config(edit)), message, arch="mynet:Net")


def test_pickled_weights_in_a_pt2_do_not_run(seen: list[Any]) -> None:
    buffer = io.BytesIO()
    torch.save(Marks(), buffer)
    edited = with_config(lambda c: c["config"]["fc.weight"].update(use_pickle=True))
    path = rewrite(export(), lambda n, c: buffer.getvalue() if n.endswith("weight_0") else edited(n, c))
    refuse(path, "holds Python objects or code", arch="mynet:Net")
    assert not Path("marker").exists()
    buffer = io.BytesIO()
    torch.save(state()["fc.weight"], buffer)
    path = rewrite(export(), lambda n, c: buffer.getvalue() if n.endswith("weight_0") else edited(n, c))
    np.testing.assert_array_equal(weight_of(read(path, arch="mynet:Net")), state()["fc.weight"].numpy())


def test_the_older_pt2(seen: list[Any]) -> None:
    buffer = io.BytesIO()
    torch.save(state(), buffer)
    with zipfile.ZipFile("old.pt2", "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", buffer.getvalue())
    graph = read(Path("old.pt2"), arch="mynet:Net")
    np.testing.assert_array_equal(weight_of(graph), state()["fc.weight"].numpy())


def test_tensors_that_were_made_and_not_stored(seen: list[Any]) -> None:
    """torch.Tensor is a call that weights_only allows; 2^28 floats would be a gibibyte."""
    import pickletools

    pickled = b"\x80\x02}X\x04\x00\x00\x00betactorch\nTensor\nJ\x00\x00\x00\x10\x85Rs."
    pickletools.dis(pickled, io.StringIO())
    with zipfile.ZipFile("bomb.pth", "w") as archive:
        for name, content in (("data.pkl", pickled), ("version", b"3\n"), ("byteorder", b"little")):
            archive.writestr(f"bomb/{name}", content)
    refuse(Path("bomb.pth"), "of memory, but its file has|cannot be read by torch", arch="mynet:Net")


def test_byte_arrays_of_any_size_are_not_made(seen: list[Any]) -> None:
    """weights_only allows bytearray(2^31 - 1), which clears two gibibytes before anyone can look."""
    pickled = b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R."
    with zipfile.ZipFile("bomb.pth", "w") as archive:
        archive.writestr("b/data.pkl", pickled)
        archive.writestr("b/version", b"3\n")
    refuse(Path("bomb.pth"), "makes byte arrays", arch="mynet:Net")
    with pytest.raises(InputError, match="makes byte arrays"):
        CHECKPOINT.read(Path("bomb.pth"), {})


def test_a_pickle_of_many_small_objects_is_refused(seen: list[Any]) -> None:
    with zipfile.ZipFile("sets.pth", "w") as archive:
        archive.writestr("s/data.pkl", b"\x80\x04" + b"\x8f" * (1 << 22) + b".")
        archive.writestr("s/version", b"3\n")
    refuse(Path("sets.pth"), "bytes besides its tensors; the limit is", arch="mynet:Net")


def test_a_directory_of_many_members_is_refused(seen: list[Any]) -> None:
    content = b"PK\x03\x04" + bytes(60) + b"PK\x05\x06" + bytes(8) + (1 << 26).to_bytes(4, "little") + bytes(6)
    Path("many.pth").write_bytes(content)
    refuse(Path("many.pth"), "its directory has 67,108,864 bytes", arch="mynet:Net")


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
