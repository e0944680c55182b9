"""The function that firmware reads the answer with: the class, or values in the target's unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwkd.core.head import HeadKind
from hwkd.qgraph.requantise import float_literal

__all__ = ["ANSWER", "Answer"]

ANSWER = "model_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the outputs of a network mean.

    Attributes:
        kind: whether they are classes or values.
        mean: of values, in the unit of the target; an output times `std` plus this is the answer.
        std: likewise.
    """

    kind: HeadKind
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def usage(self) -> str:
        """C that reads the answer, for the README."""
        if self.kind == "classes":
            return (
                "    const char *name = model_labels[model_answer()]; /* of the likeliest class */"
            )
        return (
            "    float answer[MODEL_ANSWER_COUNT];\n"
            "    model_answer(answer); /* in the unit of the target, named model_labels[i] */"
        )

    @property
    def printed(self) -> str:
        """C that prints what the network says of the recorded sample, for main.c."""
        labelled = '    if (MODEL_SAMPLE_LABEL[0] != 0)\n        printf("labelled %s, "'
        if self.kind == "classes":
            return (
                f'{labelled}"the network says %s\\n", MODEL_SAMPLE_LABEL,\n'
                "               model_labels[model_answer()]);"
            )
        return (
            "    float answer[MODEL_ANSWER_COUNT];\n"
            "    model_answer(answer);\n"
            f'{labelled}"in the unit of the target\\n", MODEL_SAMPLE_LABEL);\n'
            "    for (int i = 0; i < MODEL_ANSWER_COUNT; i++)\n"
            '        printf("the network says %s %g\\n", model_labels[i], (double)answer[i]);'
        )

    def files(self) -> dict[str, str]:
        """Return name -> text of the function's header and source."""
        declared, body = self._of_classes() if self.kind == "classes" else self._of_values()
        header = (
            f"#ifndef MODEL_ANSWER_H\n#define MODEL_ANSWER_H\n\n#include <stdint.h>\n\n{declared}"
            "\n#endif\n"
        )
        source = f'#include "{ANSWER}.h"\n\n#include "model.h"\n\n{body}'
        return {f"{ANSWER}.h": header, f"{ANSWER}.c": source}

    def _of_classes(self) -> tuple[str, str]:
        declared = (
            "/* Number of the likeliest class of the last inference; model_labels names it. */\n"
            "int32_t model_answer(void);\n"
        )
        return (
            declared,
            """int32_t model_answer(void)
{
    const int8_t *output = model_output();
    int32_t best = 0;
    for (int32_t i = 1; i < MODEL_OUTPUT_BYTES; i++)
        best = output[i] > output[best] ? i : best;
    return best;
}
""",
        )

    def _of_values(self) -> tuple[str, str]:
        count = len(self.mean)
        declared = (
            f"#define MODEL_ANSWER_COUNT {count}\n\n"
            "/* An output, as a real number, times the scale plus the offset is the answer in the\n"
            "   unit of the target in the training data. */\n"
            "extern const float model_answer_scale[MODEL_ANSWER_COUNT];\n"
            "extern const float model_answer_offset[MODEL_ANSWER_COUNT];\n\n"
            "/* The answers of the last inference, in that unit. */\n"
            "void model_answer(float *answer);\n"
        )
        scales, offsets = (
            ", ".join(float_literal(np.float32(value)) for value in values)
            for values in (self.std, self.mean)
        )
        return (
            declared,
            f"""const float model_answer_scale[MODEL_ANSWER_COUNT] = {{{scales}}};
const float model_answer_offset[MODEL_ANSWER_COUNT] = {{{offsets}}};

void model_answer(float *answer)
{{
    const int8_t *output = model_output();
    for (int32_t i = 0; i < MODEL_ANSWER_COUNT; i++) {{
        const float value = MODEL_OUTPUT_SCALE * (float)(output[i] - MODEL_OUTPUT_ZERO_POINT);
        answer[i] = value * model_answer_scale[i] + model_answer_offset[i];
    }}
}}
""",
        )
