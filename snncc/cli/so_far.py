"""Results so far, on request: a signal prints them, and the work goes on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from snncc.errors import SnnccError

if TYPE_CHECKING:
    import numpy as np

    from snncc.compare import Comparison
    from snncc.program.reference import IntegerRecording
    from snncc.verify import Tally

SIGNALS = ("SIGUSR1", "SIGINFO")
"""Those that ask, where the system has them: Windows has neither; Ctrl-T sends the second on macOS and BSD."""


def on_request(answer: Callable[[], str]) -> None:
    """Until the verb ends, or the next call, the signals print what ``answer`` returns to standard error. Does nothing outside
    of the main thread, the only one to which Python gives signals."""
    from snncc.report import terminal

    def show(*_: Any) -> None:
        try:
            said = answer()
        except SnnccError as error:
            said = str(error)
        with suppress(OSError, RuntimeError):  # nobody reads any more; or a line is just being written: ask again
            terminal.fact("so far", said, err=True)

    if threading.current_thread() is not threading.main_thread():
        return
    for number in (getattr(signal, name) for name in SIGNALS if hasattr(signal, name)):
        before = signal.signal(number, show)
        click.get_current_context().call_on_close(partial(signal.signal, number, before or signal.SIG_DFL))


class Parts:
    """What a target has run so far; ``part`` and ``progress`` go into :class:`snncc.target.RunOptions`."""

    def __init__(self, update: Callable[[int, int], None]) -> None:
        self.update, self.done, self.samples = update, 0, 0
        self.recordings: list[IntegerRecording] = []
        self.part = self.recordings.append

    def progress(self, done: int, samples: int) -> None:
        """``done`` of ``samples`` have been run."""
        self.done, self.samples = done, samples
        self.update(done, samples)

    def accuracy(self, labels: np.ndarray | None) -> str:
        """Samples done, and the share of right classes where the target hands its parts over. Raises as
        :func:`snncc.accuracy.correct`."""
        import numpy as np

        from snncc.accuracy import correct
        from snncc.report.terminal import percent

        if labels is None or not self.recordings:
            return counted(self.done, self.samples)
        predictions = np.concatenate([r.predictions for r in self.recordings])
        right = float(correct(predictions, labels[: len(predictions)]).mean())
        return f"{counted(self.done, self.samples)}   accuracy {percent(right)}"

    def spikes(self) -> str:
        """Samples done, and the mean of their spikes."""
        from snncc.report.terminal import count

        if not self.recordings:
            return counted(self.done, self.samples)
        spikes = sum(int(c.spikes.sum()) for r in self.recordings for c in r.counts.values())
        mean = spikes / sum(r.samples for r in self.recordings)
        return f"{counted(self.done, self.samples)}   {count(mean)} spikes per inference"


def of_verify(
    tally: Tally, samples: int, labels: np.ndarray | None, reference: Comparison, target: Comparison | None
) -> str:
    """Samples done of ``samples``, both accuracies, and the cells that differ. Raises as :func:`snncc.accuracy.correct`."""
    from snncc.report.terminal import percent

    said = [counted(tally.samples, samples)]
    if tally.samples and labels is not None:
        floats, integers = tally.accuracies(labels)
        said += [f"float {percent(floats)}", f"integer {percent(integers)}"]
    for who, found in (("reference", reference), ("target", target)):
        if found is not None:
            said.append(f"{who}: {found.differing:,} of {found.cells:,} cells differ")
    return "   ".join(said)


def counted(done: int, samples: int) -> str:
    """``1,000 of 10,000 samples``."""
    return f"{done:,} of {samples:,} samples" if samples else "nothing yet"
