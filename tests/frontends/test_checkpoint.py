"""The checkpoint reader: good files become Graphs; every other file becomes one clear message."""

from __future__ import annotations

import builtins
import copy
import io
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snncc.errors import GraphError, InputError, SnnccError
from snncc.frontends.checkpoint import FRONTEND, read_checkpoint
from snncc.ir.nodes import BatchNorm, Conv2d, Dense, Identity, Input, Neuron, Output

Content = dict[str, Any]


def good() -> Content:
    """A small checkpoint, written by hand so that the reader is tested against the format and not against a writer."""
    torch.manual_seed(0)
    layers = [
        {"name": "conv1", "kind": "conv2d", "in_channels": 1, "out_channels": 2, "kernel": [3, 3], "stride": [1, 1],
         "padding": [0, 0], "dilation": [1, 1], "groups": 1, "bias": False},
        {"name": "bn1", "kind": "batch_norm", "channels": 2, "eps": 1e-5},
        {"name": "lif1", "kind": "neuron", "threshold": 1.0, "compare": ">", "membrane_decay": 0.5, "reset": "to_value",
         "surrogate": {"kind": "triangle"}},
        {"name": "pool1", "kind": "avg_pool2d", "kernel": [2, 2], "stride": [2, 2], "padding": [0, 0]},
        {"name": "flatten1", "kind": "flatten"},
        {"name": "drop1", "kind": "dropout", "probability": 0.2},
        {"name": "fc1", "kind": "dense", "in_features": 8, "out_features": 3, "bias": True},
        {"name": "readout", "kind": "neuron", "fires": False},
    ]  # fmt: skip
    state = {
        "conv1.weight": torch.randn(2, 1, 3, 3), "bn1.weight": torch.ones(2), "bn1.bias": torch.zeros(2),
        "bn1.running_mean": torch.randn(2), "bn1.running_var": torch.rand(2) + 0.5,
        "bn1.num_batches_tracked": torch.tensor(7), "fc1.weight": torch.randn(3, 8), "fc1.bias": torch.randn(3),
    }  # fmt: skip
    network = {
        "name": "small", "time_steps": 4,
        "input": {"shape": [1, 6, 6], "encoding": "static", "scale": 1 / 255, "low": 0, "high": 255},
        "layers": layers,
        "output": {"readout": "membrane", "ties": "lowest_index"},
    }  # fmt: skip
    return {
        "format": "snncc-checkpoint",
        "version": 1,
        "network": network,
        "state_dict": state,
        "training": {"seed": 0},
    }


def save(folder: Path, content: Any) -> Path:
    path = folder / "net.pt"
    torch.save(content, path)
    return path


def refuse(path: Path, message: str, kind: type[SnnccError] = InputError) -> str:
    with pytest.raises(kind, match=message) as caught:
        read_checkpoint(path)
    text = str(caught.value)
    assert str(path) in text
    assert len(text) < 600
    return text


def test_a_good_file(tmp_path: Path) -> None:
    content = good()
    graph = read_checkpoint(save(tmp_path, content))
    assert list(graph.nodes) == [
        "input", "conv1", "bn1", "lif1", "pool1", "flatten1", "drop1", "fc1", "readout", "output",
    ]  # fmt: skip
    assert (graph.name, graph.time_steps, graph.origin["training"]) == ("small", 4, {"seed": 0})
    conv, bn, dense, lif = (graph.nodes[name] for name in ("conv1", "bn1", "fc1", "lif1"))
    assert isinstance(conv, Conv2d)
    assert conv.bias is None
    np.testing.assert_array_equal(conv.weight, content["state_dict"]["conv1.weight"].numpy())
    assert isinstance(bn, BatchNorm)
    np.testing.assert_array_equal(bn.var, content["state_dict"]["bn1.running_var"].numpy())
    assert isinstance(dense, Dense)
    assert dense.bias is not None
    assert isinstance(graph.nodes["drop1"], Identity)
    assert isinstance(lif, Neuron)
    assert (lif.dynamics.compare, lif.dynamics.membrane_decay, lif.dynamics.reset) == (">", 0.5, "to_value")
    entry, out = graph.nodes["input"], graph.nodes["output"]
    assert isinstance(entry, Input)
    assert (entry.shape, entry.scale) == ((1, 6, 6), 1 / 255)
    assert isinstance(out, Output)
    assert out.readout == "membrane"


def test_the_frontend_takes_its_files(tmp_path: Path) -> None:
    path = save(tmp_path, good())
    assert FRONTEND.sniff(path, path.read_bytes()[:8])
    assert not FRONTEND.sniff(tmp_path / "net.nir", b"\x89HDF\r\n\x1a\n")
    assert FRONTEND.read(path, {}).name == "small"


def test_half_precision_weights_keep_their_values(tmp_path: Path) -> None:
    content = good()
    half = content["state_dict"]["fc1.weight"] = content["state_dict"]["fc1.weight"].bfloat16()
    node = read_checkpoint(save(tmp_path, content)).nodes["fc1"]
    assert isinstance(node, Dense)
    np.testing.assert_array_equal(node.weight, half.float().numpy())


def test_missing_files_and_folders(tmp_path: Path) -> None:
    refuse(tmp_path / "none.pt", "there is no such file")
    refuse(tmp_path, "is a folder")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, good())
    whole = path.read_bytes()
    for cut in (0, 3, 4, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        path.write_bytes(whole[:cut])
        refuse(path, "empty|not with the ZIP mark|cut short")


def test_flipped_bytes_never_end_in_a_traceback(tmp_path: Path) -> None:
    path = save(tmp_path, good())
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole)
        for position in random.integers(0, len(whole), 3):
            damaged[position] ^= int(random.integers(1, 256))
        path.write_bytes(damaged)
        try:
            read_checkpoint(path)  # harmless damage (a mantissa, padding) may pass
        except SnnccError as error:
            assert str(path) in str(error)


def test_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(pickle.dumps({"a": 1}))
    refuse(path, "ZIP mark of torch.save")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refuse(path, "no data.pkl")
    refuse(save(tmp_path, torch.zeros(3)), "holds a Tensor")
    refuse(save(tmp_path, {"epoch": 3, "model": "x"}), r"no 'format' 'snncc-checkpoint' \(it has epoch, model\)")
    refuse(save(tmp_path, {}), "it has nothing")
    refuse(save(tmp_path, good() | {"version": 2}), "version 2; this snncc reads version 1")


def test_a_bare_state_dict_is_called_one(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2))
    refuse(save(tmp_path, module.state_dict()), r"bare state_dict \(2 tensors: 0\.weight, 0\.bias.*--arch")


class Hostile:
    """Pickles to a call."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return exec, ("raise SystemExit('the file ran code')",)


@pytest.mark.parametrize("content", [Hostile(), {"format": "snncc-checkpoint", "x": Hostile()}, torch.nn.Linear(2, 2)])
def test_code_in_a_pickle_is_never_run(tmp_path: Path, content: Any) -> None:
    refuse(save(tmp_path, content), "Python objects or code, which are never loaded")


def test_an_inflating_archive_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", bytes(50_000_000))
    refuse(path, "would unpack to 50,000,000 bytes")


def test_a_tensor_that_claims_more_than_is_stored(tmp_path: Path) -> None:
    content = good()
    content["state_dict"]["fc1.weight"] = torch.zeros(1).expand(1 << 40)
    refuse(save(tmp_path, content), r"fc1: fc1.weight claims shape \(1099511627776,\)")


def test_a_storage_that_claims_more_than_is_stored(tmp_path: Path) -> None:
    """The pickle says 2^31 − 1 elements, the archive holds 100,000."""
    content = good()
    content["state_dict"]["fc1.weight"] = torch.zeros(100_000)
    path = save(tmp_path, content)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, stored in members.items():
            claimed = stored.replace(b"J" + (100_000).to_bytes(4, "little"), b"J" + (2**31 - 1).to_bytes(4, "little"))
            assert (claimed != stored) == name.endswith("data.pkl")
            archive.writestr(name, claimed)
    refuse(path, "cannot be read by torch|claims shape")


def test_lists_that_multiply_by_reference(tmp_path: Path) -> None:
    content = good()
    bomb: list[Any] = [0.0] * 100
    for _ in range(9):
        bomb = [bomb] * 100
    content["network"]["layers"][2]["threshold"] = bomb
    refuse(save(tmp_path, content), "network: holds over 1,000,000 values")
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    content["network"]["layers"][2]["threshold"] = deep
    refuse(save(tmp_path, content), "levels of nesting")


def change(content: Content, where: str, value: Any) -> Content:
    """``content`` with one field set (``...``: removed); layers are named by their position."""
    content = copy.deepcopy(content)
    *route, last = where.split("/")
    place: Any = content
    for key in route:
        place = place[int(key)] if isinstance(place, list) else place[key]
    at: Any = int(last) if isinstance(place, list) else last
    if value is ...:
        del place[at]
    else:
        place[at] = value
    return content


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("network", ..., "no architecture"),
        ("state_dict", ..., "no weights"),
        ("state_dict/conv1.weight", ..., r"conv1: the state_dict has no tensor 'conv1.weight'.*\(2, 1, 3, 3\)"),
        ("state_dict/extra.weight", torch.zeros(2), "belong to no layer: extra.weight"),
        ("state_dict/fc1.weight", torch.zeros(3, 9), r"fc1: fc1.weight has shape \(3, 9\); .* needs \(3, 8\)"),
        ("state_dict/fc1.bias", torch.tensor([0, float("nan"), 1]), r"fc1: fc1.bias holds 1 values that are NaN.*of 3"),
        ("state_dict/bn1.running_mean", torch.tensor([0, float("inf")]), "bn1: bn1.running_mean holds 1 values"),
        ("state_dict/fc1.bias", torch.zeros(3, dtype=torch.int32), "fc1: fc1.bias is torch.int32"),
        ("state_dict/fc1.bias", [0.0, 0.0, 0.0], "fc1.bias is a list; only tensors"),
        ("state_dict/fc1.weight", torch.eye(3, 8).to_sparse(), "fc1: fc1.weight is a torch.sparse_coo"),
        ("network/layers", [], "layers must be a list"),
        ("network/layers/0", 3, "layer 1 is 3"),
        ("network/layers/0/name", ..., "layer 1: 'name' is missing"),
        ("network/layers/0/name", "a/b", "layer 1 is called 'a/b'"),
        ("network/layers/1/name", "conv1", "conv1: there are two layers"),
        ("network/layers/0/name", "output", "output: there are two layers"),
        ("network/layers/0/kind", "lstm", "conv1: 'lstm' is no known kind of layer; known are conv2d"),
        ("network/layers/0/kernel", [3], "conv1: kernel is a list of 1; two whole numbers of 1 or more"),
        ("network/layers/0/stride", [0, 1], "conv1: stride is a list"),
        ("network/layers/0/groups", 3, "conv1: .* do not divide into 3 groups"),
        ("network/layers/0/groups", True, "conv1: groups is True"),
        ("network/layers/0/bias", 1, "conv1: bias is 1; true or false"),
        ("network/layers/0/speed", 1, "conv1: speed is not known here"),
        ("network/layers/1/eps", ..., "bn1: 'eps' is missing"),
        ("network/layers/2/treshold", 1.0, "lif1: treshold is not known here; known are threshold"),
        ("network/layers/2/threshold", "1", "lif1: threshold is '1'; a number is needed"),
        ("network/layers/2/threshold", ["1"], "lif1: threshold is a list of 1; a number or lists"),
        ("network/layers/2/threshold", [[1.0], [1.0, 2.0]], "lif1: threshold is a list of uneven lists"),
        ("network/layers/2/levels", 2.0, "lif1: levels is 2.0"),
        ("network/layers/2/fires", "yes", "lif1: fires is 'yes'"),
        ("network/layers/4/inputs", "pool1", "flatten1: inputs is 'pool1'; a list of layer names"),
        ("network/time_steps", 2.5, "network: time_steps is 2.5"),
        ("network/time_steps", 10**9, "the limit is 1,000,000"),
        ("network/input/low", 0.5, "input: the range 0.5..255"),
        ("network/input/shape", [1, 0, 6], "shape is a list"),
        ("network/output/readout", None, "readout is None; text is needed"),
        ("training", {"when": torch.zeros(1)}, "training: holds a Tensor"),
        ("training", {3: 4}, "training: has a field whose name is no text"),
    ],
)
def test_wrong_contents_name_the_place(tmp_path: Path, where: str, value: Any, message: str) -> None:
    refuse(save(tmp_path, change(good(), where, value)), message)


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("network/layers/2/threshold", 0.0, "lif1: threshold is 0; it must be above 0"),
        ("network/layers/2/threshold", [[[1.0]], [[-2.0]]], "lif1: threshold is -2 … 1"),
        ("network/layers/2/threshold", [1.0, 2.0, 3.0], r"lif1: threshold has shape \(3,\), which does not broadcast"),
        ("network/layers/2/threshold", float("nan"), "lif1: threshold holds nan"),
        ("network/layers/2/membrane_decay", 1.5, "lif1: membrane_decay is 1.5"),
        ("network/layers/2/compare", "<", "lif1: compare is '<'"),
        ("network/layers/4/inputs", ["pool9"], "pool9"),
        ("network/layers/4/inputs", ["fc1"], "loop without a delay"),
        ("network/layers/3/kernel", [9, 9], "pool1: a window of 9"),
        ("network/input/shape", [1, 8, 8], "fc1: input has 18 features, but the weight takes 8"),
        ("network/input/scale", 0.0, "input: input scale is 0.0"),
        ("network/output/readout", "loudest", "output: readout 'loudest'"),
        ("state_dict/bn1.running_var", torch.tensor([-1.0, 1.0]), "bn1: var is -1"),
        ("network/layers/1/eps", 0.0, "bn1: eps is 0"),
    ],
)
def test_networks_that_make_no_sense(tmp_path: Path, where: str, value: Any, message: str) -> None:
    refuse(save(tmp_path, change(good(), where, value)), message, GraphError)


def test_without_torch_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, good())
    real = builtins.__import__

    def blocked(name: str, *rest: Any, **more: Any) -> Any:
        if name == "torch":
            raise ImportError("blocked")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", blocked)
    refuse(path, r"pip install 'snncc\[torch\]'")


def test_importing_the_reader_imports_neither_torch_nor_the_zoo() -> None:
    code = "import sys, snncc.frontends.checkpoint; print([m for m in sys.modules if m in ('torch', 'snncc.models')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "[]"


def test_a_zip_bomb_of_overlapping_members(tmp_path: Path) -> None:
    """A directory that lists the same bytes many times declares more than the file has."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("net/data.pkl", bytes(100_000))
        first = archive.infolist()[0]
        for number in range(50):
            twin = copy.copy(first)
            twin.filename = f"net/data/{number}"
            archive.filelist.append(twin)
    path = tmp_path / "net.pt"
    path.write_bytes(buffer.getvalue())
    refuse(path, "would unpack to")
