"""C text of projections: every spike is scattered to the neurons it reaches, so that silence costs a comparison."""

from __future__ import annotations

import numpy as np

from snncc.program.program import Projection, conv_shape
from snncc.targets.c99.memory import Memory
from snncc.targets.c99.plan import Plan, PopulationPlan, ProjectionPlan, smallest

Array = np.ndarray


def write_projection(plan: Plan, p: PopulationPlan, q: ProjectionPlan, memory: Memory) -> str:
    """A function ``bring_NAME(from, into)`` that adds to ``into`` what the spikes ``from`` cause."""
    projection, into = q.projection, "into" if q.sums is None else "sums"
    kind = q.sums or p.current
    given, packed = plan.spikes_of(projection.source)
    spike = f"const {kind} s = ({kind}){f'unpacked{packed}(from, i)' if packed else 'from[i]'};"
    scatter = {"dense": _dense, "conv": _conv, "sparse": _sparse}[projection.kind]
    body = scatter(plan, q, memory, kind, spike, into)
    if q.sums is not None:
        shape = p.population.shape
        if projection.kind == "conv":
            shape = conv_shape(projection, plan.program.shape_of(projection.source))
        sums = memory.temporary("sums", q.name, q.sums, int(np.prod(shape)))
        clear = f"    {q.sums} *const sums = {sums};\n    memset(sums, 0, sizeof {sums});\n"
        body = (
            clear
            + body
            + (
                _pooled(q, shape, p.current)
                if projection.pool is not None
                else _shifted(q, p.population.size, p.current)
            )
        )
    head = f"static void bring_{q.name}(const {given} *from, {p.current} *into)"
    shared = f", {8 // q.packed} weights a byte" if q.packed else ""
    return f"/* {_words(projection)}{shared} */\n{head}\n{{\n{body}}}\n"


def _words(q: Projection) -> str:
    words = f"{q.kind}, weight {' x '.join(map(str, q.weight.shape))}"
    if q.kind == "conv":
        words += f", stride {q.stride}, padding {q.padding}, dilation {q.dilation}, groups {q.groups}"
    if q.pool is not None:
        words += f", max pooling {q.pool}, stride {q.pool_stride}"
    return f"{words}, shift {q.shift}, delay {q.delay}"


def _weights(q: ProjectionPlan, memory: Memory, values: Array, kind: str, index: str) -> str:
    """Keeps the weights; C text of one of them as a ``kind``."""
    if not q.packed:
        return f"({kind}){memory.constant(q.name, q.name, values, q.weight)}[{index}]"
    low = int(values.min())
    name = memory.constant(q.name, q.name, values - low, q.weight, q.packed)
    return f"({kind})(unpacked{q.packed}({name}, {index}) {'-' if low < 0 else '+'} {abs(low)})"


def _dense(plan: Plan, q: ProjectionPlan, memory: Memory, kind: str, spike: str, into: str) -> str:
    outputs, inputs = q.projection.weight.shape
    weight = _weights(q, memory, q.projection.weight.T, kind, "w + o")
    return f"""\
    for (int32_t i = 0; i < {inputs}; i++) {{
        {spike}
        const int32_t w = i * {outputs};
        if (s == 0)
            continue;
        for (int32_t o = 0; o < {outputs}; o++)
            {into}[o] += {weight} * s;
    }}
"""


def _sparse(plan: Plan, q: ProjectionPlan, memory: Memory, kind: str, spike: str, into: str) -> str:
    """Synapses by source: those of i are starts[i] .. starts[i + 1]."""
    projection = q.projection
    assert projection.index is not None
    target, source = projection.index
    inputs = int(np.prod(plan.program.shape_of(projection.source)))
    order = np.argsort(source, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=inputs))])
    weight = _weights(q, memory, projection.weight[order], kind, "k")
    names = []
    for what, values in (("starts", starts), ("targets", target[order])):
        names.append(memory.constant(q.name, f"{q.name}_{what}", values, smallest(0, int(values.max()))))
    return f"""\
    for (int32_t i = 0; i < {inputs}; i++) {{
        {spike}
        if (s == 0)
            continue;
        for (int32_t k = {names[0]}[i]; k < {names[0]}[i + 1]; k++)
            {into}[{names[1]}[k]] += {weight} * s;
    }}
"""


def _conv(plan: Plan, q: ProjectionPlan, memory: Memory, kind: str, spike: str, into: str) -> str:
    """The weights lie (input channel, ky, kx, output channel of the group): one spike reads them in one go."""
    projection = q.projection
    (sy, sx), (py, px), (dy, dx) = projection.stride, projection.padding, projection.dilation
    channels, rows_in, columns_in = plan.program.shape_of(projection.source)
    outputs, rows, columns = conv_shape(projection, (channels, rows_in, columns_in))
    group = outputs // projection.groups
    group_inputs, ky, kx = projection.weight.shape[1:]
    shaped = projection.weight.reshape(projection.groups, group, group_inputs, ky, kx).transpose(0, 2, 3, 4, 1)
    weight = _weights(q, memory, shaped, kind, "w + o")
    first = f"c / {group_inputs} * {group * rows} + " if projection.groups > 1 else ""
    return f"""\
    for (int32_t c = 0, i = 0; c < {channels}; c++)
        for (int32_t y = 0; y < {rows_in}; y++)
            for (int32_t x = 0; x < {columns_in}; x++, i++) {{
                {spike}
                if (s == 0)
                    continue;
                for (int32_t a = 0; a < {ky}; a++) {{
                    const int32_t row = {_position("y", py, "a", dy)};
                    if ({_outside("row", sy, rows)})
                        continue;
                    for (int32_t b = 0; b < {kx}; b++) {{
                        const int32_t column = {_position("x", px, "b", dx)};
                        const int32_t w = ((c * {ky} + a) * {kx} + b) * {group};
                        {kind} *to;
                        if ({_outside("column", sx, columns)})
                            continue;
                        to = {into} + ({first}{_over("row", sy)}) * {columns} + {_over("column", sx)};
                        for (int32_t o = 0; o < {group}; o++)
                            to[o * {rows * columns}] += {weight} * s;
                    }}
                }}
            }}
"""


def _position(at: str, padding: int, tap: str, dilation: int) -> str:
    """Where one tap of the kernel lands, times the stride."""
    return f"{at}{f' + {padding}' if padding else ''} - {tap}{f' * {dilation}' if dilation > 1 else ''}"


def _outside(name: str, stride: int, size: int) -> str:
    between = f"{name} % {stride} != 0 || " if stride > 1 else ""
    return f"{name} < 0 || {between}{_over(name, stride)} >= {size}"


def _over(name: str, stride: int) -> str:
    return f"{name} / {stride}" if stride > 1 else name


def _shifted(q: ProjectionPlan, size: int, kind: str) -> str:
    return f"""\
    for (int32_t i = 0; i < {size}; i++)
        into[i] += ({kind}){shifted("sums[i]", q.projection.shift, str(q.sums))};
"""


def shifted(value: str, shift: int, kind: str) -> str:
    """``floor(value / 2**shift)`` in C, for a value of at most that type."""
    return f"floor_shift{64 if kind == 'int64_t' else 32}({value}, {shift})" if shift else value


def _pooled(q: ProjectionPlan, shape: tuple[int, ...], kind: str) -> str:
    """The largest sum of each window; a shift keeps the order, so that one a window is enough."""
    assert q.projection.pool is not None
    channels, rows, columns = shape
    (ky, kx), (sy, sx) = q.projection.pool, q.projection.pool_stride
    return f"""\
    for (int32_t c = 0; c < {channels}; c++)
        for (int32_t y = 0; y < {(rows - ky) // sy + 1}; y++)
            for (int32_t x = 0; x < {(columns - kx) // sx + 1}; x++) {{
                const {q.sums} *const window = sums + (c * {rows} + y * {sy}) * {columns} + x * {sx};
                {q.sums} largest = window[0];
                for (int32_t a = 0; a < {ky}; a++)
                    for (int32_t b = 0; b < {kx}; b++)
                        if (window[a * {columns} + b] > largest)
                            largest = window[a * {columns} + b];
                *into++ += ({kind}){shifted("largest", q.projection.shift, str(q.sums))};
            }}
"""
