"""What an exported folder says of its student: for programs as plain data, for people as Markdown.

The same facts stand in every `model.json`, in every README and inside ONNX and TFLite files, so
that one folder, or one file, is enough to feed the network and to read its answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from hwkd.core.decision_record import DecisionRecord
from hwkd.core.device import core_key
from hwkd.core.errors import ModelFileError
from hwkd.core.head import Head, OutputForm
from hwkd.core.markdown import facts_table
from hwkd.core.metric import Metric, Scores, ScoresRecord
from hwkd.core.pipeline_record import PipelineRecord
from hwkd.core.printable import without_folders
from hwkd.core.run_record import RunRecord
from hwkd.core.strict_model import StrictModel, first_problem
from hwkd.core.student_record import StudentRecord
from hwkd.deploy.model_metadata import put_metadata
from hwkd.deploy.readme_program import picture_hint, readme_program
from hwkd.io.discovery import output_kind, step_details
from hwkd.io.text_files import MalformedTextError, parse_json

README_FILE = "README.md"
# Key of the facts inside a model file.
METADATA_KEY = "hwkd"
_FACTS = frozenset({"hwkd_version", "data", "preprocessing", "answer", "measured", "estimated"})
_SPLITS = {
    "test_int8": "int8, test split",
    "test_float": "float32, test split",
    "attacked_int8": "int8, test split changed against the float student",
    "attacked_float": "float32, test split changed against it",
    "validation_int8": "int8, validation split",
    "validation_float": "float32, validation split",
}


def student_facts(student: StudentRecord) -> dict[str, Any]:
    """Return the facts as plain data in SI units; none of what has no record of its run."""
    run = student.run
    if run is None:
        return {}
    decision = None if run.final is None else run.final.decision
    return {
        "hwkd_version": run.hwkd_version,
        "data": {"task": run.data.task, "source": without_folders(run.data.source),
                 "fingerprint": run.data.fingerprint,
                 **({} if run.data.sample_rate_hz is None
                    else {"sample_rate_hz": run.data.sample_rate_hz})},
        "preprocessing": run.data.pipeline.model_dump(mode="json"),
        "answer": {
            "kind": run.data.kind,
            "labels": list(run.data.class_names),
            "mean": list(run.data.answer_mean),
            "std": list(run.data.answer_std),
            "decision": None if decision is None else decision.model_dump(mode="json"),
        },
        "measured": {
            "metrics": [metric.model_dump(mode="json") for metric in run.data.metrics],
            "scores": _scores(student).model_dump(mode="json"),
        },
        "estimated": _estimated(student),
    }  # fmt: skip


# Later versions may say more.
_READ = ConfigDict(extra="ignore", allow_inf_nan=False)


class AnswerFacts(StrictModel):
    """What a network's outputs mean; see `hwkd.core.head.OutputKind`."""

    model_config = _READ

    kind: str
    labels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    decision: DecisionRecord | None = None

    def head(self) -> Head:
        """Return it as training has it.

        Raises:
            UnknownNameError: if no task is here that has such outputs.
        """
        form = OutputForm(names=self.labels, mean=self.mean, std=self.std)
        head = output_kind(self.kind).head(form)
        return head.at(self.decision)


class _DataFacts(StrictModel):
    model_config = _READ

    task: str
    sample_rate_hz: float | None = Field(default=None, gt=0)


class _MeasuredFacts(StrictModel):
    model_config = _READ

    metrics: tuple[Metric, ...] = ()


class ModelFacts(StrictModel):
    """What a model file says of itself, as far as it is needed to run the network."""

    model_config = _READ

    preprocessing: PipelineRecord
    data: _DataFacts
    answer: AnswerFacts
    measured: _MeasuredFacts = _MeasuredFacts()


def read_facts(text: str, *, where: str) -> ModelFacts | None:
    """Read the facts inside a model file; None where there are none.

    Raises:
        ModelFileError: if they are damaged.
    """
    try:
        said = parse_json(text)
        return ModelFacts.model_validate(said) if said else None
    except MalformedTextError as error:
        problem = str(error)
    except ValidationError as error:
        problem = first_problem(error, whole="text")
    raise ModelFileError(
        f"{where}: what the file says of itself is damaged ({problem}); export it again"
    )


def known_facts(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `student_facts` that a description has, in its order.

    Raises:
        ValueError: if the scores are none; what a mapping raises if they are elsewhere.
    """
    facts = {name: value for name, value in said.items() if name in _FACTS}
    if "measured" in facts:
        ScoresRecord.model_validate(facts["measured"]["scores"])
        TypeAdapter(list[Metric]).validate_python(facts["measured"]["metrics"])
    return facts


def metadata(student: StudentRecord | None) -> dict[str, str]:
    """Return name and text of what goes into a model file; nothing where nothing is known."""
    facts = {} if student is None else student_facts(student)
    return {METADATA_KEY: json.dumps(facts, ensure_ascii=False)} if facts else {}


def with_facts(content: bytes, student: StudentRecord | None) -> bytes:
    """Return an ONNX file that says what is known of its student, in place of what it said."""
    import onnx

    model = onnx.load_from_string(content)
    put_metadata(model, metadata(student))
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


def facts_markdown(student: StudentRecord) -> str:
    """Return the sections of a README on input, answer, measurements and estimates."""
    run = student.run
    if run is None:
        return ""
    sections = {
        "Input": _input_rows(run),
        "Answer": _answer_rows(run),
        "Measured": _measured_rows(student),
        _estimated_title(student): _estimated_rows(student),
    }
    return "".join(f"\n## {title}\n\n{facts_table(rows)}\n" for title, rows in sections.items())


_BY_HWKD = """
What goes in is computed from raw values as the section *Input* says. hwkd itself does so here:

```python
import hwkd
import numpy as np

raw = np.load("samples.npy")  # as in the data, shape [n, {shape}]
print(hwkd.open(".").best.predict(raw))
```

Without hwkd, `hwkd export RUN --target c` of the run writes the same as C: `model_raw.c` has every
step and table, and `model_run_raw` takes the raw values.
"""

_SETTINGS = """
Open the int8 file with `session.qdqisint8allowed` set to 1, as the report and `hwkd verify` do:
without it ONNX Runtime makes unsigned integers of signed ones on x86 processors, where values near
a tie round to the other side and, on processors without VNNI, sums saturate. The exported C has the
signed ones.
"""


def student_readme(student: StudentRecord, files: Iterable[str]) -> str:
    """Return the README of a student's folder."""
    names = sorted(files)
    text = (
        f"# Student {student.spec.key}\n\nMade by `hwkd export`: {', '.join(names)}. "
        "`student.json` describes the network layer by layer.\n"
    )
    models = [name for name in names if name.endswith(".onnx")]
    run = student.run
    if run is not None and models:
        text += (
            f"\nAn ONNX file holds what this page says in its metadata, as JSON under the key "
            f"`{METADATA_KEY}`.\n"
        )
        shape = ", ".join(map(str, run.data.pipeline.raw_shape))
        program = readme_program(run.data.pipeline, run.data.kind, file=models[-1])
        text += f"\n```python\n{program}```\n" if program else _BY_HWKD.format(shape=shape)
        text += picture_hint(run.data.pipeline)
        if any("int8" in name for name in models):
            text += _SETTINGS
    return text + facts_markdown(student)


def _scores(student: StudentRecord) -> ScoresRecord:
    """Return the scores of these very files: of the full training, or of a trial's brief one."""
    if student.run is not None and student.run.final is not None:
        return student.run.final.scores
    trial = student.trial
    return ScoresRecord() if trial is None or trial.scores is None else trial.scores


def _estimated(student: StudentRecord) -> dict[str, Any] | None:
    run = student.run
    cost = None if run is None else run.cost_of(student.trial)
    if run is None or cost is None:
        return None
    return {
        "device": cost.device,
        "core": core_key(run.device.core),
        "runtime": cost.runtime,
        "runtime_version": run.device.runtime_version,
        "clock_hz": cost.clock_hz,
        "latency_s": cost.latency_s,
        "peak_ram_bytes": cost.peak_ram_bytes,
        "flash_bytes": cost.flash_bytes,
        "energy_j": cost.energy_j,
    }


def _input_rows(run: RunRecord) -> list[tuple[str, str]]:
    pipeline = run.data.pipeline
    rows = [
        ("raw values", f"{pipeline.raw_dtype}, {_times(pipeline.raw_shape)}, channels first"),
        ("range in the data", f"{pipeline.raw_low:g} to {pipeline.raw_high:g}"),
        ("unit", f"that of the data: {without_folders(run.data.source)}"),
    ]
    for number, step in enumerate(pipeline.steps, start=1):
        rows.append((f"step {number}, {step.kind}", step.formula))
        rows += [("in detail", details)] if (details := step_details(step.kind)) else []
        rows += [(name, _numbers(value)) for name, value in step.values.items()]
    rows += [("note on the data", note) for note in run.data.notes]
    return [*rows, ("network input", f"float32, {_times(run.data.input_shape)}, before int8")]


def _answer_rows(run: RunRecord) -> list[tuple[str, str]]:
    data = run.data
    kind = output_kind(data.kind)
    names = kind.told(data.class_names)
    rows = [("outputs", f"{len(data.class_names):,} {kind.name}")]
    if names:
        rows = [("labels, in the order of the outputs", ", ".join(names))]
    rows.append(("answer", kind.answer_rule))
    if data.answer_std:
        rows += [("mean", _numbers(data.answer_mean)), ("std", _numbers(data.answer_std))]
    if run.final is not None and run.final.decision is not None:
        found = run.final.decision
        wanted = f"{found.rate} {found.wanted:.4g} {found.unit} at most, chosen on validation"
        if found.best:
            wanted = (
                f"the best {found.best} on validation, where {found.rate}: {found.reached:.4g} "
                f"{found.unit}"
            )
        rows.append(("threshold", f"{found.threshold!r} of {found.answer} ({wanted})"))
        for split, count in (("validation", found.on_validation), ("test", found.on_test)):
            if count is not None:
                shown = f"{found.rate_text(count.rate)}, {found.count_text(count)}"
                rows.append((f"{found.falsely} on {split}", shown))
        rows += [("doubt on the threshold", doubt) for doubt in found.doubts]
        if found.smoothing is not None:
            rows.append(("smoothing", f"mean of {found.smoothing} inferences is compared"))
    return rows


def _measured_rows(student: StudentRecord) -> list[tuple[str, str]]:
    run, scores = student.run, _scores(student)
    assert run is not None
    found: dict[str, Scores | None] = {name: getattr(scores, name) for name in _SPLITS}
    rows = [
        (f"{metric.name}, {_SPLITS[name]}", _value(metric, values))
        for name, values in found.items()
        if values is not None
        for metric in run.data.metrics
        if metric.name in values
    ]
    if not rows:
        return [("score", "unknown: nothing was measured of these files")]
    return [
        ("of", "the student's ONNX files, in ONNX Runtime; no other form of it was scored"),
        *rows,
    ]


def _value(metric: Metric, scores: Scores) -> str:
    return metric.text(metric.of(scores))


def _estimated_title(student: StudentRecord) -> str:
    found = _estimated(student)
    return "Estimated" if found is None else f"Estimated for the runtime {found['runtime']}"


def _estimated_rows(student: StudentRecord) -> list[tuple[str, str]]:
    found = _estimated(student)
    if found is None:
        return [("latency, RAM and flash", "unknown")]
    runtime = " ".join(filter(None, (found["runtime"], found["runtime_version"])))
    latency, energy = found["latency_s"], found["energy_j"]
    return [
        ("for", f"{runtime} on {found['device']} at {found['clock_hz'] / 1e6:g} MHz"),
        ("latency", "unknown" if latency is None else f"{latency * 1e3:.4g} ms"),
        ("peak RAM", f"{found['peak_ram_bytes']:,} bytes"),
        ("flash", f"{found['flash_bytes']:,} bytes"),
        ("energy", "unknown" if energy is None else f"{energy * 1e3:.4g} mJ per inference"),
    ]


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _numbers(value: object) -> str:
    values = value if isinstance(value, tuple | list) else (value,)
    return ", ".join(str(v) if isinstance(v, str) else _number(v) for v in values)


def _number(value: object) -> str:
    # As exactly as it is kept, and whole where it is whole.
    return repr(value).removesuffix(".0")
