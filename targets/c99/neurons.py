"""C text of a population's step: the equations of :mod:`snncc.program.reference`, in their order."""

from __future__ import annotations

import numpy as np

from snncc.program.program import DECAY_BITS, DECAY_ONE, Population
from snncc.targets.c99.memory import Memory
from snncc.targets.c99.plan import Plan, PopulationPlan, ProjectionPlan
from snncc.targets.c99.projections import shifted

Array = np.ndarray


def write_population(plan: Plan, p: PopulationPlan, memory: Memory) -> str:
    """A function ``step_NAME``: gathers the current of step t, then updates every neuron."""
    size = p.population.size
    injected, gather = "", []
    if p.has_static:
        injected = memory.variable(p.name, f"injected_{p.name}", p.current, size)
        gather = [
            f"    if (t == {q.projection.delay})\n    {_bring(plan, q, injected)}" for q in p.incoming if q.static
        ]
    moving = [_bring(plan, q, "current") for q in p.incoming if not q.static]
    current = injected
    if moving or not injected:
        current = memory.temporary("current", p.name, p.current, size)
        filled = f"memcpy(current, {injected}" if injected else "memset(current, 0"
        gather += [f"    {filled}, sizeof {current});", *moving]
    lines = [
        f"static void step_{p.name}(const snn_input_t *input, uint32_t t)",
        "{",
        f"    {p.current} *const current = {current};",
        "    (void)input;",
        "    (void)t;",
        *gather,
        *loops(p.population, _update(plan, p, memory)),
        "}",
    ]
    return "\n".join(lines) + "\n"


def slot(slots: int, delay: int) -> str:
    """Index of what was kept ``delay`` steps before step t in a ring of ``slots``."""
    return "0" if slots == 1 else f"(t + {slots - delay}) % {slots}"


def _bring(plan: Plan, q: ProjectionPlan, into: str) -> str:
    source, delay = q.projection.source, q.projection.delay
    if source == plan.program.source.name:
        given = f"snn.input[{slot(plan.slots, delay)}]" if plan.slots else "input"
    else:
        sender = next(p for p in plan.populations if p.population.name == source)
        given = f"snn.spikes_{sender.name}[{slot(sender.slots, delay)}]"
    return f"    bring_{q.name}({given}, {into});"


def loops(p: Population, body: list[str]) -> list[str]:
    """C text of ``body`` for each neuron i, and its channel c where a constant needs it."""
    if not any("[c]" in line for line in body):
        return [f"    for (int32_t i = 0; i < {p.size}; i++) {{", *(f"        {line}" for line in body), "    }"]
    channels = p.shape[0]
    return [
        f"    for (int32_t c = 0, i = 0; c < {channels}; c++)",
        f"        for (int32_t k = 0; k < {p.size // channels}; k++, i++) {{",
        *(f"            {line}" for line in body),
        "        }",
    ]


def _update(plan: Plan, p: PopulationPlan, memory: Memory) -> list[str]:
    """The statements of one neuron."""
    n, a = p.population, plan.program.arithmetic
    work, timing = p.work, n.reset_timing if n.fires else ""

    def value_of(what: str, value: Array) -> str:
        return constant(memory, p, what, value)

    def decay(x: str, what: str, factor: Array) -> list[str]:
        return [] if (factor == DECAY_ONE).all() else [f"{x} = {_decayed(p, x, value_of(what, factor), a.rounding)};"]

    def reset(spikes: str) -> list[str]:
        if n.reset == "subtract":
            return [f"v -= {spikes} * {value_of('reset_amount', n.reset_amount)};"]
        return [f"if ({spikes} != 0)", f"    v = {value_of('reset_value', n.reset_value)};"] * (n.reset == "to_value")

    def count(name: str, sign: str = "") -> list[str]:
        spacing = n.reset_amount if n.reset == "subtract" else n.threshold
        threshold = value_of("threshold", n.threshold + (1 if n.compare == ">" else 0))
        if n.levels == 1:
            return [f"if ({sign}v >= {threshold})", f"    {name} = {sign}1;"]
        passed = f"({sign}v - {threshold}) / {value_of('spacing', np.maximum(spacing, 1))}"
        return [
            f"if ({sign}v >= {threshold}) {{",
            f"    const {work} passed = {passed} + 1;",
            f"    {name} = {sign}(passed < {n.levels} ? passed : {n.levels});",
            "}",
        ]

    membrane = memory.variable(p.name, f"membrane_{p.name}", p.membrane, n.size) + "[i]"
    lines = [f"{work} v = {membrane};", f"{work} u = ({work})current[i] * {1 << n.guard_bits};"]
    if n.current_bias.any():
        lines.append(f"u += {value_of('current_bias', n.current_bias)};")
    if n.decay_u is not None:
        kept = memory.variable(p.name, f"u_{p.name}", p.u, n.size) + "[i]"
        lines += [f"{work} before = {kept};"]
        lines += [f"const {work} drive = before;"] * (n.current_timing == "after")
        lines += [*decay("before", "decay_u", n.decay_u), "u += before;"]
    lines += _limited("u", a.current_overflow, a.state_bits)
    if n.fires:
        spikes = memory.variable(p.name, f"spikes_{p.name}", p.spikes, p.slots, p.stored, packed=p.packed)
        lines.append(f"{work} n = 0;")
        if timing.startswith("next_step") and n.reset != "none":
            before = f"{spikes}[{slot(p.slots, 1 % p.slots)}]"
            fired = f"unpacked{p.packed}({before}, i)" if p.packed else f"{before}[i]"
            lines.append(f"const {work} fired = {fired};")
        if timing == "immediate_pending":
            lines += [f"{work} owed = 0;", *count("owed")]
    if n.decay_timing == "before":
        lines += decay("v", "decay_v", n.decay_v)
    if timing == "next_step":
        lines += reset("fired")
    lines.append(f"v += {'drive' if n.current_timing == 'after' else 'u'};")
    if n.bias.any():
        lines.append(f"v += {value_of('bias', n.bias)};")
    if timing == "next_step_after_input":
        lines += reset("fired")
    if timing == "immediate_pending":
        lines += reset("owed")
    lines += _limited("v", a.membrane_overflow, a.state_bits)
    if n.v_min is not None:
        lowest = value_of("v_min", n.v_min)
        lines += [f"if (v < {lowest})", f"    v = {lowest};"]
    if n.fires:
        lines += [*count("n"), *(count("n", "-") if n.signed else [])]
        if timing == "immediate":
            lines += reset("n")
        if timing == "immediate_pending":
            lines += reset("(n - owed)")
    if n.decay_timing == "after":
        lines += decay("v", "decay_v", n.decay_v)
    if n.fires and n.reset_current:
        lines += [f"if ({'fired' if timing == 'next_step_after_input' else 'n'} != 0)", "    u = 0;"]
    lines.append(f"{membrane} = ({p.membrane})v;")
    if n.decay_u is not None:
        lines.append(f"{kept} = ({p.u})u;")
    if n.fires:
        now = f"{spikes}[{slot(p.slots, 0)}]"
        lines.append(f"pack{p.packed}({now}, i, n);" if p.packed else f"{now}[i] = ({p.spikes})n;")
    return lines + (_read(plan, p, memory) if n.name == plan.program.readout.population else [])


def constant(memory: Memory, p: PopulationPlan, what: str, value: Array) -> str:
    """C text of a constant: a number where it is the same for all, else an element of an array by channel or by neuron."""
    n = p.population
    full = np.broadcast_to(value, n.shape).reshape(n.shape[0], -1)
    if (full == full[0, 0]).all():
        number = int(full[0, 0])
        return str(number) if number >= 0 else f"({number})"
    channel = full.shape[1] > 1 and bool((full == full[:, :1]).all())
    name = memory.constant(p.name, f"{what}_{p.name}", full[:, 0] if channel else full)
    return f"{name}[{'c' if channel else 'i'}]"


def _decayed(p: PopulationPlan, x: str, factor: str, rounding: str) -> str:
    if p.work == "int32_t" and p.product_bits > 32:
        return f"decayed_{rounding}({x}, {factor})"
    product = f"{x} * {factor}"
    if rounding == "toward_zero":
        return f"{product} / {DECAY_ONE}"
    half = f" + {1 << (DECAY_BITS - 1)}" if rounding == "nearest" else ""
    return shifted(f"{product}{half}", DECAY_BITS, p.work)


def _limited(x: str, rule: str, bits: int) -> list[str]:
    """The overflow rule of a state; "error" needs no text, for it was proven that nothing overflows."""
    limit = 1 << (bits - 1)
    if rule == "saturate":
        high, low = (f"{x} > {limit - 1}", f"{x} = {limit - 1};"), (f"{x} < -{limit - 1}", f"{x} = -{limit - 1};")
    elif rule == "wrap":
        high, low = (f"{x} > {limit}", f"{x} -= {2 * limit};"), (f"{x} <= -{limit}", f"{x} += {2 * limit};")
    else:
        return []
    return [line for condition, then in (high, low) for line in (f"if ({condition})", f"    {then}")]


def _read(plan: Plan, p: PopulationPlan, memory: Memory) -> list[str]:
    readout = plan.program.readout
    seen = {"membrane": "v", "summed_current": "u"}.get(readout.kind, "n")
    if readout.kind == "weighted_count":
        assert readout.time_weights is not None
        table = memory.constant(p.name, "time_weights", np.asarray(readout.time_weights))
        seen = f"({plan.score})n * {table}[t]"
    adds = "+=" if readout.kind != "membrane" and not readout.each_step else "="
    return [f"snn.scores[i] {adds} {seen if '*' in seen else f'({plan.score}){seen}'};"]
