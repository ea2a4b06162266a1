"""Synaptic sums of a block of steps by one of two exact paths, and which of them is cheaper."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import weakref
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from snncc.files import written_beside
from snncc.targets.fixed_sim import kernels
from snncc.targets.fixed_sim.dense import Dense, dense_path
from snncc.targets.fixed_sim.onednn import shortest
from snncc.targets.fixed_sim.prepare import PreparedProjection, spike_type

Array = np.ndarray
CACHE_VARIABLE = "SNNCC_CACHE"
TRIAL_ROWS, TRIAL_ACTIVITY = (8, 64), 0.03
KERNELS = 2
"""Raised where kernels become faster or slower: costs of others are measured anew."""


@dataclass(frozen=True)
class Cost:
    """Nanoseconds: ``dense`` a row (a sample at one step) and ``dense_call`` whatever the rows, ``silent`` and ``silent_call``
    the same of events without any, ``event`` a synaptic operation of the event path."""

    dense: float
    dense_call: float
    silent: float
    silent_call: float
    event: float


@dataclass(frozen=True, eq=False)
class Paths:
    """The two ways to a projection's sums. ``cost`` is None where there is nothing to choose."""

    projection: PreparedProjection
    dense: Dense | None
    cost: Cost | None

    def prefers_dense(self, rows: int, events: float, steps: int = 1) -> bool:
        """Whether the dense path is the cheaper one for ``rows`` rows with ``events`` spikes in all, of so many ``steps``."""
        if self.dense is None:
            return False
        if self.cost is None:
            return True
        c, operations = self.cost, events * self.projection.mean_fan_out
        by_events = steps * c.silent_call + rows * c.silent + operations * c.event
        return c.dense_call + rows * c.dense < by_events


def paths_of(q: PreparedProjection, path: str, torch_too: bool) -> Paths:
    """``path`` is "event", "dense" (events where there is no dense path) or "auto" (the cheaper one, by measured cost)."""
    made = _made.setdefault(q, {})
    if (path, torch_too) not in made:
        dense = None if path == "event" else dense_path(q, torch_too)
        cost = cost_of(q, dense) if dense is not None and path == "auto" else None
        made[path, torch_too] = Paths(weakref.proxy(q), dense, cost)
    return made[path, torch_too]


_made: weakref.WeakKeyDictionary[PreparedProjection, dict[tuple[str, bool], Paths]] = weakref.WeakKeyDictionary()
"""Weights are laid out once for all runs of a Program."""


def by_events(q: PreparedProjection, steps: Array) -> tuple[Array, Array]:
    """(sums (steps·N, size) before shift and pooling, synaptic operations (steps,)) of spikes ``steps`` (steps, N, size)."""
    sums = np.empty((steps.shape[0] * steps.shape[1], q.sizes[1]), q.sums)
    sums.fill(0)  # in memory that is there, which np.zeros would leave to the first event of each page
    parts = np.split(sums, len(steps))
    return sums, np.asarray([_scatter(q, *one) for one in zip(steps, parts, strict=True)], np.int64)


def _scatter(q: PreparedProjection, spikes: Array, sums: Array) -> int:
    """Adds to ``sums`` (N, size) what ``spikes`` (N, size) bring, and returns the synaptic operations."""
    if q.projection.kind == "sparse":
        return int(kernels.scatter_sparse(spikes, *q.weights, q.fan_out, sums))
    channels = q.sizes[0] if q.shape_in is None else q.shape_in[2]
    eights = spikes.dtype == np.uint8 and channels % 8 == 0 and q.sizes[0] % 8 == 0
    words = spikes.view(np.uint64) if eights else np.zeros((len(spikes), 0), np.uint64)
    narrow = np.empty(0, np.int16 if q.weights[0].dtype == np.int8 else q.sums)  # no sum of four is wider
    if q.shape_in is None:
        return int(kernels.scatter_dense(spikes, words, narrow, *q.weights, q.fan_out, sums))
    p = q.projection
    if q.plain:
        how = (q.shape_in, q.shape_out, p.stride, p.padding, p.weight.shape[2:])
        return int(kernels.scatter_conv(spikes, words, narrow, *q.weights, q.fan_out, sums, *how))
    how = (q.shape_in, q.shape_out, p.stride, p.padding, p.dilation)
    return int(kernels.scatter_grouped(spikes, *q.weights, q.fan_out, sums, *how))


def by_dense(q: PreparedProjection, dense: Dense, steps: Array) -> tuple[Array, Array]:
    """As :func:`by_events`, the sums as floats."""
    operations = np.zeros(len(steps), np.int64)
    kernels.used_synapses(steps, q.fan_out, operations)
    return dense(steps), operations


def max_pooled(q: PreparedProjection, sums: Array) -> Array:
    """The largest of each window of sums (rows, H·W·C), kernel layout."""
    assert q.shape_out is not None and q.projection.pool is not None
    (ky, kx), (sy, sx) = q.projection.pool, q.projection.pool_stride
    rows, columns = ((q.shape_out[i] - k) // s + 1 for i, (k, s) in enumerate(((ky, sy), (kx, sx))))
    shaped = sums.reshape(-1, *q.shape_out)
    best = None
    for y in range(ky):
        for x in range(kx):
            part = shaped[:, y : y + (rows - 1) * sy + 1 : sy, x : x + (columns - 1) * sx + 1 : sx]
            best = part if best is None else np.maximum(best, part)
    assert best is not None
    return np.ascontiguousarray(best.reshape(len(sums), -1))


def cost_of(q: PreparedProjection, dense: Dense) -> Cost:
    """Measured once a machine and shape, and kept in the user's cache folder (``$SNNCC_CACHE``, else XDG's)."""
    key = _key(q)
    known = _kept().get(key)
    if known is None:
        known = _kept()[key] = asdict(_measure(q, dense))
        _keep()
    return Cost(**known)


def _measure(q: PreparedProjection, dense: Dense) -> Cost:
    random, most = np.random.default_rng(0), TRIAL_ROWS[-1]
    some = (random.random((1, most, q.sizes[0])) < TRIAL_ACTIVITY).astype(spike_type(q.spike_range))
    none = np.zeros_like(some)
    silent = _line([shortest(lambda rows=rows: by_events(q, none[:, :rows])) for rows in TRIAL_ROWS])  # type: ignore[misc]
    counted = _line([shortest(lambda rows=rows: by_dense(q, dense, some[:, :rows])) for rows in TRIAL_ROWS])  # type: ignore[misc]
    operations = int(by_events(q, some)[1][0])
    event = (shortest(lambda: by_events(q, some)) - silent[0] * most - silent[1]) / max(1, operations)
    return Cost(*counted, *silent, max(0.0, event))


def _line(times: list[float]) -> tuple[float, float]:
    """(a row, whatever the rows) of the times of :data:`TRIAL_ROWS`."""
    (fewer, more), (first, last) = TRIAL_ROWS, times
    row = max(0.0, (last - first) / (more - fewer))
    return row, max(0.0, first - fewer * row)


def _key(q: PreparedProjection) -> str:
    p = q.projection
    how = (p.kind, q.sizes, q.shape_in, q.shape_out, p.weight.shape, p.stride, p.padding, p.dilation, p.groups)
    types = np.dtype(q.sums).name, q.weights[0].dtype.name, q.spike_range, round(float((p.weight != 0).mean()), 1)
    return hashlib.sha256(repr((how, types)).encode()).hexdigest()[:16]


@cache
def _kept() -> dict[str, dict[str, Any]]:
    """Costs known on this machine, as in the file."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
        return {str(key): asdict(Cost(**value)) for key, value in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _keep() -> None:
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        with written_beside(_file()) as beside:
            beside.write_text(json.dumps(_kept()), encoding="utf-8")
    except OSError:
        pass  # measured again next time


@cache
def _file() -> Path:
    given, xdg = os.environ.get(CACHE_VARIABLE), os.environ.get("XDG_CACHE_HOME")
    base = (
        Path(given) if given else (Path(xdg) if xdg and Path(xdg).is_absolute() else Path.home() / ".cache") / "snncc"
    )
    parts = [
        KERNELS,
        platform.machine(),
        _processor(),
        *(f"{name} {_version(name)}" for name in ("numba", "torch", "numpy")),
    ]
    return base / f"paths-{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}.json"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next((line for line in lines if line.startswith("model name")), "") + next(
            (line for line in lines if line.startswith("flags")), ""
        )
    except OSError:
        return platform.processor()
