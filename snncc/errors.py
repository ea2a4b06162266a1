"""The one error tree. A user's mistake is a :class:`SnnccError`; the command line prints it and exits with 2."""

from __future__ import annotations


class SnnccError(Exception):
    """A mistake in what snncc was given. The message says where, what, the actual value, the limit and the remedy."""


class InputError(SnnccError):
    """A file or a value that cannot be read: missing, truncated, foreign, or holding what must not be there."""


class GraphError(SnnccError):
    """A network that makes no sense: shapes that do not fit, unknown nodes, loops without a delay."""


class UnsupportedError(SnnccError):
    """A network that is sound but has no form in the chosen pass or target; ``parts`` holds one message a place."""

    def __init__(self, *messages: str) -> None:
        self.parts = messages
        super().__init__("; ".join(messages))


class Refusals:
    """Collects the refusals of several places, so that all are reported at once::

    refusals = Refusals()
    for name in names:
        with refusals:
            work(name)
    refusals.report()
    """

    def __init__(self) -> None:
        self.messages: dict[str, None] = {}

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, traceback: object) -> bool:
        if not isinstance(error, UnsupportedError):
            return False
        self.messages.update(dict.fromkeys(error.parts))
        return True

    def report(self) -> None:
        """Raise one :class:`UnsupportedError` with all of them, if there are any."""
        if self.messages:
            raise UnsupportedError(*self.messages)


class DialectError(InputError):
    """A file that does not say how its neurons run, and nobody said it either."""


class ArtifactError(InputError):
    """A compiled folder that is damaged, foreign, or of another version."""


class TargetError(SnnccError):
    """A target that is not installed, failed, or did not finish in time."""
