"""The files with the function that firmware reads the answer with."""

from __future__ import annotations

from hwkd.core.head import CAnswer

ANSWER = "model_answer"


def answer_files(answer: CAnswer) -> dict[str, str]:
    """Return name -> text of the function's header and source."""
    header = (
        "#ifndef MODEL_ANSWER_H\n#define MODEL_ANSWER_H\n\n#include <stdint.h>\n\n"
        '#ifdef __cplusplus\nextern "C" {\n#endif\n\n'
        f"{answer.declared}\n#ifdef __cplusplus\n}}\n#endif\n\n#endif\n"
    )
    source = f'#include "{ANSWER}.h"\n\n#include "model.h"\n\n{answer.body}'
    return {f"{ANSWER}.h": header, f"{ANSWER}.c": source}
