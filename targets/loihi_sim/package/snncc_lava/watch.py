"""Lava's runtime waits for ever for a Process that failed while others wait for it. This notices, says why, and ends all."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

POLL_S = 0.25


def end_processes() -> None:
    """Kill what Lava started and has not stopped."""
    for child in multiprocessing.active_children():
        child.kill()


class Watch:
    """While open, ends the program with exit code 1 and the failed Process's traceback if one of ``runtime``'s fails;
    ``scratch`` is removed first."""

    def __init__(self, runtime: Any, scratch: Path) -> None:
        self.scratch = scratch
        self.actors = runtime._messaging_infrastructure.actors
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    def _look(self) -> None:
        while not self.done.wait(POLL_S):
            failure = next(filter(None, map(_failure_of, self.actors)), "")
            if failure:
                sys.stderr.write(failure + "\n")
                sys.stderr.flush()
                end_processes()
                shutil.rmtree(self.scratch, ignore_errors=True)
                os._exit(1)


def _failure_of(actor: Any) -> str:
    """Why a Process ended, or "" where it runs or ended well."""
    try:
        if actor.exception:
            return str(actor.exception[1])
        if actor.exitcode:
            return f"a Process of Lava's ended with exit code {actor.exitcode}"
    except (OSError, EOFError, ValueError):  # already joined and closed
        pass
    return ""
