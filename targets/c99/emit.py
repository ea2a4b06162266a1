"""Writing the C sources: ``network.h``, ``network.c`` and ``weights.h``, a driver, and the report of their memory."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np

from snncc.errors import UnsupportedError
from snncc.program.program import Program
from snncc.records import dump_json
from snncc.targets.c99.check import check_plan
from snncc.targets.c99.helpers import helpers
from snncc.targets.c99.memory import Memory
from snncc.targets.c99.neurons import constant, loops, write_population
from snncc.targets.c99.plan import Plan, PopulationPlan, plan
from snncc.targets.c99.projections import write_projection

SOURCES = ("main.c", "network.c")
TEMPLATES = ("main.c", "Makefile")
REPORT = "memory.json"


def emit(program: Program, folder: Path, int8: bool = False) -> list[str]:
    """Write the sources into ``folder``; names of the files written, the same bytes for the same Program.

    Raises :class:`UnsupportedError` with every finding where C cannot run the Program.
    """
    files, memory = sources(program, int8)
    files[REPORT] = dump_json(memory.report())
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="ascii")
    return list(files)


def sources(program: Program, int8: bool = False) -> tuple[dict[str, str], Memory]:
    """(text of each file, what it keeps where)."""
    made = plan(program, int8)
    findings = check_plan(made)
    if findings:
        raise UnsupportedError(*(str(finding) for finding in findings))
    memory = Memory()
    code = _code(made, memory)
    files = {
        "network.h": _header(made, memory),
        "network.c": code,
        "weights.h": "#include <stdint.h>\n\n" + "\n".join(c.text() for c in memory.constants),
    }
    templates = resources.files("snncc.targets.c99").joinpath("templates")
    return files | {name: templates.joinpath(name).read_text("ascii") for name in TEMPLATES}, memory


def _code(made: Plan, memory: Memory) -> str:
    program, readout = made.program, made.program.readout
    last = next(p for p in made.populations if p.population.name == readout.population)
    memory.variable(last.name, "step", "uint32_t")
    memory.variable(last.name, "scores", made.score, last.population.size)
    if made.slots:
        memory.variable("input", "input", made.input, made.slots, int(np.prod(program.source.shape)))
    bodies = []
    for p in made.populations:
        bodies += [write_projection(made, p, q, memory) for q in p.incoming]
        bodies.append(write_population(made, p, memory))
    text = "\n".join([*bodies, _interface(made, memory)])
    unions = "".join(
        f"static union {{\n{''.join(f'    {v.text()}{chr(10)}' for v in parts)}}} scratch_{name};\n"
        for name, parts in memory.scratch.items()
        if parts
    )
    return (
        '/* Made by snncc. Whole numbers only, nothing allocated; network.h says how to use it. */\n#include "network.h"\n\n'
        f'#include <string.h>\n\n#include "weights.h"\n\nstatic snn_state_t snn;\n{unions}\n{helpers(text)}{text}'
    )


def _interface(made: Plan, memory: Memory) -> str:
    """The functions of ``network.h``."""
    program = made.program
    begin = [line for p in made.populations for line in _begin(p, memory)]
    kept = "    memcpy(snn.input[t % SNN_INPUT_SLOTS], input, sizeof snn.input[0]);\n" if made.slots else ""
    steps = "".join(f"    step_{p.name}(input, t);\n" for p in made.populations)
    better = ">" if program.readout.ties == "lowest_index" else ">="
    return f"""\
void snn_reset(void)
{{
    memset(&snn, 0, sizeof snn);
{"".join(f"    {line}{chr(10)}" for line in begin)}}}

int snn_step(const snn_input_t *input)
{{
    const uint32_t t = snn.step;
    if (t >= SNN_STEPS)
        return 1;
{kept.replace("SNN_INPUT_SLOTS", str(made.slots))}{steps}    snn.step = t + 1;
    return 0;
}}

const snn_score_t *snn_scores(void)
{{
    return snn.scores;
}}

int32_t snn_predict(void)
{{
    int32_t best = 0;
    for (int32_t i = 1; i < SNN_CLASSES; i++)
        if (snn.scores[i] {better} snn.scores[best])
            best = i;
    return best;
}}

const snn_state_t *snn_state(void)
{{
    return &snn;
}}
"""


def _begin(p: PopulationPlan, memory: Memory) -> list[str]:
    """The membrane before the first step."""
    n = p.population
    if not n.v_init.any():
        return []
    value = constant(memory, p, "v_init", n.v_init)
    return [line.removeprefix("    ") for line in loops(n, [f"snn.membrane_{p.name}[i] = {value};"])]


def _header(made: Plan, memory: Memory) -> str:
    program, source = made.program, made.program.source
    fields = "".join(f"    {v.text()}\n" for v in memory.ordered())
    spikes = "".join(
        f" \\\n    X({p.name}, {p.population.size}, {p.slots}, {p.shared})"
        for p in made.populations
        if p.population.fires
    )
    membranes = "".join(f" \\\n    X({p.name}, {p.population.size})" for p in made.populations)
    static = source.encoding == "static"
    return f"""\
/* A spiking network in whole numbers, made by snncc: call snn_reset(), then snn_step() SNN_STEPS times, then read
 * snn_scores() or snn_predict(). Portable C99; nothing is allocated. */
#ifndef SNN_NETWORK_H
#define SNN_NETWORK_H

#include <stdint.h>

#define SNN_STEPS {program.time_steps}
#define SNN_INPUTS {int(np.prod(source.shape))}
#define SNN_INPUT_LOW ({source.low})
#define SNN_INPUT_HIGH ({source.high})
/* 1: each step has its own input; 0: the same input is given at every step. */
#define SNN_INPUT_EACH_STEP {int(not static)}
#define SNN_CLASSES {program.population(program.readout.population).size}
/* 1: the scores are those of the last step alone. */
#define SNN_SCORES_EACH_STEP {int(program.readout.each_step)}

/* In SNN_INPUT_LOW..SNN_INPUT_HIGH, channel first: that no number overflows is proven for these. */
typedef {made.input} snn_input_t;
typedef {made.score} snn_score_t;

/* The step to come, and the state of every population; spikes lie in rings by step. */
typedef struct {{
{fields}}} snn_state_t;

/* X(population, neurons, slots of its ring, spikes an element) for those that fire, X(population, neurons) for all. */
#define SNN_SPIKES(X){spikes}
#define SNN_MEMBRANES(X){membranes}
/* What neuron i emitted, in a step's array of so many spikes an element. */
#define SNN_SPIKE(spikes, count, i) \\
    ((count) == 1 ? (spikes)[i] : (spikes)[(i) / (count)] >> (i) % (count) * (8 / (count)) & ((1 << 8 / (count)) - 1))

void snn_reset(void);
/* One step on SNN_INPUTS numbers. Returns 1, and does nothing, after SNN_STEPS steps. */
int snn_step(const snn_input_t *input);
const snn_score_t *snn_scores(void);
int32_t snn_predict(void);
const snn_state_t *snn_state(void);

#endif
"""
