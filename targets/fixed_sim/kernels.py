"""Events through synapses. All arrays are C-contiguous; populations of shape (C, H, W) are laid out (H, W, C), so that the
innermost loops run over channels. A row is one sample at one step. Kernels add to ``current`` and return the synaptic operations.

``words`` are the spikes as 64-bit words, eight 8-bit spikes each, in which silence is skipped; with no columns where the
layout does not allow that. Events that reach the same targets are added up four at a time, in the type of ``narrow``, before
they are added to ``current``: the weights of four come from memory at once, and ``current`` is passed over once.
"""

from __future__ import annotations

import numpy as np

from snncc.targets.fixed_sim.compiled import compiled, load_word, store_word

STRETCH = 8192
"""Neurons that are looked at at once."""
WORD = 8
"""Bytes that are added at once."""
FEW = 2
"""Events that reach the same targets and are added one after the other."""


@compiled()
def events_of(spikes, words, first, last, found):  # type: ignore[no-untyped-def]
    """Numbers, from 0, of the neurons in first … last that fired, into ``found``: once from the front, more often, or
    negatively, from the back. Returns how many of each."""
    once, others = 0, 0
    step = 8 if words.size else 1
    for start in range(first, last, step):
        if step == 8 and words[start >> 3] == 0:
            continue
        for i in range(start, start + step):
            if spikes[i] == 1:
                found[once] = i - first
                once += 1
            elif spikes[i] != 0:
                others += 1
                found[found.size - others] = i - first
    return once, others


@compiled()
def add_weights(row, weight, found, once, low, scale, offset, narrow):  # type: ignore[no-untyped-def]
    """Adds ``weight[scale·f + offset, low : low + row.size]`` for the first ``once`` f in ``found``."""
    whole, part = row.dtype.type, narrow.dtype.type
    high, e = low + row.size, 0
    while e + 4 <= once:
        w0, w1 = weight[scale * found[e] + offset, low:high], weight[scale * found[e + 1] + offset, low:high]
        w2, w3 = weight[scale * found[e + 2] + offset, low:high], weight[scale * found[e + 3] + offset, low:high]
        for o in range(row.size):
            pairs = part(part(part(w0[o]) + part(w1[o])) + part(part(w2[o]) + part(w3[o])))
            row[o] = whole(row[o] + whole(pairs))
        e += 4
    while e < once:
        w0 = weight[scale * found[e] + offset, low:high]
        for o in range(row.size):
            row[o] = whole(row[o] + whole(w0[o]))
        e += 1


@compiled()
def scatter_dense(spikes, words, narrow, weight, fan_out, current):  # type: ignore[no-untyped-def]
    """``current[n] += Σ spikes[n, i]·weight[i]``; weight (in, out)."""
    operations = 0
    found = np.empty(spikes.shape[1], np.int64)
    for n in range(spikes.shape[0]):
        row = current[n]
        once, others = events_of(spikes[n], words[n], 0, spikes.shape[1], found)
        for e in range(once):
            operations += fan_out[found[e]]
        add_weights(row, weight, found, once, 0, 1, 0, narrow)
        for e in range(found.size - others, found.size):
            operations += fan_out[found[e]]
            s, w = spikes[n, found[e]], weight[found[e]]
            for o in range(row.size):
                row[o] += s * w[o]
    return operations


@compiled()
def scatter_conv(spikes, words, narrow, weight, fan_out, current, shape_in, shape_out, stride, padding, kernel):  # type: ignore[no-untyped-def]
    """As :func:`scatter_dense` for a convolution without groups and dilation; shapes (H, W, C).

    The kernel columns that one event reaches lie side by side in ``current``, and so do they in ``weight`` (C·ky·sx, taps·out):
    by the residue of the column, the last tap first (see :func:`snncc.targets.fixed_sim.prepare.taps`).
    """
    rows_in, columns_in, channels = shape_in
    rows, columns, outputs = shape_out
    sy, sx = stride
    operations, scale = 0, kernel[0] * sx
    found = np.empty(channels, np.int64)
    for n in range(spikes.shape[0]):
        image, octets, sums = spikes[n], words[n], current[n]
        for y in range(rows_in):
            ry = (y + padding[0]) % sy
            qy = (y + padding[0] - ry) // sy
            taps_y = (kernel[0] - ry + sy - 1) // sy
            first_y, last_y = max(0, qy - rows + 1), min(taps_y, qy + 1)
            for x in range(columns_in):
                base = (y * columns_in + x) * channels
                once, others = events_of(image, octets, base, base + channels, found)
                if once + others == 0:
                    continue
                rx = (x + padding[1]) % sx
                taps_x = (kernel[1] - rx + sx - 1) // sx
                left = (x + padding[1] - rx) // sx - taps_x + 1
                low, high = max(0, -left), min(taps_x, columns - left)
                for e in range(once):
                    operations += fan_out[base + found[e]]
                if once > FEW:
                    for k in range(first_y, last_y):
                        start = ((qy - k) * columns + left + low) * outputs
                        row, offset = sums[start : start + (high - low) * outputs], (ry + k * sy) * sx + rx
                        add_weights(row, weight, found, once, low * outputs, scale, offset, narrow)
                    once = 0
                for e in range(once + others):
                    c = found[e if e < once else channels - 1 - e + once]
                    s = image[base + c]
                    if e >= once:
                        operations += fan_out[base + c]
                    for k in range(first_y, last_y):
                        start = ((qy - k) * columns + left + low) * outputs
                        row = sums[start : start + (high - low) * outputs]
                        w = weight[c * scale + (ry + k * sy) * sx + rx, low * outputs : high * outputs]
                        if s == 1:
                            for o in range(row.size):
                                row[o] += w[o]
                        else:
                            for o in range(row.size):
                                row[o] += s * w[o]
    return operations


@compiled()
def scatter_grouped(spikes, weight, fan_out, current, shape_in, shape_out, stride, padding, dilation):  # type: ignore[no-untyped-def]
    """As :func:`scatter_conv` for any groups and dilation; weight (C, ky, kx, out/groups)."""
    _, columns_in, channels = shape_in
    rows, columns, outputs = shape_out
    _, ky, kx, per_group = weight.shape
    group_inputs = channels * per_group // outputs
    operations = 0
    for n in range(spikes.shape[0]):
        for i in range(spikes.shape[1]):
            s = spikes[n, i]
            if s == 0:
                continue
            operations += fan_out[i]
            c = i % channels
            x = (i // channels) % columns_in
            y = i // (channels * columns_in)
            first = (c // group_inputs) * per_group
            for a in range(ky):
                top = y + padding[0] - a * dilation[0]
                if top < 0 or top % stride[0] != 0 or top // stride[0] >= rows:
                    continue
                for b in range(kx):
                    left = x + padding[1] - b * dilation[1]
                    if left < 0 or left % stride[1] != 0 or left // stride[1] >= columns:
                        continue
                    start = ((top // stride[0]) * columns + left // stride[1]) * outputs + first
                    row = current[n, start : start + per_group]
                    w = weight[c, a, b]
                    for o in range(per_group):
                        row[o] += s * w[o]
    return operations


@compiled()
def scatter_sparse(spikes, starts, targets, weight, fan_out, current):  # type: ignore[no-untyped-def]
    """As :func:`scatter_dense`; the synapses of source i are ``starts[i]:starts[i + 1]`` of targets and weight."""
    operations = 0
    for n in range(spikes.shape[0]):
        for i in range(spikes.shape[1]):
            s = spikes[n, i]
            if s == 0:
                continue
            operations += fan_out[i]
            for k in range(starts[i], starts[i + 1]):
                current[n, targets[k]] += s * weight[k]
    return operations


@compiled()
def used_synapses(spikes, fan_out, operations):  # type: ignore[no-untyped-def]
    """``operations`` (steps,) grows by the synaptic operations of ``spikes`` (steps, N, size), where no kernel counted them; a
    stretch of neurons at a time, whose firings are counted in bytes over so many samples as a byte holds."""
    counts = np.empty(STRETCH, np.uint8)
    for start in range(0, fan_out.size, STRETCH):
        used = fan_out[start : start + STRETCH]
        fired = counts[: used.size]
        for t in range(spikes.shape[0]):
            for first in range(0, spikes.shape[1], 255):
                fired[:] = 0
                for n in range(first, min(first + 255, spikes.shape[1])):
                    row = spikes[t, n, start : start + STRETCH]
                    for i in range(fired.size):
                        fired[i] = np.uint8(fired[i] + np.uint8(row[i] != 0))
                for i in range(fired.size):
                    operations[t] += np.int64(used[i]) * np.int64(fired[i])


@compiled()
def add_blocks(images, columns, channels, spare, row, sums):  # type: ignore[no-untyped-def]
    """``sums``, flat, with :data:`WORD` bytes to spare, becomes the sums over s × s positions, s ≥ 2, of 8-bit images (steps, N,
    H/s, s, W·C); ``columns`` W/s, each with ``spare`` channels more, in which is some other sum.

    Eight channels at once, as no sum may exceed a byte: the last ones of a position reach into the next one, which comes after.
    ``row`` (W·C and ``WORD`` bytes more) is room for the sums over s rows."""
    s, size, place = images.shape[3], images.shape[4], 0
    row[size:] = 0
    for t in range(images.shape[0]):
        for n in range(images.shape[1]):
            for y in range(images.shape[2]):
                rows = images[t, n, y]
                for i in range(size):
                    row[i] = np.uint8(rows[0, i] + rows[1, i])
                for k in range(2, s):
                    for i in range(size):
                        row[i] = np.uint8(row[i] + rows[k, i])
                for x in range(columns):
                    first, c = x * s * channels, 0
                    while c < channels:
                        total = load_word(row, first + c) + load_word(row, first + channels + c)
                        for k in range(2, s):
                            total += load_word(row, first + k * channels + c)
                        store_word(sums, place + c, total)
                        c += WORD
                    place += channels + spare


@compiled()
def add_shifted(sums, shift, current):  # type: ignore[no-untyped-def]
    """``current += floor(sums / 2**shift)`` of whole numbers, also those that floats hold."""
    for n in range(sums.shape[0]):
        into, row = current[n], sums[n]
        for i in range(row.size):
            into[i] += int(row[i]) >> shift


@compiled()
def conv_fan_out(used, shape_in, shape_out, stride, padding, dilation, fan_out):  # type: ignore[no-untyped-def]
    """Synapses with a non-zero weight that leave each source neuron; used (C, ky, kx) counts them by kernel position."""
    _, columns_in, channels = shape_in
    for i in range(fan_out.size):
        c = i % channels
        x = (i // channels) % columns_in
        y = i // (channels * columns_in)
        total = 0
        for a in range(used.shape[1]):
            top = y + padding[0] - a * dilation[0]
            if top < 0 or top % stride[0] != 0 or top // stride[0] >= shape_out[0]:
                continue
            for b in range(used.shape[2]):
                left = x + padding[1] - b * dilation[1]
                if left < 0 or left % stride[1] != 0 or left // stride[1] >= shape_out[1]:
                    continue
                total += used[c, a, b]
        fan_out[i] = total
