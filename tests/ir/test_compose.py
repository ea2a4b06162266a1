"""Two linear nodes as one: the composed node is the product of their matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from snncc.errors import SnnccError
from snncc.ir.compose import compose, conv_then_conv, node_matrix, pool_then_conv
from snncc.ir.nodes import AvgPool2d, Conv2d
from snncc.ir.shapes import node_shape

GIVEN = (4, 9, 8)


def drawn_conv(draw: st.DrawFn, channels: int, padded: bool) -> Conv2d:
    groups = draw(st.sampled_from([g for g in (1, 2, channels) if channels % g == 0]))
    out = channels if groups == channels else groups * draw(st.integers(1, 3))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pair = st.tuples(st.integers(1, 2), st.integers(1, 2))
    return Conv2d(
        rng.integers(-4, 5, (out, channels // groups, *kernel)).astype(float), None, draw(pair),
        draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) if padded else (0, 0), draw(pair), groups,
    )  # fmt: skip


@st.composite
def conv_pairs(draw: st.DrawFn) -> tuple[Conv2d, Conv2d]:
    first = drawn_conv(draw, GIVEN[0], padded=True)
    return first, drawn_conv(draw, len(first.weight), padded=draw(st.integers(0, 4)) == 0)


@given(conv_pairs())
def test_two_convolutions(pair: tuple[Conv2d, Conv2d]) -> None:
    first, second = pair
    try:
        middle = node_shape("first", first, GIVEN)
        node_shape("second", second, middle)
    except SnnccError:
        assume(False)
    expected = (node_matrix("n", second, middle) @ node_matrix("n", first, GIVEN)).toarray()
    made = compose("n", first, second, GIVEN)
    assert np.array_equal(node_matrix("n", made, GIVEN).toarray(), expected)
    joined = conv_then_conv(first, second)
    if joined is None:
        alone = second.groups == len(second.weight) == len(first.weight) and second.weight.shape[1] == 1
        assert any(second.padding) or not (alone or first.groups == second.groups == 1)
    else:
        assert isinstance(made, Conv2d)


@pytest.mark.parametrize("padding", [(0, 0), (1, 1)])
def test_a_layer_and_the_pooling_of_its_currents(padding: tuple[int, int]) -> None:
    """3×3 and a 2×2 mean behind it are 4×4 with a stride of 2: weights stay shared."""
    weight = np.arange(36.0).reshape(1, 4, 3, 3)
    pooled = Conv2d(np.full((1, 1, 2, 2), 0.25), None, (2, 2), groups=1)
    made = compose("n", Conv2d(weight, padding=padding), pooled, GIVEN)
    assert isinstance(made, Conv2d)
    assert made.weight.shape == (1, 4, 4, 4) and made.stride == (2, 2) and made.padding == padding


def test_pooling_in_front_of_a_layer() -> None:
    conv = Conv2d(np.ones((2, 4, 3, 3)))
    made = pool_then_conv(AvgPool2d((2, 2), (2, 2)), conv, GIVEN)
    assert made is not None and made.weight.shape == (2, 4, 6, 6)
    expected = node_matrix("n", conv, (4, 4, 4)) @ node_matrix("n", AvgPool2d((2, 2), (2, 2)), GIVEN)
    assert np.allclose(node_matrix("n", made, GIVEN).toarray(), expected.toarray())
