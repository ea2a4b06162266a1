"""Finds the equations of :mod:`snncc.ir.dynamics` in the normal forms of one step.

Let V be a membrane's next value and s what it fires on. V with s = 0 is the membrane before an immediate reset; what s = 1
takes off it is that reset. What the step before fired, R, is a state of its own or ``H(v > θ)`` of the old membrane
(snnTorch); what R takes off is a delayed reset. All that is left is linear: decay, gain, current, bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snncc.errors import UnsupportedError
from snncc.frontends.onnx_symbols import ONE, Algebra, Array, Form, Term, close
from snncc.ir.dynamics import Dynamics

BEFORE = -1
"""The indicator that a neuron fired in the step before."""


@dataclass(frozen=True, eq=False)
class Population:
    """A neuron population of the step.

    Attributes:
        membrane, current: names of the states; no current where that is None.
        dynamics: its equations.
        sources: term (one symbol or one indicator) to the factor that it arrives with.
        fired, fired_before: indicators of the spikes of this step and of the one before, or None.
        shape: without the batch.
    """

    membrane: str
    current: str | None
    dynamics: Dynamics
    sources: Mapping[Term, Array]
    fired: int | None
    fired_before: int | None
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Linear:
    """``Σ states + Σ sources + constant``."""

    states: Mapping[str, Array]
    sources: Mapping[Term, Array]
    constant: Array


def spike_states(following: Mapping[str, Form]) -> dict[str, tuple[int, Array]]:
    """States whose next value is what a neuron fires: (indicator, value of a spike)."""
    found = {}
    for state, form in following.items():
        if len(form.terms) == 1:
            (((indicators, symbols), gain),) = form.terms.items()
            if len(indicators) == 1 and not symbols and gain.ndim == 0:
                found[state] = (next(iter(indicators)), gain)
    return found


def match_population(
    algebra: Algebra, state: str, following: Mapping[str, Form], spikes: Mapping[str, tuple[int, Array]], used: set[int]
) -> Population:
    """The population whose membrane is ``state``. ``following`` holds the next value of every state, ``used`` the
    indicators that matter. Raises :class:`UnsupportedError` naming the state and what has no form."""
    where = f"the neuron with the state {state!r}"
    own = sorted(i for i in used if state in algebra.indicators[i].form.symbols)
    old = [i for i in own if set(algebra.indicators[i].form.terms) <= {ONE, (frozenset(), (state,))}]
    new = [i for i in own if i not in old]
    if len(new) > 1 or len(old) > 1:
        tensors = ", ".join(repr(algebra.indicators[i].tensor) for i in own)
        raise UnsupportedError(f"{where}: is compared in several ways ({tensors}); a neuron of snncc fires on one")
    fired, before = next(iter(new), None), next(iter(old), None)

    def own_view(form: Form) -> Form:
        """The form with BEFORE in place of all that says that the neuron fired in the step before."""
        if before is not None:
            form = _renamed(algebra, form, before, BEFORE)
        for name, (index, gain) in spikes.items():
            if index == fired:
                form = algebra.replace_symbol(form, name, BEFORE, gain)
        return form

    form = own_view(following[state])
    spike = None if fired is None else own_view(algebra.indicators[fired].form)
    old_threshold = None if before is None else _old_threshold(algebra, where, before, state)
    has_state = fired is not None and any(i == fired for i, _ in spikes.values())
    if fired is not None and before is not None and not has_state and fired in form.indicators:
        # An immediate reset to a value that does not fire: the old membrane is never above its threshold.
        form = algebra.replace(form, BEFORE, 0)
        spike = algebra.replace(spike, BEFORE, 0) if spike is not None else None
        never = True
    else:
        never = False
    held = form if fired is None else algebra.replace(form, fired, 0)
    reset = form if fired is None else algebra.replace(form, fired, 1)
    values: dict[str, Any] = {}
    if spike is not None and fired is not None:
        values["threshold"] = _threshold(algebra, where, spike, held)
        values["compare"] = ">" if algebra.indicators[fired].strict else ">="
    if before is not None:
        compare = ">" if algebra.indicators[before].strict else ">="
        if values and not (close(values["threshold"], old_threshold) and values["compare"] == compare):  # type: ignore[arg-type]
            raise UnsupportedError(
                f"{where}: fires on {values['compare']} {_shown(values['threshold'])}, but resets where the old membrane is "
                f"{compare} {_shown(old_threshold)}"
            )
        values.update(threshold=old_threshold, compare=compare)
    values.update(_reset(algebra, where, state, held, reset))
    if never and not (values["reset"] == "to_value" and np.all(values["reset_value"] < values["threshold"])):
        raise UnsupportedError(f"{where}: resets both at once and by what the old membrane says")
    current = _current(where, state, held, following, spikes)
    linear = _linear(where, algebra.replace(held, BEFORE, 0), {state, *([current] if current else [])})
    factors = _gained(where, linear, current, None if current is None else own_view(following[current]))
    sources = factors.pop("sources")
    values.update(factors, membrane_decay=linear.states.get(state, np.zeros(())))
    values = {k: _plain(v) for k, v in values.items()}
    dynamics = Dynamics(fires=fired is not None or before is not None, **values)
    return Population(state, current, dynamics, sources, fired, before, form.shape)


def _old_threshold(algebra: Algebra, where: str, index: int, state: str) -> Array:
    terms = algebra.indicators[index].form.terms
    factor = terms[(frozenset(), (state,))]
    if not np.all(factor > 0):
        raise UnsupportedError(f"{where}: {algebra.indicators[index].tensor!r} compares with mixed signs")
    return -terms.get(ONE, np.zeros(())) / factor


def _threshold(algebra: Algebra, where: str, spike: Form, held: Form) -> Array:
    """θ where the neuron fires on ``held > θ``, given that it fires on ``spike > 0``: equal up to a positive factor."""
    terms = [t for t in spike.terms if t != ONE and t in held.terms]
    if terms:
        factor = held.terms[terms[0]] / spike.terms[terms[0]]
        scaled = algebra.scale(spike, factor)
        same = scaled.terms.keys() - {ONE} == held.terms.keys() - {ONE} and all(
            close(v, held.terms[t]) for t, v in scaled.terms.items() if t != ONE
        )
        if same and np.all(factor > 0):
            return held.terms.get(ONE, np.zeros(())) - scaled.terms.get(ONE, np.zeros(()))
    raise UnsupportedError(
        f"{where}: what is compared with the threshold is not the membrane before the reset, up to a factor and a constant"
    )


def _reset(algebra: Algebra, where: str, state: str, held: Form, reset: Form) -> dict[str, Any]:
    """Kind, timing and value. ``held`` is the membrane without this step's reset, ``reset`` the one with it."""
    free, late = algebra.replace(held, BEFORE, 0), algebra.replace(held, BEFORE, 1)
    now, then = _difference(algebra, held, reset), _difference(algebra, free, late)
    if not now.terms and not then.terms:
        return {"reset": "none"}
    if now.terms and then.terms:
        raise UnsupportedError(f"{where}: resets both at once and by what the step before fired")
    taken, left, timing = (now, reset, "immediate") if now.terms else (then, late, "next_step")
    if taken.constant is not None:
        if not np.all(taken.constant > 0):
            raise UnsupportedError(
                f"{where}: a spike adds {_shown(-taken.constant)} to the membrane; a reset takes off"
            )
        return {"reset": "subtract", "reset_amount": taken.constant, "reset_timing": timing}
    if left.constant is not None:
        late_timing = "next_step_after_input" if timing == "next_step" else timing
        return {"reset": "to_value", "reset_value": left.constant, "reset_timing": late_timing}
    own: Term = (frozenset(), (state,))
    if (
        timing == "next_step"
        and set(taken.terms) == set(free.terms) & {own} | set(taken.terms) & {ONE}
        and close(taken.terms.get(own, np.zeros(())), free.terms.get(own, np.zeros(())))
    ):
        return {"reset": "to_value", "reset_value": -taken.terms.get(ONE, np.zeros(())), "reset_timing": timing}
    raise UnsupportedError(f"{where}: a spike neither subtracts a constant nor sets one")


def _current(
    where: str, state: str, held: Form, following: Mapping[str, Form], spikes: Mapping[str, Any]
) -> str | None:
    """The synaptic current that the membrane integrates."""
    found = sorted(s for s in held.symbols if s in following and s not in spikes and s != state)
    if len(found) > 1:
        raise UnsupportedError(f"{where}: integrates the states {', '.join(map(repr, found))}; one current is read")
    return found[0] if found else None


def _gained(where: str, membrane: _Linear, current: str | None, following: Form | None) -> dict[str, Any]:
    """Gains, biases and sources, with the current scaled so that its input arrives as it is:
    ``u = a·u + i + c``, ``v = b·v + g·u + k``."""
    if current is None or following is None:
        gain, sources = _common(membrane.sources)
        return {"input_gain": gain, "bias": membrane.constant, "sources": sources}
    linear = _linear(f"{where}: its current {current!r}", following, {current})
    scale, sources = _common(linear.sources)
    decay = linear.states.get(current, np.zeros(()))
    first = next(iter(linear.sources), None)
    if first is None or set(membrane.sources) != set(linear.sources):
        raise UnsupportedError(
            f"{where}: does not integrate the input of the step together with its current {current!r}"
        )
    gain = membrane.sources[first] / linear.sources[first] * scale
    if not all(close(membrane.sources[t] * scale, gain * linear.sources[t]) for t in linear.sources) or not close(
        membrane.states.get(current, np.zeros(())) * scale, gain * decay
    ):
        raise UnsupportedError(
            f"{where}: integrates its current {current!r} from before the step, or its inputs unevenly"
        )
    bias = linear.constant / scale
    return {
        "current_decay": decay,
        "current_bias": bias,
        "input_gain": gain,
        "bias": membrane.constant - gain * bias,
        "sources": sources,
    }


def _linear(where: str, form: Form, states: set[str]) -> _Linear:
    held: dict[str, Array] = {}
    sources: dict[Term, Array] = {}
    for (indicators, symbols), value in form.terms.items():
        if len(indicators) + len(symbols) > 1 or BEFORE in indicators:
            raise UnsupportedError(f"{where}: multiplies {_named(symbols)} with each other or with what is fired")
        if symbols and symbols[0] in states:
            held[symbols[0]] = value
        elif (indicators, symbols) != ONE:
            sources[(indicators, symbols)] = value
    return _Linear(held, sources, form.terms.get(ONE, np.zeros(())))


def _common(sources: Mapping[Term, Array]) -> tuple[Array, dict[Term, Array]]:
    """(factor of all sources, what is left of each)."""
    first = next(iter(sources.values()), np.ones(()))
    if all(close(v, first) and v.shape == first.shape for v in sources.values()) and np.all(first != 0):
        return first, dict.fromkeys(sources, np.ones(()))
    return np.ones(()), dict(sources)


def _difference(algebra: Algebra, a: Form, b: Form) -> Form:
    """``a − b`` without what is left of rounding."""
    made = algebra.add(a, b, -1.0)
    return algebra.make(
        (
            (t, v)
            for t, v in made.terms.items()
            if not (t in a.terms and t in b.terms and close(a.terms[t], b.terms[t]))
        ),
        a,
    )


def _renamed(algebra: Algebra, form: Form, index: int, new: int) -> Form:
    return algebra.make(
        (((frozenset(new if i == index else i for i in t[0]), t[1]), v) for t, v in form.terms.items()), form
    )


def _named(symbols: Sequence[str]) -> str:
    return " and ".join(repr(s[:60]) for s in symbols) or "spikes"


def _plain(value: Any) -> Any:
    return float(value) + 0.0 if isinstance(value, np.ndarray | np.generic) and value.ndim == 0 else value


def _shown(value: Any) -> str:
    low, high = float(np.min(value)), float(np.max(value))
    return f"{low:g}" if low == high else f"{low:g} … {high:g}"


__all__ = ["BEFORE", "Population", "match_population", "spike_states"]
