"""Shards of a data set over a Dask cluster: the same tallies in the same order, whoever works on them.

A task carries all that it needs, so the work of a worker that dies is done again by another; nothing lives on workers alone.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from snncc.errors import InputError, TargetError
from snncc.verify import Shards, Spread, Tally, Work, one_after_another

LOCAL = "local:"
CONNECT_TIMEOUT_S = 30
RETRIES = 3
"""Deaths of its worker that a shard survives, and failures of other kinds."""
AHEAD = 2
"""Shards in flight for each thread of a worker."""


@contextmanager
def cluster(address: str | None) -> Iterator[Spread]:
    """Where shards are worked on: here for None, on the cluster whose scheduler is at ``address``, or for "local:N" in N
    processes that are started for it. Raises :class:`InputError` where there is no such cluster or no Dask."""
    if address is None:
        yield one_after_another
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise InputError("--dask needs Dask's distributed scheduler: pip install 'snncc[dask]'") from error
    if not address.startswith(LOCAL):
        try:
            client = Client(address, timeout=CONNECT_TIMEOUT_S)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(f"--dask {address}: no Dask scheduler answers there ({error})") from error
        with client:
            yield lambda work, shards: spread_over(client, work, shards)
        return
    workers = address.removeprefix(LOCAL)
    if not workers.isdecimal() or int(workers) < 1:
        raise InputError(f"--dask {address}: local: needs a number of processes, such as local:2")
    with (
        LocalCluster(n_workers=int(workers), threads_per_worker=1, dashboard_address=None) as here,
        Client(here) as client,
    ):
        yield lambda work, shards: spread_over(client, work, shards)


def spread_over(client: Any, work: Work, shards: Shards) -> Iterator[Tally]:
    """Tallies of ``shards`` in their order. Raises :class:`TargetError` where no worker is left to do the work."""
    from distributed.scheduler import KilledWorker

    payload = pickle.dumps(work)
    ahead = max(AHEAD, AHEAD * sum(client.nthreads().values()))
    flying: deque[Any] = deque()
    try:
        for start, chunk in shards:
            flying.append(client.submit(_worked, payload, start, chunk, pure=False, retries=RETRIES))
            if len(flying) >= ahead:
                yield flying.popleft().result()
        while flying:
            yield flying.popleft().result()
    except KilledWorker as error:
        raise TargetError(f"a shard's worker died {RETRIES} times over; give workers more memory ({error})") from error
    finally:
        for future in flying:
            future.cancel()


def _worked(payload: bytes, start: int, chunk: Any) -> Tally:
    return _unpacked(payload)(start, chunk)


@lru_cache(maxsize=2)
def _unpacked(payload: bytes) -> Work:
    made: Work = pickle.loads(payload)
    return made
