"""Archives of ``torch.export``, and archives that would take more than they hold."""

from __future__ import annotations

import io
import json
import pickletools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_stored import Marks, read, refuse, state, weight_of

from snncc.errors import InputError
from snncc.frontends.checkpoint import FRONTEND as CHECKPOINT
from snncc.frontends.torch_files import FRONTEND
from snncc.frontends.torch_pt2 import module_classes, read_weights

pytestmark = [
    pytest.mark.usefixtures("code_folder"),
    pytest.mark.filterwarnings("ignore:No complete tensor found"),  # of torch.export.save
]


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
