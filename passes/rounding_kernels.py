"""The inner loop of :mod:`snncc.passes.rounding`, compiled where it is first needed."""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray


@njit(cache=True)
def descend(q: Array, slope: Array, moments: Array, low: Array, high: Array, sweeps: int) -> None:
    """Move single weights by one while that gains; ``slope`` is (q − w)·H and is kept so."""
    rows, columns = q.shape
    for _ in range(sweeps):
        moved = 0
        for k in range(columns):
            own = moments[k, k]
            for r in range(rows):
                step = -1.0 if slope[r, k] > 0 else 1.0
                if 2 * step * slope[r, k] + own >= -1e-9 * own:
                    continue
                if q[r, k] + step < low[r, k] or q[r, k] + step > high[r, k]:
                    continue
                q[r, k] += step
                moved += 1
                for j in range(columns):
                    slope[r, j] += step * moments[k, j]
        if moved == 0:
            return
