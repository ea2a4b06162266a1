"""Sees what a command does while it reads a file: what runs, what is written, how long it takes and how much memory."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .damage import CALLS, MARK

SECONDS = 10
MAX_MIB = 1_024
MAX_MESSAGE = 3_000
NET_MIB = 6 * MAX_MIB
"""More address space than this is not given, so that a flood does not take the machine with it."""
RUNS = ("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "pty.spawn", "subprocess.Popen",
        "socket.bind", "socket.connect", "socket.getaddrinfo", "os.kill", "code.__new__")  # fmt: skip
WRITES = ("os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate",
          "shutil.rmtree", "shutil.move", "shutil.copyfile")  # fmt: skip
NAMES = ("compile", "exec", "import")
FORBIDDEN = {(module, name) for module, name, _ in CALLS}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


class ForbiddenError(BaseException):
    """Something from a file ran, or wrote where it must not."""


class HangError(BaseException):
    """The time is over."""


@dataclass(frozen=True)
class Seen:
    """What a command did: exit code (None where it did not exit as it should), what it said, seconds, MiB above the
    memory that was in use when the watch was made, and what is wrong, if anything."""

    code: int | None
    out: str
    err: str
    seconds: float
    mib: float
    fault: str


def judge(seen: Seen, fatal: bool, sound: str) -> tuple[str, str]:
    """(outcome, what is wrong with it or ""): a file is refused with one message, or read, as what the sound file is or
    as another network that is valid."""
    if seen.fault:
        return "fault", seen.fault
    if seen.code == 2:
        message = seen.err.strip()
        if not message or "Traceback" in seen.err or len(message) > MAX_MESSAGE:
            return "fault", f"exit 2 with {len(message):,} characters"
        if not message.replace("\n", "").isprintable():
            return "fault", f"exit 2 with control characters: {message!r:.300}"
        return "refused", ""
    if seen.code not in (0, 1):
        return "fault", f"exit {seen.code}"
    if fatal:
        return "fault", "was read, and must not be"
    if seen.code == 1:
        return "findings", "" if seen.out.strip() else "exit 1 without findings"
    return ("same" if seen.out == sound else "other"), ""


class Watch:
    """Runs commands of ``snncc`` in this process under an audit hook (PEP 578), which cannot be taken off again."""

    def __init__(self, folder: Path) -> None:
        self.folder = os.path.realpath(folder)
        self.active = False
        self.done: list[str] = []
        self.before = 0.0
        sys.addaudithook(self._hook)

    def start(self) -> None:
        """From here on memory counts."""
        self.before = _peak(reset=True)
        soft = (_status("VmSize") + NET_MIB) << 20
        resource.setrlimit(resource.RLIMIT_AS, (soft, resource.RLIM_INFINITY))

    def run(self, *arguments: str) -> Seen:
        """One command, such as ``("inspect", "net.nir")``."""
        from snncc.cli.main import main

        out, err = io.StringIO(), io.StringIO()
        self.done = []
        code, fault = None, ""
        argv, sys.argv = sys.argv, ["snncc", *arguments]
        _peak(reset=True)
        start = time.monotonic()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _time_limit():
            self.active = True
            try:
                main()
            except SystemExit as exit_:
                code = exit_.code if isinstance(exit_.code, int) else 0 if exit_.code is None else -1
            except BaseException as error:
                fault = f"{type(error).__name__}: {str(error)[:200]}"
            finally:
                self.active = False
        seconds, mib = time.monotonic() - start, _peak() - self.before
        sys.argv = argv
        if self.done:
            fault = f"did {'; '.join(self.done)}"
        elif not fault and seconds > SECONDS:
            fault = f"took {seconds:.1f} s"
        elif not fault and mib > MAX_MIB:
            fault = f"took {mib:,.0f} MiB"
        return Seen(code, out.getvalue(), err.getvalue(), seconds, mib, fault)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active or not self._forbidden(event, arguments):
            return
        self.done.append(f"{event} {str(arguments)[:200]}")
        raise ForbiddenError(self.done[-1])

    def _forbidden(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event in RUNS:
            return True
        if event == "open":
            path, mode, flags = arguments
            writes = bool(set("wax+") & set(mode)) if isinstance(mode, str) else bool((flags or 0) & WRITING)
            return writes and self._outside(path)
        if event in WRITES:
            return any(self._outside(a) for a in arguments if isinstance(a, str | bytes | os.PathLike))
        if event == "pickle.find_class":
            return arguments in FORBIDDEN
        return event in NAMES and any(MARK in _text(a) for a in arguments)

    def _outside(self, path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        real = os.path.realpath(os.fsdecode(path))
        return not (f"{real}/".startswith(f"{self.folder}/") or "__pycache__" in real or real == os.devnull)


def _text(value: Any) -> str:
    """What is compiled, run or imported, as text; of a code object its names and constants."""
    if hasattr(value, "co_names"):
        return f"{value.co_names} {value.co_consts}"
    return value if isinstance(value, str) else value.decode("latin-1") if isinstance(value, bytes) else ""


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    """:class:`HangError` after :data:`SECONDS`; code that is not Python's is ended with the process at twice that."""

    def over(*_: Any) -> None:
        raise HangError(f"over {SECONDS} s")

    signal.signal(signal.SIGALRM, over)
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True, file=sys.__stderr__)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()


def _status(field: str) -> int:
    """A field of /proc/self/status in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) >> 10


def _peak(reset: bool = False) -> float:
    """Most memory resident, in MiB, since the last reset (Linux: clear_refs(5) in proc(5))."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmHWM")
