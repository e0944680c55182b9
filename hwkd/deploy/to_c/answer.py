"""The files with the function that firmware reads the answer with."""

from __future__ import annotations

from hwkd.core.head import CAnswer

ANSWER = "model_answer"


def answer_files(answer: CAnswer, output: tuple[int, ...]) -> dict[str, str]:
    """Return name -> text of the function's header and source.

    Args:
        output: shape without batch; of a map the header says its height and width.
    """
    sides = zip(("HEIGHT", "WIDTH"), output[1:], strict=True) if len(output) == 3 else ()
    shape = "".join(f"#define MODEL_OUTPUT_{name} {size}\n" for name, size in sides)
    header = (
        "#ifndef MODEL_ANSWER_H\n#define MODEL_ANSWER_H\n\n#include <stdint.h>\n\n"
        '#ifdef __cplusplus\nextern "C" {\n#endif\n\n'
        f"{shape}{answer.declared}\n#ifdef __cplusplus\n}}\n#endif\n\n#endif\n"
    )
    source = f'#include "{ANSWER}.h"\n\n#include "model.h"\n\n{answer.body}'
    return {f"{ANSWER}.h": header, f"{ANSWER}.c": source}
