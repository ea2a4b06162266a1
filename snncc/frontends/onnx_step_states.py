"""Which output is the next value of which input: by option, else by what the graph itself shows.

A membrane's next value holds the membrane itself, ``v' = b·v + …``, and so does a synaptic current's. An output that
holds one state, and no other does, is that state's next value. What was fired before is recognised as the output of the
neuron that it resets. Where that leaves a choice, names decide (``mem`` and ``mem_out``); else the option must.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from snncc.errors import InputError, UnsupportedError
from snncc.frontends.onnx_step_values import Values
from snncc.frontends.onnx_symbols import Form

AFFIX = re.compile(r"(?:^|(?<=_))(?:in|out|input|output|next|new|prev|previous|old|t|tm1|t1)(?=_|$)|['.]|_+(?=_|$)")
"""What differs between the names of a state before and after a step."""


def given_states(where: str, text: str, inputs: Sequence[str], outputs: Sequence[str]) -> dict[str, str]:
    """The pairs of ``IN:OUT,IN:OUT``; names may hold colons themselves."""
    pairs: dict[str, str] = {}
    for part in (p.strip() for p in text.split(",") if p.strip()):
        cuts = [(part[:i], part[i + 1 :]) for i, letter in enumerate(part) if letter == ":"]
        fits = [(a, b) for a, b in cuts if a in inputs and b in outputs]
        if len(fits) != 1 or fits[0][0] in pairs or fits[0][1] in pairs.values():
            raise InputError(
                f"{where}: states names {part!r}; each part is IN:OUT, once, of the inputs {_shown(inputs)} "
                f"and the outputs {_shown(outputs)}"
            )
        pairs[fits[0][0]] = fits[0][1]
    return pairs


def found_states(
    where: str, values: Values, inputs: Sequence[str], forms: Mapping[str, Form]
) -> tuple[dict[str, str], str]:
    """(input to output, how that is known). Raises :class:`UnsupportedError` where the graph leaves a choice."""
    pairs: dict[str, str] = {}
    how = {"structure"}
    data_first = False
    while True:
        open_outputs = [o for o in forms if o not in pairs.values()]
        held = {o: _candidates(values, inputs, forms[o]) - set(pairs) for o in open_outputs}
        if data_first:
            held = {o: h - {inputs[0]} for o, h in held.items()}
        single = [(s, [o for o in held if held[o] == {s}]) for s in inputs]
        found = next(((s, outs) for s, outs in single if outs), None)
        if found is not None:
            state, outs = found
            alike = all(values.algebra.same(forms[outs[0]], forms[o]) for o in outs)
            named = [o for o in outs if _stem(o) == _stem(state)]
            if not alike and len(named) != 1:
                raise _unclear(where, [state], outs)
            how |= set() if alike else {"names"}
            pairs[state] = named[0] if len(named) == 1 else outs[-1]
            continue
        unclear = {o: h for o, h in held.items() if h}
        if not unclear:
            break
        named_pairs = [(s, o) for o, h in unclear.items() for s in h if _stem(s) == _stem(o)]
        if named_pairs:
            pairs[named_pairs[0][0]] = named_pairs[0][1]
            how.add("names")
        elif not data_first and any(inputs[0] in h for h in unclear.values()):
            data_first = True
            how.add("order: the first input is data")
        else:
            raise _unclear(where, sorted(set().union(*unclear.values())), list(unclear))
    how |= _fired(where, values, inputs, forms, pairs)
    return pairs, ", ".join(sorted(how))


def _fired(
    where: str, values: Values, inputs: Sequence[str], forms: Mapping[str, Form], pairs: dict[str, str]
) -> set[str]:
    """Add the states that hold spikes: what is left of the inputs, but for one."""
    left = [s for s in inputs if s not in pairs]
    how: set[str] = set()
    for state in left[1:] if pairs else []:
        outs = [o for o, f in forms.items() if o not in pairs.values() and _spikes(f) is not None]
        outs = [o for o in outs if forms[o].shape == values.forms[state].shape]
        resets = [o for o in outs if _resets(values, pairs, forms, state, forms[o])]
        named = [o for o in outs if _stem(o) == _stem(state)]
        for choice, reason in ((resets, "structure"), (named, "names"), (outs, "shapes")):
            if choice and all(values.algebra.same(forms[choice[0]], forms[o]) for o in choice):
                pairs[state] = choice[-1]
                how.add(reason)
                break
        else:
            raise _unclear(where, [state], outs or list(forms))
    return how


def _spikes(form: Form) -> int | None:
    """The indicator, where the form is one, or a multiple of it."""
    if len(form.terms) != 1:
        return None
    ((indicators, symbols),) = form.terms
    return next(iter(indicators)) if len(indicators) == 1 and not symbols else None


def _resets(values: Values, pairs: Mapping[str, str], forms: Mapping[str, Form], state: str, spikes: Form) -> bool:
    """Whether a membrane that the spikes look at is computed from the state too."""
    index = _spikes(spikes)
    assert index is not None
    looked_at = values.algebra.indicators[index].form.symbols
    return any(v in looked_at and state in forms[o].symbols for v, o in pairs.items())


def _candidates(values: Values, inputs: Sequence[str], form: Form) -> set[str]:
    """The inputs that count positive in the form by themselves: a decay does, a reset takes off."""
    own = {s: form.terms.get((frozenset(), (s,))) for s in inputs if values.forms[s].shape == form.shape}
    return {s for s, factor in own.items() if factor is not None and np.all(factor > 0)}


def _stem(name: str) -> str:
    return AFFIX.sub("", name.lower()).strip("_")


def _unclear(where: str, states: Sequence[str], outputs: Sequence[str]) -> UnsupportedError:
    return UnsupportedError(
        f"{where}: which of the outputs {_shown(outputs)} is the next value of {_shown(states)} is not clear; "
        "say so: --opt states=IN:OUT,IN:OUT"
    )


def _shown(names: Sequence[str]) -> str:
    return ", ".join(repr(n[:60]) for n in names[:8]) or "none"
