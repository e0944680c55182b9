"""The program of a README that feeds an ONNX file and reads its answers with NumPy alone.

It is put together from what the steps of the preprocessing (`python`) and the kind of the outputs
say of themselves; numbers and names come from the facts inside the file.
"""

from __future__ import annotations

import math
import re

from hwkd.core.pipeline_record import PipelineRecord
from hwkd.io.discovery import output_kind, step_program

_OPEN = """\
import json
{imports}import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.qdqisint8allowed", "1")
options.add_session_config_entry("session.disable_double_qdq_remover", "1")
session = onnxruntime.InferenceSession("{file}", options)
facts = json.loads(session.get_modelmeta().custom_metadata_map["hwkd"])
steps = [step["values"] for step in facts["preprocessing"]["steps"]]
"""

_ARRAY = """
values = np.load("samples.npy")  # as in the data, shape [n, {shape}]
"""

_TEXTS = """
lines = Path("texts.txt").read_text(encoding="utf-8").splitlines()  # one text a line
values = [line.encode()[:{length}].lower() for line in lines]  # ASCII capitals become small
"""

_RUN = """
given = values.astype(np.float32).reshape(len(values), *session.get_inputs()[0].shape[1:])
name = session.get_inputs()[0].name
outputs = np.concatenate([session.run(None, {name: one[None]})[0] for one in given])
"""


def readme_program(pipeline: PipelineRecord, kind: str, *, file: str) -> str:
    """Return a Python program; empty where only hwkd can prepare or answer.

    Args:
        pipeline: from raw inputs to the network's.
        kind: of the outputs, as records name it.
        file: name of the ONNX file.
    """
    answer = output_kind(kind).python
    steps = [step_program(step.kind) for step in pipeline.steps]
    if not answer or not all(step.code for step in steps):
        return ""
    load = _ARRAY.replace("{shape}", ", ".join(map(str, pipeline.raw_shape)))
    if steps[0].reads_texts:
        load = _TEXTS.replace("{length}", str(math.prod(pipeline.raw_shape)))
    body = load + "".join(
        f"\nstep = steps[{number}]  # {record.kind}\n{step.code}"
        for number, (record, step) in enumerate(zip(pipeline.steps, steps, strict=True))
    )
    body += f"{_RUN}\n{answer.rstrip()}\n"
    used = [name for name in ("math", "re") if re.search(rf"\b{name}\.", body)]
    imports = "".join(f"import {name}\n" for name in used)
    imports += "from pathlib import Path\n" if "Path(" in body else ""
    return _OPEN.replace("{imports}", imports).replace("{file}", file) + body


def picture_hint(pipeline: PipelineRecord) -> str:
    """Return how a picture file becomes one of the samples; empty where inputs are no pictures."""
    shape = pipeline.raw_shape
    if pipeline.raw_dtype != "uint8" or len(shape) != 3 or shape[0] not in (1, 3) or 1 in shape[1:]:
        return ""
    channels, height, width = shape
    return f"""
A picture file becomes one of them so (with Pillow; {height} rows, {width} columns):

```
shown = Image.open(file).convert("RGB").resize(({width}, {height}), Image.Resampling.BILINEAR)
sample = np.asarray(shown).transpose(2, 0, 1)[:{channels}]
```
"""
