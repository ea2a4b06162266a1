"""Rounding the weights of a layer together, so that the error of its sums is small rather than that of each weight.

For weights w (in units) and inputs x of a row, whole numbers q near w are sought with a small ``E[((q − w)·x)²]``, which is
``(q − w) H (q − w)`` for the second moments H of x. First each weight is rounded in turn and the weights after it make up for its
error (Frantar and Alistarh 2022, "Optimal Brain Compression"; Frantar et al. 2022, "GPTQ", for the order and the Cholesky form);
then single weights move by one as long as that gains. Like AdaRound (Nagel et al. 2020) it only decides between rounding up and
down: every q lies less than one unit from its w, or at the largest whole number where w is beyond it.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
DAMPING = 0.01
"""Of the mean second moment, added to every one: inputs that were silent on the calibration data may still speak later, and few
samples must not pull the weights far from the trained ones."""
BLOCK = 64
"""Columns whose errors are passed on at once."""
SWEEPS = 20


class Moments:
    """Second moments (K, K) of a row's inputs, damped by :data:`DAMPING` (where all inputs are silent, the unit matrix).

    Attributes:
        matrix: (K, K), positive definite.
        order, upper: inputs from the strongest to the weakest, and the upper Cholesky factor of the inverse in that order.
    """

    def __init__(self, matrix: Array) -> None:
        from scipy.linalg import cholesky, solve_triangular

        mean = float(np.mean(np.diag(matrix)))
        self.matrix = matrix + np.eye(len(matrix)) * (DAMPING * mean if mean > 0 else 1.0)
        self.order = np.argsort(-np.diag(self.matrix), kind="stable")
        backwards = self.order[::-1]
        lower = cholesky(self.matrix[np.ix_(backwards, backwards)], lower=True)  # H = L·Lᵀ, so inv(H) = inv(L)ᵀ·inv(L)
        inverse = solve_triangular(lower, np.eye(len(lower)), lower=True)
        self.upper = np.ascontiguousarray(inverse[::-1, ::-1])


def objective(weight: Array, rounded: Array, moments: Moments) -> Array:
    """(R,) expected squared error of each row's sum, in units."""
    error = rounded - weight
    found: Array = np.einsum("rk,rk->r", error @ moments.matrix, error)
    return found


def nearest(weight: Array, limit: int) -> Array:
    """``weight`` in units rounded one by one."""
    found: Array = np.clip(np.round(weight), -limit, limit)
    return found


def bounds(weight: Array, limit: int) -> tuple[Array, Array]:
    """(lowest, highest) whole number that each weight may become."""
    return np.clip(np.floor(weight), -limit, limit), np.clip(np.ceil(weight), -limit, limit)


def learn(weight: Array, moments: Moments, limit: int) -> Array:
    """Whole numbers (R, K) for ``weight`` (R, K) in units, of magnitude ``limit`` at most.

    No row's :func:`objective` is larger than with :func:`nearest`, and no single step of one weight makes it smaller."""
    from snncc.passes.rounding_kernels import descend

    plain = nearest(weight, limit)
    passed_on = pass_errors_on(weight, moments, limit)
    better = objective(weight, passed_on, moments) < objective(weight, plain, moments)
    found = np.where(better[:, None], passed_on, plain)
    low, high = bounds(weight, limit)
    descend(found, (found - weight) @ moments.matrix, moments.matrix, low, high, SWEEPS)
    return found


def pass_errors_on(weight: Array, moments: Moments, limit: int) -> Array:
    """Round the columns in turn; what each row's sum loses goes to the columns that are still to come."""
    order, upper = moments.order, moments.upper
    low, high = (b[:, order] for b in bounds(weight, limit))
    left = weight[:, order].astype(np.float64)
    found = np.empty_like(left)
    for start in range(0, left.shape[1], BLOCK):
        stop = min(start + BLOCK, left.shape[1])
        errors = np.empty((len(left), stop - start))
        for k in range(start, stop):
            found[:, k] = np.clip(np.round(left[:, k]), low[:, k], high[:, k])
            errors[:, k - start] = (left[:, k] - found[:, k]) / upper[k, k]
            left[:, k + 1 : stop] -= np.outer(errors[:, k - start], upper[k, k + 1 : stop])
        left[:, stop:] -= errors @ upper[start:stop, stop:]
    made = np.empty_like(found)
    made[:, order] = found
    return made
