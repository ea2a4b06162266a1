"""How kernels are compiled, and how a person hears of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba import njit, types
from numba.core.errors import TypingError
from numba.core.event import TimingListener, install_listener
from numba.extending import intrinsic


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile when first called, once for all runs; for every run anew where Numba finds no folder it may write to. Kernels
    release the GIL."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:
            return njit(nogil=True, **options)(function)

    return decorate


def _shift(instruction: str, x: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        by = context.cast(builder, values[1], signature.args[1], x)
        return getattr(builder, instruction)(values[0], by)

    return x(x, bits), generate


@intrinsic
def shifted_right(typing: Any, x: Any, bits: Any) -> Any:
    """``x >> bits`` in x's own type; Numba's operator widens both to 64 bits, and so does all that is vectorised with it."""
    return _shift("ashr", x, bits)


@intrinsic
def shifted_left(typing: Any, x: Any, bits: Any) -> Any:
    """``x << bits`` in x's own type."""
    return _shift("shl", x, bits)


def _word_at(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    """Pointer to eight bytes of a contiguous array of bytes, wherever they begin."""
    first = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(first, [at]), context.get_value_type(types.uint64).as_pointer())


def _bytes_alone(array: Any) -> None:
    if not isinstance(array, types.Array) or array.dtype != types.uint8 or array.layout != "C":
        raise TypingError(f"words are read from contiguous arrays of bytes alone, not from {array}")


@intrinsic
def load_word(typing: Any, array: Any, at: Any) -> Any:
    """Bytes at … at + 7 of a contiguous array of bytes as one 64-bit word, at any place; nothing checks that they are there."""
    _bytes_alone(array)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = builder.load(_word_at(context, builder, array, *values))
        word.align = 1
        return word

    return types.uint64(array, types.intp), generate


@intrinsic
def store_word(typing: Any, array: Any, at: Any, word: Any) -> Any:
    """Writes what :func:`load_word` reads."""
    _bytes_alone(array)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[2], _word_at(context, builder, array, *values[:2])).align = 1
        return context.get_dummy_value()

    return types.void(array, types.intp, types.uint64), generate


@contextmanager
def announced(say: Callable[[str], None]) -> Iterator[None]:
    """Tells ``say`` at once when a first kernel is compiled inside, and at the end how many were and the seconds that took;
    nothing where the cache has them all. Whatever thread compiles."""
    with install_listener("numba:compile", _Compilations(say)) as seen:
        yield
    if seen.kernels:
        kept = "kept for the next run" if seen.kept else "kept nowhere: let NUMBA_CACHE_DIR name a folder to write to"
        say(f"compiled {seen.kernels} kernel{'s' * (seen.kernels > 1)} in {seen.duration:.1f} s, {kept}")


class _Compilations(TimingListener):
    """Counts and times the kernels that are called from Python, each with all that it calls. Numba sends the event where its
    cache has no entry, and from one thread at a time."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self.say, self.kernels, self.depth, self.kept = say, 0, 0, True

    def on_start(self, event: Any) -> None:
        super().on_start(event)
        self.depth += 1
        if self.depth == 1:
            if self.kernels == 0:
                self.say("compiling kernels of fixed-sim, at their first use")
            self.kernels += 1
            self.kept = self.kept and event.data["dispatcher"].stats.cache_path is not None

    def on_end(self, event: Any) -> None:
        super().on_end(event)
        self.depth -= 1
