"""Fine-tuning on integers whose scales are trained with them.

A weight is ``q·2^k·s`` with a whole number q, which follows a trained m, and a trained scale ``s = s₀·exp(g)``, one a neuron's
channel (after Esser et al. 2020, "Learned Step Size Quantization"; there m is w/s, here it is a parameter of its own, so that the
scale has its exact gradient). One learning rate thus is the same number of steps of the grid a batch for every layer and channel,
whose weights differ a hundredfold.

q follows m late: it stays until m is more than ``½ +`` :data:`HYSTERESIS` from it, then is the nearest. Where q were always the
nearest, m would come to rest where it is rounded up and down by turns, at every learning rate, and ever more weights with it
(Nagel et al. 2022, "Overcoming Oscillations in Quantization-Aware Training"). The gradient of q is m's.

For networks that train on representations: their training passes run floats, which take any scale. Every evaluation compiles the
weights as they are then, thresholds and biases with them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from snncc.errors import UnsupportedError
from snncc.models.networks import Description
from snncc.models.quantised import QuantisedNetwork

GAINS, WHOLE = "log_gains", "whole_numbers"
HYSTERESIS = 0.25


class TrainedScales(QuantisedNetwork):
    """A :class:`QuantisedNetwork` whose parameters ``NAME.weight`` are m, and ``log_gains.NEURON`` g, until :meth:`settle` puts the
    real weights there. Raises :class:`UnsupportedError` where the network does not train on representations."""

    settled = True

    def __init__(self, description: Description, state: Mapping[str, Tensor], bits: int) -> None:
        super().__init__(description, state, bits)
        if not self.twin:
            raise UnsupportedError(
                f'{description["name"]}: scales are trained in networks of dsr neurons only; take scales = "kept" or "chosen"'
            )
        self.grids = {name: unit * self.powers[name] / factor for name, (unit, factor) in self.scales.items()}
        units = {mapped.neuron: self.scales[name][0].numel() for name, mapped in self.maps.items()}
        self.add_module(GAINS, nn.ParameterDict({name: torch.zeros(size) for name, size in units.items()}))
        self.add_module(WHOLE, nn.Module())
        for name, grid in self.grids.items():
            weight = self.get_parameter(f"{name}.weight").detach()
            weight.copy_(weight.double() / grid)
            self.get_submodule(WHOLE).register_buffer(name, weight.round())
        self.settled = False

    def deployed(self) -> tuple[Description, dict[str, Tensor]]:
        """The description, and the real weights."""
        state = {name: value for name, value in self.state_dict().items() if not name.startswith((GAINS, WHOLE))}
        if not self.settled:
            with torch.no_grad():
                state |= {f"{name}.weight": self._weight(name) for name in self.grids}
        return self.stored, state

    def settle(self) -> None:
        """Put the real weights in the place of m."""
        state = self.deployed()[1]
        self.settled = True
        with torch.no_grad():
            for name in self.grids:
                self.get_parameter(f"{name}.weight").copy_(state[f"{name}.weight"])
        self.eval()

    @torch.compiler.disable
    def _worth(self) -> dict[str, Tensor]:
        own = {name: value for name, value in self.named_parameters() if not name.startswith(GAINS)}
        return own | {f"{name}.weight": self._weight(name) for name in self.grids}

    def _weight(self, name: str) -> Tensor:
        """Real weights of layer ``name``, with the gradients of m and g; m itself is kept in its bits."""
        m, q = self.get_parameter(f"{name}.weight"), self.get_buffer(f"{WHOLE}.{name}")
        with torch.no_grad():
            m.clamp_(-self.largest, self.largest)
            q.copy_(torch.where((m - q).abs() > 0.5 + HYSTERESIS, m.round(), q.clamp(-self.largest, self.largest)))
        gain = self.get_parameter(f"{GAINS}.{self.maps[name].neuron}").exp()
        whole = m + (q - m).detach()
        return whole * self.grids[name].to(m) * (gain.reshape(-1, *(1,) * (m.dim() - 1)) if gain.numel() > 1 else gain)
