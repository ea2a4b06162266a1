"""The sound files that are damaged, and the command line that reads each."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parents[1]
FORMATS = ("pt", "pt2", "nir", "onnx", "net", "npz", "toml", "json")
COUNTS = "counts.json"
"""Counts that a damaged cost file prices."""
MODULE = """
import snntorch
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(4, 3)
        self.lif = snntorch.Leaky(beta=0.75, init_hidden=True)

    def forward(self, x):
        return self.lif(self.fc(x))
"""
ARCH = ("--arch", "hostilenet:Net", "--input-shape", "4", "--time-steps", "2")
FRAMEWORK = find_spec("snntorch") is not None


@dataclass(frozen=True)
class Seed:
    """A sound file.

    Attributes:
        name: what it is.
        content: its bytes.
        options: what the command line has to say about it.
        code: exit code of ``snncc inspect``: 2 for a file that is sound, and of a kind that is not taken.
    """

    name: str
    content: bytes
    options: tuple[str, ...] = ()
    code: int = 0


def make_seeds(folder: Path) -> dict[str, list[Seed]]:
    """Sound files by format. ``folder`` gets the module that ``--arch`` names, and is the working folder to read in."""
    for place in (TESTS, *(TESTS / name for name in ("frontends", "chip", "energy")), folder):
        if str(place) not in sys.path:
            sys.path.insert(0, str(place))
    (folder / "hostilenet.py").write_text(MODULE)
    return {
        "npz": _data(),
        "net": _lava(folder),
        "nir": _nir(folder),
        "onnx": _onnx(folder),
        **_torch(),
        **_tables(folder),
    }


def _data() -> list[Seed]:
    rng = np.random.default_rng(0)
    arrays = {"x": rng.integers(0, 256, (5, 1, 6, 6), np.uint8), "y": np.arange(5) % 3}
    plain, packed = io.BytesIO(), io.BytesIO()
    np.savez(plain, **arrays)
    np.savez_compressed(packed, **arrays)
    return [Seed("plain", plain.getvalue()), Seed("packed", packed.getvalue())]


def _tables(folder: Path) -> dict[str, list[Seed]]:
    from test_counts_file import TOML
    from test_spec import OWN

    from snncc.energy.costs import load_costs
    from snncc.energy.counts_file import counts_document, read_counts

    counts = folder / COUNTS
    counts.with_suffix(".toml").write_text(TOML)
    counts.write_text(json.dumps(counts_document(read_counts(counts.with_suffix(".toml"))), indent=1))
    costs = Path(load_costs("loihi1").file).read_bytes()
    return {"toml": [Seed("chip", OWN.encode()), Seed("costs", costs)], "json": [Seed("counts", counts.read_bytes())]}


def _lava(folder: Path) -> list[Seed]:
    from test_lava_net_hostile import written

    return [Seed("lava-dl", written(folder / "seed.net").read_bytes())]


def _nir(folder: Path) -> list[Seed]:
    from test_nir_hostile import SNN, written

    from snncc.frontends.nir import read_nir
    from snncc.frontends.nir_export import export_nir

    path = written(folder / "seed.nir")
    foreign = Seed("dialect", path.read_bytes(), ("--dialect", SNN["dialect"], "--time-steps", SNN["time_steps"]))
    export_nir(read_nir(path, SNN), path)
    return [foreign, Seed("metadata", path.read_bytes())]


def _onnx(folder: Path) -> list[Seed]:
    from onnx_models import odd_network
    from test_onnx_ann import network

    from snncc.frontends.nir import read_nir
    from snncc.frontends.onnx_export import build_model, model_bytes

    made = [
        Seed("plain", model_bytes(build_model(read_nir(folder / "seed.nir", {})))),
        Seed("odd", model_bytes(build_model(odd_network()))),
        Seed("ann", network().SerializeToString(), code=2),
    ]
    if FRAMEWORK:
        from onnx_steps import exported, made_step

        step = exported(*made_step("leaky subtract", 0, double=False))
        made.append(Seed("step", step, ("--time-steps", "5", "--opt", "input_encoding=frames")))
    return made


def _torch() -> dict[str, list[Seed]]:
    import torch
    from test_checkpoint import good

    zoo = io.BytesIO()
    torch.save(good(), zoo)
    if FRAMEWORK:
        from hostilenet import Net

        state = Net().state_dict()
    else:
        state = torch.nn.ModuleDict({"fc": torch.nn.Linear(4, 3)}).state_dict()

    class Holder(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    holder: torch.nn.Module = Holder()
    for name, tensor in state.items():
        layer, leaf = name.split(".")
        if not hasattr(holder, layer):
            holder.add_module(layer, torch.nn.Module())
        holder.get_submodule(layer).register_buffer(leaf, tensor)
    bare, exported = io.BytesIO(), io.BytesIO()
    torch.save(state, bare)
    torch.export.save(torch.export.export(holder, (torch.zeros(1),)), exported)
    code = 0 if FRAMEWORK else 2
    return {
        "pt": [Seed("zoo", zoo.getvalue()), Seed("state_dict", bare.getvalue(), ARCH, code)],
        "pt2": [Seed("export", exported.getvalue(), ARCH, code)],
    }
