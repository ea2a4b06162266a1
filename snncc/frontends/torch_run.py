"""Run a PyTorch module over all its steps, from its initial state, and keep what every neuron put out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snncc.errors import UnsupportedError

Array = np.ndarray


@dataclass(frozen=True)
class Calling:
    """How a module is called.

    Attributes:
        layout: "step", "time_batch", "batch_time", "squeezed", or "loop": the module shows a static input to every step.
        neurons: how the neuron modules take time, by name.
        steps: T.
        returned: axes of what the module returns, as in ``torch_axes``.
    """

    layout: str
    neurons: Mapping[str, str]
    steps: int
    returned: tuple[str, ...] = ()


def run_module(module: Any, calling: Calling, inputs: Array) -> tuple[Mapping[str, Array], Array | None]:
    """Outputs (T, N, *shape) of the neurons for real ``inputs``: (N, *shape) for "loop", else (T, N, *shape); and what the
    module itself returns, as it is."""
    import torch

    kept: dict[str, list[Array]] = {name: [] for name in calling.neurons}
    handles = []
    layers = dict(torch.nn.Module.named_modules(module))
    for name in calling.neurons:

        def keep(_module: Any, _inputs: Any, output: Any, name: str = name) -> None:
            first = output[0] if isinstance(output, tuple | list) else output
            kept[name].append(first.detach().cpu().numpy().copy())

        handles.append(layers[name].register_forward_hook(keep))
    try:
        reset_states(module)
        with torch.no_grad():
            result = _call(module, calling.layout, torch.from_numpy(inputs))
        reset_states(module)
    finally:
        for handle in handles:
            handle.remove()
    steps, samples = calling.steps, inputs.shape[0 if calling.layout == "loop" else 1]
    outputs = {name: _arranged(values, calling.neurons[name], samples, steps) for name, values in kept.items()}
    if result is not None and calling.layout != "step":
        result = _in_steps(result, calling.returned, samples, steps)
    return outputs, result


def _call(module: Any, layout: str, x: Any) -> Array | None:
    """What the module returns, first of several; of a module that takes one step a call, stacked over the steps."""
    if layout == "step":
        return _step_by_step(module, x)
    if layout == "batch_time":
        x = x.transpose(0, 1).contiguous()
    elif layout == "squeezed":
        x = x.transpose(0, 1).flatten(0, 1).contiguous()
    return _first(module(x))


def _first(result: Any) -> Array | None:
    while isinstance(result, tuple | list) and result:
        result = result[0]
    return result.detach().cpu().numpy() if hasattr(result, "detach") else None


def _in_steps(result: Array, axes: tuple[str, ...], samples: int, steps: int) -> Array:
    """What the module returned with the steps first, where it kept them."""
    if axes in (("NT",), ("TN",)):
        lead = (samples, steps) if axes == ("NT",) else (steps, samples)
        result, axes = result.reshape(*lead, *result.shape[1:]), tuple(axes[0])
    return np.moveaxis(result, 1, 0) if axes == ("N", "T") else result


def _step_by_step(module: Any, x: Any) -> Array | None:
    """Call the module once a step, handing the states that it returns to its next call."""
    import inspect

    parameters = list(inspect.signature(module.forward).parameters.values())[1:]
    required = sum(p.default is p.empty for p in parameters)
    states: list[Any] = [None] * required
    outputs = []
    for frame in x:
        result = module(frame, *states)
        outputs.append(_first(result))
        if not parameters or not isinstance(result, tuple):
            continue
        following = list(result[1:])
        if len(following) == len(parameters):
            states = following
        elif required:
            raise UnsupportedError(
                f"{type(module).__name__}: takes {len(parameters)} states and returns {len(following)}; return the output "
                "and then the states, in the order in which forward takes them"
            )
    kept = [o for o in outputs if o is not None]
    return np.stack(kept) if len(kept) == len(outputs) else None


def _arranged(values: list[Array], inner: str, samples: int, steps: int) -> Array:
    """What the hooks kept, as (T, N, *shape)."""
    if inner == "step":
        return np.stack(values)
    whole = values[0]
    if inner == "squeezed":
        whole = whole.reshape(samples, steps, *whole.shape[1:])
    return whole if inner == "time_batch" else np.moveaxis(whole, 1, 0)


def reset_states(module: Any) -> None:
    """Every neuron as before its first step."""
    from torch import nn

    for _, layer in nn.Module.named_modules(module):
        for name in ("reset_states", "reset_mem", "reset_state", "reset"):
            method = getattr(layer, name, None)
            root = type(layer).__module__.partition(".")[0]
            if callable(method) and root in ("snncc", "snntorch", "sinabs", "spikingjelly", "rockpool"):
                method()
                break
