"""Normal forms of the tensors of one step: polynomials over states, layer outputs and indicators.

A neuron that was exported operation by operation has many spellings: ``v·(1 − s)``, ``where(s, 0, v)``, ``v − s·v``.
As polynomials with constant coefficients they are one. Indicators ``H(f > 0)`` and ``H(f >= 0)`` stand for comparisons;
their square is themselves, so a form holds a set of them. A ``Form`` is one sample's: it has no batch axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from snncc.errors import UnsupportedError

Array = np.ndarray
Shape = tuple[int, ...]
Term = tuple[frozenset[int], tuple[str, ...]]
"""(indicators, symbols with repetition, sorted): what a coefficient is multiplied by."""
ONE: Term = (frozenset(), ())
MAX_TERMS, MAX_DEGREE, MAX_INDICATORS = 64, 2, 4096
MAX_WORK = 1 << 28
"""Coefficients that may be computed for one file."""
CLOSE = 1e-9
"""Relative difference of coefficients that are folded along two ways in float64."""


@dataclass(frozen=True, eq=False)
class Form:
    """``Σ coefficient · Π indicators · Π symbols``.

    Attributes:
        terms: term to coefficient in float64, () or broadcasting to ``shape``; none is 0 everywhere.
        shape: of the tensor, without the batch.
        lead: how many axes of size 1 (time) stand in front of the batch.
        logical: it is true or false.
    """

    terms: Mapping[Term, Array]
    shape: Shape
    lead: int = 0
    logical: bool = False

    @property
    def symbols(self) -> set[str]:
        """Symbols outside of indicators."""
        return {s for _, symbols in self.terms for s in symbols}

    @property
    def indicators(self) -> set[int]:
        """Indicators, those inside of others left out."""
        return {i for indicators, _ in self.terms for i in indicators}

    @property
    def constant(self) -> Array | None:
        """The value where that is a constant, else None."""
        return self.terms.get(ONE, np.zeros(())) if set(self.terms) <= {ONE} else None


@dataclass(frozen=True, eq=False)
class Indicator:
    """``H(form > 0)`` where ``strict``, else ``H(form >= 0)``; ``tensor`` is the comparison, inverted where ``inverted``."""

    form: Form
    strict: bool
    tensor: str
    inverted: bool


@dataclass
class Algebra:
    """Arithmetic on forms, with the indicators met so far. Raises :class:`UnsupportedError` where a form outgrows what any
    neuron needs."""

    indicators: list[Indicator] = field(default_factory=list)
    work: int = 0

    def make(self, terms: Iterable[tuple[Term, Array]], like: Form) -> Form:
        """The sum of the terms, shaped as ``like``."""
        total: dict[Term, Array] = {}
        for term, value in terms:
            total[term] = total[term] + value if term in total else value
            self.work += max(1, value.size)
        if self.work > MAX_WORK or len(total) > MAX_TERMS or any(len(s) > MAX_DEGREE for _, s in total):
            raise UnsupportedError("the elementwise operations in front of it are more than any neuron needs")
        for value in total.values():
            if not np.isfinite(value).all():
                raise UnsupportedError("a constant in front of it is not finite")
        return Form({t: _scalar(v) for t, v in total.items() if np.any(v)}, like.shape, like.lead)

    def lift(self, value: Array, like: Form) -> Form:
        """A constant as it broadcasts to ``like``."""
        axes = len(like.shape) + like.lead
        array = _scalar(np.asarray(value, np.float64))
        while array.ndim > len(like.shape) and array.ndim <= axes + 1 and len(array) == 1:
            array = array[0]
        try:
            fits = np.broadcast_shapes(array.shape, like.shape) == like.shape
        except ValueError:
            fits = False
        if not fits:
            raise UnsupportedError(f"combines a constant {np.shape(value)} with one sample's {like.shape}")
        return self.make([(ONE, array)], like)

    def add(self, a: Form, b: Form, sign: float = 1.0) -> Form:
        """``a + sign·b``."""
        _same(a, b)
        return self.make([*a.terms.items(), *((t, sign * v) for t, v in b.terms.items())], a)

    def multiply(self, a: Form, b: Form) -> Form:
        """``a·b``."""
        _same(a, b)
        if len(a.terms) * len(b.terms) > MAX_TERMS**2:
            raise UnsupportedError("the elementwise operations in front of it are more than any neuron needs")
        pairs = ((s, t, x * y) for s, x in a.terms.items() for t, y in b.terms.items())
        return self.make((((s[0] | t[0], tuple(sorted(s[1] + t[1]))), v) for s, t, v in pairs), a)

    def scale(self, a: Form, factor: float | Array) -> Form:
        """``a·factor``."""
        return self.make([(t, v * factor) for t, v in a.terms.items()], a)

    def compare(self, a: Form, b: Form, strict: bool, tensor: str) -> Form:
        """``a > b``, or ``a >= b``; the sign is such that the first symbol counts positive."""
        form = self.add(a, b, -1.0)
        if form.constant is not None:
            raise UnsupportedError("compares two constants")
        lead = min((t for t in form.terms if t != ONE), key=lambda t: (len(t[0]), sorted(t[0]), t[1]))
        inverted = bool(np.all(form.terms[lead] < 0))
        if inverted:
            form, strict = self.scale(form, -1.0), not strict
        index = self._index(Indicator(form, strict, tensor, inverted))
        made = Form({(frozenset({index}), ()): np.ones(())}, form.shape, form.lead, True)
        return self.inverse(made) if inverted else made

    def inverse(self, a: Form) -> Form:
        """``1 − a`` of a logical value."""
        made = self.add(self.lift(np.ones(()), a), a, -1.0)
        return Form(made.terms, made.shape, made.lead, True)

    def replace(self, a: Form, indicator: int, value: int) -> Form:
        """``a`` where the indicator is 0 or 1."""
        kept = ((t, v) for t, v in a.terms.items() if value or indicator not in t[0])
        return self.make((((t[0] - {indicator}, t[1]), v) for t, v in kept), a)

    def replace_symbol(self, a: Form, symbol: str, indicator: int, gain: Array) -> Form:
        """``a`` with ``gain·indicator`` in place of a symbol that is 0 or ``gain``."""
        terms = []
        for (indicators, symbols), value in a.terms.items():
            count = symbols.count(symbol)
            rest = tuple(s for s in symbols if s != symbol)
            terms.append(((indicators | {indicator} if count else indicators, rest), value * gain**count))
        return self.make(terms, a)

    def same(self, a: Form, b: Form) -> bool:
        """Whether two forms are equal up to the rounding of folded constants."""
        if a.shape != b.shape or a.terms.keys() != b.terms.keys():
            return False
        return all(close(a.terms[t], b.terms[t]) for t in a.terms)

    def _index(self, made: Indicator) -> int:
        for index, known in enumerate(self.indicators):
            if known.strict == made.strict and self.same(known.form, made.form):
                return index
        if len(self.indicators) >= MAX_INDICATORS:
            raise UnsupportedError(f"makes more than {MAX_INDICATORS} comparisons")
        self.indicators.append(made)
        return len(self.indicators) - 1


def symbol(name: str, shape: Shape) -> Form:
    """The form of one symbol."""
    return Form({(frozenset(), (name,)): np.ones(())}, shape)


def close(a: Array, b: Array) -> bool:
    """Whether two coefficients are equal up to the rounding of folded constants."""
    try:
        return bool(np.allclose(a, b, CLOSE, 0.0))
    except ValueError:
        return False


def _scalar(value: Array) -> Array:
    """A constant array as a scalar."""
    return value.reshape(-1)[0].reshape(()) if value.size and (value == value.flat[0]).all() else value


def _same(a: Form, b: Form) -> None:
    if a.shape != b.shape or a.lead != b.lead:
        raise UnsupportedError(f"combines the shapes {a.shape} and {b.shape}; elementwise operations need equal ones")
