"""Converted networks: what one neuron and a whole network put out over time, in floats and in integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anns import images, residual
from hypothesis import given
from hypothesis import strategies as st

from snncc.compiler import compile_graph
from snncc.errors import InputError, UnsupportedError
from snncc.frontends.checkpoint import read_checkpoint
from snncc.ir.interpreter import run_graph
from snncc.models.ann import Ann
from snncc.models.checkpoint import filled, write_checkpoint
from snncc.models.conversion import accuracy_by_steps, convert
from snncc.models.thresholds import Search, find_thresholds
from snncc.program.program import Program
from snncc.registry import get_target
from snncc.verify import verify

CLIP = {"kind": "clip", "bound": 0.75}


def trained(ann: Ann, steps: int, v_init: str = "half", **options: Any) -> dict[str, Any]:
    """The converted description, by the bounds that the ANN has."""
    return convert(ann, find_thresholds(ann, Search(), steps, 0.5, None), steps, v_init, **options)


@given(
    st.integers(0, 2**31 - 1), st.integers(1, 40), st.sampled_from([0.25, 0.75, 3.1]), st.sampled_from(["half", "zero"])
)
def test_the_average_of_a_layer_is_the_clipped_activation(seed: int, steps: int, bound: float, v_init: str) -> None:
    """Within θ/2T of clip(z, 0, θ) from v(0) = θ/2; from 0, up to θ/T below it and never above."""
    rng = np.random.default_rng(seed)
    ann = Ann(_one_layer(bound), {})
    network = filled(trained(ann, steps, v_init), {})
    x = torch.from_numpy(rng.integers(-200, 400, (5, 9)))
    with torch.no_grad():
        average = network.record(x)["act"].mean(0).numpy()
        activation = ann.module().record(x)["act"][0].numpy()
    error = average - np.clip(x.numpy() * 0.01, 0, bound)
    rounding = 1e-6 + (bound / steps if _at_a_step(x.numpy() * 0.01, bound, steps, v_init) else 0)
    low, high = (-0.5, 0.5) if v_init == "half" else (-1.0, 0.0)
    assert (error >= low * bound / steps - rounding).all() and (error <= high * bound / steps + rounding).all()
    np.testing.assert_allclose(activation, np.clip(x.numpy() * 0.01, 0, np.float32(bound)), atol=1e-6)


def _one_layer(bound: float) -> dict[str, Any]:
    return {
        "name": "one", "time_steps": 1,
        "input": {"shape": [9], "encoding": "static", "scale": 0.01, "low": -1000, "high": 1000},
        "layers": [
            {"name": "act", "kind": "clip", "bound": bound, "inputs": ["input"]},
            {"name": "end", "kind": "identity", "inputs": ["act"]},
        ],
        "output": {"readout": "summed_current", "ties": "lowest_index"},
    }  # fmt: skip


def _at_a_step(z: np.ndarray, bound: float, steps: int, v_init: str) -> bool:
    """Whether a value lies so near to a step that the sum over time may round to either side."""
    share = z * steps / bound + (0.5 if v_init == "half" else 0.0)
    return bool((np.abs(share - np.round(share)) < 1e-4).any())


@pytest.mark.parametrize("activation", [{"kind": "clip", "bound": 1.0}, {"kind": "qcfs", "bound": 1.0, "levels": 512}])
def test_a_network_with_a_shortcut_tends_to_its_ann(activation: dict[str, Any]) -> None:
    ann = residual(activation)
    x = images(8)
    with torch.no_grad():
        wanted = ann.module()(x)
        errors = []
        for steps in (16, 512):
            scores = filled(trained(ann, steps), ann.state)(x) / steps
            errors.append(float((scores - wanted).abs().mean() / wanted.std()))
    assert errors[1] < 0.02 < errors[0] < 0.5


def test_half_a_threshold_at_the_start_is_nearer_at_every_number_of_steps() -> None:
    ann = residual(CLIP)
    x = images(32)
    with torch.no_grad():
        wanted = ann.module()(x)
        for steps in (4, 8, 16, 32):
            half, zero = (
                float((filled(trained(ann, steps, v), ann.state)(x) / steps - wanted).square().mean())
                for v in ("half", "zero")
            )
            assert half < 0.7 * zero, steps


def test_accuracy_after_each_step_is_that_of_as_many_steps() -> None:
    ann = residual(CLIP)
    x = images(60)
    with torch.no_grad():
        labels = ann.module()(x).argmax(1).numpy()
    calls: list[tuple[int, int]] = []
    found = accuracy_by_steps(filled(trained(ann, 16), ann.state), x, labels, [1, 4, 16], lambda *at: calls.append(at))
    for steps in (1, 4, 16):
        alone = accuracy_by_steps(filled(trained(ann, steps), ann.state), x, labels, [steps])
        assert alone[steps] == found[steps]
    assert calls[-1] == (60, 60) and found[16] > 0.7
    assert len(set(found.values())) > 1


def compiled(description: dict[str, Any], ann: Ann, folder: Path) -> tuple[Any, Program]:
    """(graph, program) through the file that ``snncc convert`` writes."""
    write_checkpoint(folder / "snn.pt", description, ann.state, {})
    graph = read_checkpoint(folder / "snn.pt")
    made = compile_graph(graph, get_target("fixed-sim"))
    assert not made.errors
    return graph, made.program


CHANNELS = {"kind": "clip", "bound": [[[0.5 + 0.1 * c]] for c in range(6)]}


@pytest.mark.parametrize("per_channel", [False, True])
def test_integers_of_eight_bits_stay_close_and_exact(per_channel: bool, tmp_path: Path) -> None:
    ann = residual(CLIP)
    if per_channel:
        layers = [x | CHANNELS if x["name"] in ("act1", "act2") else x for x in ann.description["layers"]]
        ann = Ann({**ann.description, "layers": layers}, ann.state)
    graph, program = compiled(trained(ann, 16), ann, tmp_path)
    x = images(64).numpy()
    floats = run_graph(graph, x)
    with torch.no_grad():
        module = filled(trained(ann, 16), ann.state).double()
        values = module.record(torch.from_numpy(x))
    for name in ("act1", "act2", "act3"):
        worth = np.asarray(graph.nodes[name].dynamics.spike_value)
        np.testing.assert_array_equal(values[name].numpy(), floats.spikes[name] * worth)
        population = next(p for p in program.populations if p.name == name)
        assert np.array_equal(2 * population.v_init, population.threshold + 0 * population.v_init)
    fixed = get_target("fixed-sim")
    found = verify(graph, program, fixed, fixed, None, x, floats.predictions, exact=16)
    assert found.passed and found.reference.differing == 0
    assert found.integer_accuracy is not None and found.integer_accuracy > 0.95
    assert all(abs(layer.float_rate - layer.integer_rate) < 0.01 < layer.float_rate for layer in found.layers[:3])


def test_max_pooling_behind_an_activation_moves_in_front_of_it() -> None:
    """On constant currents that is exact; the ANN itself is unchanged."""
    ann = residual(CLIP, pool="max_pool2d")
    description = trained(ann, 256)
    names = [layer["name"] for layer in description["layers"]]
    assert names[:4] == ["conv1", "bn1", "pool1", "act1"]
    x = images(8)
    with torch.no_grad():
        spikes = filled(description, ann.state).record(x)["act1"].mean(0)
        rates = ann.module().record(x)["pool1"][0]
    assert float((spikes - rates).abs().max()) <= 0.75 / 512 + 1e-5
    assert {tuple(x["inputs"]) for x in description["layers"] if x["name"] in ("conv2", "add")} == {
        ("act1",),
        ("conv2", "act1"),
    }


def test_max_pooling_of_spikes_needs_consent() -> None:
    ann = residual(CLIP)
    layers = [{**x, "kind": "max_pool2d"} if x["name"] == "pool2" else x for x in ann.description["layers"]]
    deep = Ann({**ann.description, "layers": layers}, ann.state)
    with pytest.raises(UnsupportedError, match=r"pool2: max pooling .* average pooling .* --max-pooling currents"):
        trained(deep, 4)
    assert trained(deep, 4, pool_currents=True)["time_steps"] == 4


def test_v_init_is_checked() -> None:
    with pytest.raises(InputError, match="v_init is 'third'"):
        trained(residual(CLIP), 4, "third")
