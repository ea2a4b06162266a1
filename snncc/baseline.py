"""Is it worse than it was: a verification against what an earlier one wrote with ``--json``, sample by sample."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snncc.errors import InputError
from snncc.evidence import FAILED, MET, Errors, sign_test
from snncc.gates import AGREED, LOST, Gate
from snncc.verify import PerSample, Verification

Array = np.ndarray
VERSION = 1
"""Of the entry "per_sample"; other versions are refused."""
LEAST_RISE = 0.01
"""Relative rise of the spikes below which it is no regression, however sure: retrained networks differ by as much."""
MAX_BYTES = 64 << 20
MAX_SAMPLES = 1 << 24
ANEW = "write it anew: snncc verify … --json > FILE"


@dataclass(frozen=True)
class Baseline:
    """What an earlier verification found of which samples of which data; ``costs``: its entry of that name, unread.
    ``marks``: of each sample (:func:`snncc.sampling.sample_marks`), None where it was written before there were any."""

    file: str
    data: str
    sampling: str
    found: PerSample
    costs: Any = None
    marks: Array | None = None


def per_sample_facts(found: Verification, data: str, marks: Array | None = None) -> dict[str, Any]:
    """The entry "per_sample" of a verification on ``data``, whose samples have these ``marks``."""
    own = found.per_sample
    return {
        "version": VERSION,
        "data": data,
        "sampling": found.sampling,
        "right": None if own.right is None else _packed(own.right),
        "same": _packed(own.same),
        "spikes": _packed(own.spikes),
        "marks": None if marks is None else _packed(tuple(marks[: len(own.same)].tolist())),
    }


def read_baseline(path: Path) -> Baseline:
    """What ``snncc verify --json`` wrote. Raises :class:`InputError` where it is missing, damaged, or of another version."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: is {path.stat().st_size:,} bytes; a baseline has {MAX_BYTES:,} at most")
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except FileNotFoundError:
        raise InputError(f"{path}: no such baseline; {ANEW}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no readable JSON ({error}); {ANEW}") from error
    entry = value.get("per_sample") if isinstance(value, dict) else None
    if not isinstance(entry, dict):
        raise InputError(f"{path}: is no result of snncc verify (it has no entry per_sample); {ANEW}")
    if entry.get("version") != VERSION:
        raise InputError(f"{path}: has version {entry.get('version')!r}, this snncc reads {VERSION}; {ANEW}")
    right = None if entry.get("right") is None else _unpacked(path, entry, "right")
    found = PerSample(right, _unpacked(path, entry, "same"), _unpacked(path, entry, "spikes"))
    marks = None if entry.get("marks") is None else np.array(_unpacked(path, entry, "marks"), np.int64)
    if len({len(x) for x in (found.right, found.same, found.spikes, marks) if x is not None}) != 1 or not found.same:
        raise InputError(f"{path}: is damaged: its entries are of different numbers of samples; {ANEW}")
    return Baseline(str(path), str(entry.get("data")), str(entry.get("sampling")), found, value.get("costs"), marks)


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def check_same_samples(baseline: Baseline, data: str, sampling: str, marks: Array) -> None:
    """Raises :class:`InputError` where the baseline is of other samples than those that are to be verified, which have these
    ``marks``; the shorter of the two may be the beginning of the other. Where the baseline has none, names must do."""
    if baseline.marks is not None:
        common = min(len(marks), len(baseline.marks))
        other = np.flatnonzero(baseline.marks[:common] != marks[:common])
        if other.size:
            raise InputError(
                f"{baseline.file}: was written on other samples: {other.size:,} of the {common:,} that both look at differ in "
                f"input, time steps or label, the first at place {other[0]:,} (its data: {baseline.data}, {baseline.sampling}; "
                f"now: {data}, {sampling}). Samples are compared one by one: verify on the baseline's own, or {ANEW}"
            )
        return
    for name, before, now in (("data", baseline.data, data), ("samples", baseline.sampling, sampling)):
        if before != now:
            raise InputError(
                f"{baseline.file}: its {name}: {before}; now: {now}. Samples are compared one by one: verify on the "
                f"baseline's own, or {ANEW}"
            )


def regressions(baseline: Baseline, found: Verification, errors: Errors) -> list[Gate]:
    """One gate for each figure: failed where it got worse by more than chance explains. ``errors.alpha`` is the probability
    that one fails of a network that is no worse.

    Accuracy and agreement by the exact sign (McNemar) test on the samples that changed; spikes per inference by the t test on
    differences of the same samples, and only from :data:`LEAST_RISE` on. Where the two looked at different numbers of samples,
    those that both looked at count. Raises :class:`InputError` where there is nothing to compare.
    """
    before, now = baseline.found, found.per_sample
    common = min(len(before.same), len(now.same))
    gates = []
    for name, old, new in ((LOST, before.right, now.right), (AGREED, before.same, now.same)):
        if old is None or new is None:
            continue
        change = np.subtract(new[:common], old[:common])
        lost, won = int((change < 0).sum()), int((change > 0).sum())
        remark = f"{lost:,} got worse and {won:,} better of {common:,}; {_chance(sign_test(lost, won))}"
        most = _most_by_chance(lost + won, errors.alpha)
        outcome = FAILED if lost - won > most else MET
        gates.append(Gate(name, lost - won, most, outcome, remark=remark))
    return [*gates, _more_spikes(np.array(before.spikes[:common]), np.array(now.spikes[:common]), errors)]


def _most_by_chance(changed: int, alpha: float) -> int:
    """Samples lost minus won, of so many that changed, up to which the sign test does not reject at ``alpha``."""
    from scipy.special import bdtrc

    lost = np.arange(changed + 1)
    chances = np.where(lost == 0, 1.0, bdtrc(np.maximum(lost - 1, 0), changed, 0.5))
    return int(2 * lost[chances >= alpha].max() - changed)


def _more_spikes(old: np.ndarray, new: np.ndarray, errors: Errors) -> Gate:
    from scipy.special import stdtr

    change = new - old
    mean, spread = float(change.mean()), float(change.std(ddof=1)) if len(change) > 1 else 0.0
    if spread > 0:
        p = float(stdtr(len(change) - 1, -mean / (spread / len(change) ** 0.5)))
    else:
        p = 1.0 if mean <= 0 or len(change) == 1 else 0.0
    rise = mean / max(float(old.mean()), 1e-12)
    remark = f"{old.mean():,.1f} before, {new.mean():,.1f} now: {_chance(p)}"
    outcome = FAILED if p < errors.alpha and rise > LEAST_RISE else MET
    return Gate("rise of spikes since the baseline", 100 * rise, 100 * LEAST_RISE, outcome, "%", remark=remark)


def _chance(p: float) -> str:
    return "as chance would have it" if p > 0.5 else f"chance alone does as much with a probability of {p:.2g}"


def _packed(numbers: tuple[int, ...]) -> str:
    return base64.b64encode(zlib.compress(np.asarray(numbers, "<i8").tobytes(), 9)).decode()


def _unpacked(path: Path, entry: Mapping[str, Any], key: str) -> tuple[int, ...]:
    try:
        unpack = zlib.decompressobj()
        data = unpack.decompress(base64.b64decode(str(entry.get(key)), validate=True), 8 * MAX_SAMPLES)
        if unpack.unconsumed_tail or not unpack.eof:
            raise ValueError("is cut off or too long")
        numbers = np.frombuffer(data, "<i8")
    except (binascii.Error, zlib.error, ValueError) as error:
        raise InputError(f"{path}: its {key!r} is damaged ({error}); {ANEW}") from error
    return tuple(numbers.tolist())
