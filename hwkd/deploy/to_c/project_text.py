"""The texts of the C project: model, kernels, build files, recorded sample and instructions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np

from hwkd.core.c_literal import float_literal
from hwkd.deploy.output_folder import MODEL_DESCRIPTION_FILE
from hwkd.deploy.to_c.answer import ANSWER, answer_files
from hwkd.deploy.to_c.cmsis_nn import cmsis_files
from hwkd.deploy.to_c.costs import core_of
from hwkd.deploy.to_c.layout import Places, channels_last, row_major
from hwkd.deploy.to_c.leaving import exits_of_steps, leaving_lines, leaving_text
from hwkd.deploy.to_c.project import (
    CMSIS_NN,
    MODEL_FILE,
    PROGRAMS,
    Project,
    Sample,
)
from hwkd.deploy.to_c.raw_input import COMPARED, RAW_FILE
from hwkd.deploy.to_c.step_builder import (
    LAYER_NORM,
    LOOKUP,
    OFFSET_CONV,
    RESIZE,
    TRANSPOSED_CONV,
)
from hwkd.deploy.to_c.stream import listens, stream_files
from hwkd.deploy.to_c.stream_text import stream_facts, stream_text
from hwkd.io.core_files import load_core
from hwkd.qgraph.foreign_text import c_comment, c_string
from hwkd.qgraph.ir import QuantTensor

_WITH_OWN_HEADER = (CMSIS_NN, OFFSET_CONV, LAYER_NORM, LOOKUP, RESIZE, TRANSPOSED_CONV)
_HEADERS = ("hwkd_kernels.h", "hwkd_requantise.h", "hwkd_dsp.h", "hwkd_helium.h", "hwkd_dense.h")
_BYTES_PER_LINE = 24
SAMPLE_FILE = "model_sample.h"


def project_files(project: Project) -> dict[str, str]:
    """Return file name -> text of the whole project."""
    texts = _code_files(project)
    kept = (name for name in texts if name.endswith(".c") and name not in PROGRAMS)
    sources = ["model.c", *sorted(kept)]
    core = load_core(core_of(project.facts.get("estimated")))
    values = {
        "arena_bytes": str(project.memory.arena_bytes),
        "arena_in_kib": f"{project.memory.arena_bytes / 1024:.1f} KiB",
        "rounding": project.rounding.upper(),
        "source": c_comment(project.source),
        "source_sha256": project.source_sha256,
        "sources": " ".join(sources),
        "programs": ", ".join(f"`{name}`" for name in PROGRAMS if name in {"main.c", *texts}),
        "source_lines": "\n    ".join(sources),
        "flags": " ".join(project.flags),
        **_host_build(project),
        "core": core.name,
        "core_flags": " ".join(core.flags),
        "extra_include": "".join(f'#include "{name}"\n' for name in _own_headers(project))
        + ("" if project.exit_entropy is None else "#include <math.h>\n"),
        "macs": str(project.arranged.graph.macs),
        **_interface(project),
        **_model_values(project),
        **_further_outputs(project),
        **_answer(project),
        **_raw(project),
        **stream_text(project),
        **_listening(project),
        "about": project.about,
    }
    usage = _template(_usage(project)).rstrip()
    values["usage"] = Template(usage).substitute(values)
    for name in (
        "hwkd_config.h", "model.h", "model.c", "main.c", "Makefile", "CMakeLists.txt", "README.md",
    ):  # fmt: skip
        texts[name] = Template(_template(name)).substitute(values)
    texts[SAMPLE_FILE] = _sample_text(project.sample)
    facts = {**_description(project), "files": sorted([*texts, MODEL_DESCRIPTION_FILE, MODEL_FILE])}
    texts[MODEL_DESCRIPTION_FILE] = json.dumps(facts, indent=2) + "\n"
    return texts


def _code_files(project: Project) -> dict[str, str]:
    """Return what is the same in every project, and what answers, features and streams need."""
    texts = {name: _kernel_text(name) for name in _HEADERS}
    texts |= {f"{name}.c": _kernel_text(f"{name}.c") for name in project.kernels}
    texts |= {name: _kernel_text(name) for name in _own_headers(project)}
    if project.uses_cmsis_nn:
        texts |= cmsis_files()
    if project.answer is not None:
        texts |= answer_files(project.answer, project.output.shape[1:])
    if project.raw is not None:
        texts |= project.raw.headers
        texts[RAW_FILE] = (
            project.raw.stream_file(project.input)
            if project.stream is not None
            else project.raw.file(
                project.arranged.places[project.input.name],
                project.input,
                compares=None if project.answer is None else project.answer.compares,
            )
        )
    return texts | stream_files(project)


def _own_headers(project: Project) -> list[str]:
    return [f"{name}.h" for name in project.kernels if name in _WITH_OWN_HEADER]


def _usage(project: Project) -> str:
    """Return the name of the template of the example in the README."""
    if project.stream is not None:
        return "usage_stream.c"
    return "usage.c" if project.raw is None else "usage_raw.c"


def _answer(project: Project) -> Mapping[str, str]:
    """Return how C reads the answer, in the README and in main.c."""
    if project.answer is None:
        real = "MODEL_OUTPUT_SCALE * (output[i] - MODEL_OUTPUT_ZERO_POINT)"
        named = ", named model_labels[i]" if project.names else ""
        usage = f"    const int8_t *output = model_output();\n    /* value i: {real}{named} */"
        return {"answer_include": "", "answer_printed": "", "answer_usage": usage}
    return {
        "answer_include": f'#include "{ANSWER}.h"\n',
        "answer_printed": f"{project.answer.printed}\n",
        "answer_usage": project.answer.usage,
    }


def _raw(project: Project) -> Mapping[str, str]:
    """Return how raw values get in, in model.h and in the README."""
    filled = " *     fill model_input() with MODEL_INPUT_BYTES values\n *     model_run();\n"
    if project.stream is not None:
        filled = " *     model_push(the next frame), until it returns 1\n"
    if project.raw is None:
        return {"raw_declared": "", "how_to_run": filled, "example_build": ""}
    if project.stream is not None:
        return {
            "raw_declared": project.raw.stream_declared,
            "how_to_run": " *     model_run_frame(its samples), until it returns 1\n",
            "example_build": "",
        }
    return {
        "raw_declared": project.raw.declared
        + (COMPARED if project.answer is not None and project.answer.compares is not None else ""),
        "how_to_run": " *     model_run_raw(values as in the data)\n",
        "raw_type": project.raw.c_type,
        "raw_shape": project.raw.shape_text,
        "example_build": _template("example_build.md"),
    }


def _listening(project: Project) -> Mapping[str, str]:
    """Return what the build files and the README say of the program that plays recordings."""
    if not listens(project):
        return {"listen_rule": "", "listen_program": "", "listen_usage": _why_deaf(project)}
    return {name: _template(f"{name}.txt") for name in (
        "listen_rule", "listen_program", "listen_usage"
    )}  # fmt: skip


def _why_deaf(project: Project) -> str:
    """Say why a project of classes of a signal holds nothing that listens; nothing of others."""
    raw, answer = project.raw, project.answer
    is_signal = raw is not None and len(raw.shape) == 2 and raw.shape[1] > 1
    if raw is None or not is_signal or raw.is_text or answer is None or not answer.of_classes:
        return ""
    if raw.is_whole and len(project.outputs) == 1:
        return ""
    why = "has exits" if raw.is_whole else f"takes decimals (`{raw.c_type}`)"
    return _template("deaf.md").format(why=why)


def _host_build(project: Project) -> Mapping[str, str]:
    """Return how the build files tell this computer from a core."""
    flags = " ".join(project.host_flags)
    if not flags:
        return {"target_flags": "$(MCU)", "host_options": ""}
    return {
        "target_flags": f"$(if $(MCU),$(MCU),{flags})",
        "host_options": f"    target_compile_options(model PRIVATE {flags})\n",
    }


def _kernel_text(name: str) -> str:
    return (files("hwkd.deploy.to_c") / "kernels" / name).read_text(encoding="utf-8")


def _template(name: str) -> str:
    path = files("hwkd.deploy.to_c") / "templates" / f"{name}.in"
    return path.read_text(encoding="utf-8")


def tensor_layout(places: Places) -> str:
    """Name the order of a tensor's bytes: "NCHW"-like for row-major, "NHWC" for channels last."""
    if np.array_equal(places, row_major(places.shape)):
        return "row-major"
    if np.array_equal(places, channels_last(places.shape)):
        return "channels-last"
    axes = np.argsort([-abs(step) for step in _steps(places)], kind="stable")
    return "axes " + " ".join(str(int(axis)) for axis in axes)


def _steps(places: Places) -> Sequence[int]:
    lines = np.moveaxis(places, range(places.ndim), range(places.ndim))
    return [
        int(lines.take(1, axis=axis).min() - lines.min()) if size > 1 else 0
        for axis, size in enumerate(lines.shape)
    ]


def _interface(project: Project) -> Mapping[str, str]:
    """Return what model.h and the README say about input and output."""
    values = {"labels_declared": "", "labels_defined": "", "name_of_i": "output %d", "of_i": "i"}
    if project.names:
        texts = ", ".join(c_string(label) for label in project.names)
        values = {
            "labels_declared": "/* Name of each output. */\n"
            "extern const char *const model_labels[];\n\n",
            "labels_defined": f"const char *const model_labels[] = {{{texts}}};\n\n",
            "name_of_i": "%s", "of_i": "model_labels[i]",
        }  # fmt: skip
    for role, tensor in (("input", project.input), ("output", project.output)):
        values |= {
            f"{role}_bytes": str(tensor.elements),
            f"{role}_scale": float_literal(tensor.scale),
            f"{role}_zero": str(tensor.zero_point),
            f"{role}_shape": " x ".join(str(size) for size in tensor.shape[1:]),
            f"{role}_layout": tensor_layout(project.arranged.places[tensor.name]),
        }
    return values


def _further_outputs(project: Project) -> Mapping[str, str]:
    """Return what model.h and model.c say where there are several outputs; nothing for one."""
    if len(project.outputs) == 1:
        return {"outputs_header": "", "outputs_code": ""}
    lines = [
        "/* Several outputs, in this order; MODEL_OUTPUT_... and model_output() are the first. */",
        f"#define MODEL_OUTPUT_COUNT {len(project.outputs)}",
    ]
    for index, (name, tensor) in enumerate(project.outputs.items()):
        shape = " x ".join(str(size) for size in tensor.shape[1:])
        layout = tensor_layout(project.arranged.places[tensor.name])
        lines += [
            f"#define MODEL_OUTPUT_{index}_NAME {c_string(name)}",
            f"#define MODEL_OUTPUT_{index}_BYTES {tensor.elements} /* {shape}, {layout} */",
            f"#define MODEL_OUTPUT_{index}_SCALE {float_literal(tensor.scale)}",
            f"#define MODEL_OUTPUT_{index}_ZERO_POINT ({tensor.zero_point})",
        ]
    lines += [
        "extern const int32_t model_output_bytes[MODEL_OUTPUT_COUNT];",
        "",
        "/* One result of the last inference, counted from 0. */",
        "const int8_t *model_output_at(int32_t index);",
    ]
    declared, defined = leaving_text(project)
    sizes = ", ".join(f"MODEL_OUTPUT_{index}_BYTES" for index in range(len(project.outputs)))
    offsets = ", ".join(
        str(project.memory.offsets[tensor.name]) for tensor in project.outputs.values()
    )
    code = [
        f"const int32_t model_output_bytes[MODEL_OUTPUT_COUNT] = {{{sizes}}};",
        "",
        "const int8_t *model_output_at(int32_t index)",
        "{",
        f"    static const int32_t offsets[MODEL_OUTPUT_COUNT] = {{{offsets}}};",
        "    return arena + offsets[index];",
        "}",
    ]
    return {
        "outputs_header": "\n" + "\n".join(lines) + "\n" + declared,
        "outputs_code": "\n" + "\n".join(code) + "\n" + defined,
    }


def _model_values(project: Project) -> Mapping[str, str]:
    offsets = project.memory.offsets
    definitions, statements = [], []
    leaves = exits_of_steps(project)
    if leaves:
        statements.append("    model_exit = 0;")
    for index, step in enumerate(project.steps):
        title = f"/* {index}: {c_comment(step.name)} ({step.kind}) */"
        definitions.append("\n".join([title, *step.constants.definitions]))
        fields = {
            f"in{position}": f"arena + {offsets[name]}" for position, name in enumerate(step.inputs)
        }
        fields["out"] = f"arena + {offsets[step.output]}"
        fields["scratch"] = f"arena + {project.memory.scratch_offsets[index]}"
        lines = [title, *(_filled(call, fields) for call in step.calls)]
        traced = project.traced_bytes(step)
        lines.append(f"MODEL_AFTER_STEP({index}, {fields['out']}, {traced});")
        statements.append("\n".join(f"    {line}" for line in lines))
        if index in leaves:
            statements += leaving_lines(project, leaves[index])
    return {
        "definitions": "\n\n".join(definitions),
        "statements": "\n".join(statements),
        "step_count": str(len(project.steps)),
        "input_offset": str(offsets[project.input.name]),
        "output_place": "model_output_at(model_exit)"
        if leaves
        else f"arena + {offsets[project.output.name]}",
        "main_begins": "    model_leaves_early = 0; /* every output is compared */\n"
        if leaves
        else "",
    }


def _filled(call: str, fields: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: fields[match.group(1)], call)


def _sample_text(sample: Sample) -> str:
    arrays = []
    for name, values in (
        ("model_sample_input", sample.input),
        ("model_sample_output", sample.output),
    ):
        lines = [
            ", ".join(str(int(value)) for value in values[start : start + _BYTES_PER_LINE])
            for start in range(0, len(values), _BYTES_PER_LINE)
        ]
        body = "".join(f"    {line},\n" for line in lines)
        arrays.append(f"static const int8_t {name}[{len(values)}] = {{\n{body}}};\n")
    head = (
        "/* One input and the output that ONNX Runtime gives for it. */\n#include <stdint.h>\n\n"
        f"#define MODEL_SAMPLE_ORIGIN {c_string(sample.origin)}\n"
        f"#define MODEL_SAMPLE_LABEL {c_string(sample.label)} /* empty: unknown */\n\n"
    )
    return head + "\n".join(arrays)


def _end(project: Project, tensor: QuantTensor) -> dict[str, Any]:
    """Return what model.json says of an input or output."""
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "layout": tensor_layout(project.arranged.places[tensor.name]),
        "scale": float(tensor.scale),
        "zero_point": tensor.zero_point,
        "bytes": tensor.elements,
    }


def _description(project: Project) -> dict[str, Any]:
    """Return what model.json holds."""
    graph, memory = project.arranged.graph, project.memory
    ends: dict[str, Any] = {
        "input": _end(project, project.input), "output": _end(project, project.output),
    }  # fmt: skip
    if len(project.outputs) > 1:
        ends["outputs"] = {
            name: {**_end(project, tensor), "offset": memory.offsets[tensor.name]}
            for name, tensor in project.outputs.items()
        }
    return {
        "schema_version": 1,
        "source": project.source,
        "source_sha256": project.source_sha256,
        "rounding": project.rounding,
        "kernels": "cmsis-nn" if project.uses_cmsis_nn else "hwkd",
        "patch": None if project.patches is None else str(project.patches),
        "macs": graph.macs,
        **stream_facts(project),
        **({} if project.exit_entropy is None else {"exit_entropy": project.exit_entropy}),
        "arena_bytes": memory.arena_bytes,
        "labels": list(project.labels),
        **ends,
        **project.facts,
        "about": project.about,
        "sample": {"origin": project.sample.origin, "label": project.sample.label},
        "steps": [
            {
                "index": index,
                "name": step.name,
                "kind": step.kind,
                "macs": step.macs,
                "output": step.output,
                "output_offset": memory.offsets[step.output],
                "output_bytes": graph.tensors[step.output].elements,
                "scratch_bytes": dict(step.scratch_bytes),
            }
            for index, step in enumerate(project.steps)
        ],
    }
