"""The C that leaves a network at the first exit that is sure."""

from __future__ import annotations

import numpy as np

from hwkd.core.c_literal import float_literal
from hwkd.deploy.exit_rule import EXPONENT_ONE, exponentials
from hwkd.deploy.to_c.project import Project

_DECLARED = """
/* An inference ends at the first exit whose classes have an entropy below MODEL_EXIT_ENTROPY.
   model_exit is the output that it ended at; outputs behind it keep old values. With
   model_leaves_early = 0 every inference runs to its end. model_output() is that of model_exit. */
#define MODEL_EXIT_ENTROPY {threshold} /* nats */
extern int32_t model_exit, model_leaves_early;
"""
_DEFINED = """
int32_t model_exit = 0, model_leaves_early = 1;

static int is_sure(const int8_t *logits, int32_t count, const uint16_t *shares, float step)
{{
    int32_t largest = -128;
    uint32_t total = 0;
    uint64_t weighed = 0;
    for (int32_t i = 0; i < count; i++)
        largest = logits[i] > largest ? logits[i] : largest;
    for (int32_t i = 0; i < count; i++) {{
        const uint32_t below = (uint32_t)(largest - logits[i]);
        total += shares[below];
        weighed += (uint64_t)shares[below] * below;
    }}
    return logf((float)total / {one}.0f) + step * ((float)weighed / (float)total)
           < MODEL_EXIT_ENTROPY;
}}
"""


def leaving_text(project: Project) -> tuple[str, str]:
    """Return what model.h declares and model.c defines; nothing without a rule."""
    if project.exit_entropy is None:
        return "", ""
    tables = []
    for index, tensor in enumerate(project.outputs.values()):
        if index:
            values = ", ".join(str(int(value)) for value in exponentials(float(tensor.scale)))
            tables.append(f"static const uint16_t exit_{index}_shares[256] = {{{values}}};\n")
    declared = _DECLARED.format(threshold=float_literal(np.float32(project.exit_entropy)))
    return declared, _DEFINED.format(one=EXPONENT_ONE) + "\n" + "".join(tables)


def exits_of_steps(project: Project) -> dict[int, int]:
    """Return the step that finishes an exit -> number of the output; none without a rule."""
    if project.exit_entropy is None:
        return {}
    buffers = project.arranged.buffer_of
    found = {}
    for index, tensor in enumerate(project.outputs.values()):
        if index:
            writes = [n for n, s in enumerate(project.steps) if s.output == buffers[tensor.name]]
            found[writes[-1]] = index
    return found


def leaving_lines(project: Project, output: int) -> list[str]:
    """Return the statements behind the step that finishes an exit."""
    tensor = list(project.outputs.values())[output]
    place = f"arena + {project.memory.offsets[tensor.name]}"
    step = float_literal(np.float32(tensor.scale))
    test = f"is_sure({place}, {tensor.elements}, exit_{output}_shares, {step})"
    return [
        "#ifndef MODEL_TRACE",
        f"    if (model_leaves_early && {test}) {{",
        f"        model_exit = {output};",
        "        return;",
        "    }",
        "#endif",
    ]
