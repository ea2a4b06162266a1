"""A network of your own: trained on Fashion-MNIST, then compiled and verified (see README.md)."""

import torch
from torch import nn

from snncc.models import Neuron, fit


def build() -> nn.Module:
    """One time step: images (N, 1, 28, 28) with pixels in 0..1 to a current for each class (N, 10)."""

    def lif() -> Neuron:
        return Neuron(threshold=1.0, membrane_decay=0.5, reset="to_value")

    return nn.Sequential(
        *(nn.Conv2d(1, 16, 5, padding=2), nn.BatchNorm2d(16), lif(), nn.AvgPool2d(2)),
        *(nn.Conv2d(16, 32, 5, padding=2), nn.BatchNorm2d(32), lif(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.2), nn.Linear(32 * 7 * 7, 10)),
    )


if __name__ == "__main__":
    torch.manual_seed(0)
    net = build()
    fit(net, "fashion-mnist", time_steps=4, epochs=2, progress=print)
    torch.save(net.state_dict(), "fashion.pt")
