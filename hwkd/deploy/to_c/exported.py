"""Reads a folder of exported C again, and tells whether it is still what was exported.

Nothing in the folder is compiled: every file is made again from the int8 model beside it and from
what model.json says of the student, and compared. That and the numbers of the recorded sample are
data: checked, and escaped like any other foreign text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwkd.core.decision_record import DecisionRecord
from hwkd.core.errors import ExportError, HwkdError
from hwkd.core.head import CAnswer, OutputForm
from hwkd.core.patches import Patches
from hwkd.core.pipeline_record import PipelineRecord
from hwkd.deploy.output_folder import MODEL_DESCRIPTION_FILE, require_as_written
from hwkd.deploy.student_facts import known_facts
from hwkd.deploy.to_c.export import build_project, expected_outputs, project_contents
from hwkd.deploy.to_c.project import MODEL_FILE, Project, Sample
from hwkd.deploy.to_c.project_text import SAMPLE_FILE
from hwkd.deploy.to_c.raw_input import RawInput
from hwkd.deploy.to_c.step_builder import KERNELS, Kernels
from hwkd.io.discovery import output_kind
from hwkd.qgraph.ir import Pool, RunningMean
from hwkd.qgraph.requantise import ROUNDINGS, Rounding

# What `make` leaves in the folder.
_BUILT = ("*.o", "*.a", "model")
# What a description of other values, or of values in other places, leads its readers to.
_DAMAGE = (
    OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
    HwkdError,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A folder that `hwkd export --target c` wrote.

    Attributes:
        labels: name of each output, or empty.
        answer: what the outputs mean; None where the folder does not say.
        raw: what turns raw values into the input; None likewise.
        patches: into which its first layers are divided; None where they run as a whole.
        streaming: whether it takes frames as they come.
        source: name that the ONNX file had.
        facts: what else the folder says of the student, as plain data.
        about: the same for people, in the README.
        sample: origin and label of the recorded input.
    """

    folder: Path
    rounding: Rounding
    kernels: Kernels
    labels: tuple[str, ...]
    answer: CAnswer | None
    raw: RawInput | None
    patches: Patches | None
    streaming: bool
    source: str
    facts: Mapping[str, Any]
    about: str
    sample: tuple[str, str]

    @property
    def model_path(self) -> Path:
        """The int8 ONNX file that the C was made from."""
        return self.folder / MODEL_FILE

    def project(self) -> Project:
        """Return the project whose files these are.

        Raises:
            ExportError: if a file in the folder is missing or another, or one too many.
        """
        built = build_project(
            self.model_path,
            rounding=self.rounding,
            kernels=self.kernels,
            labels=self.labels,
            answer=self.answer,
            raw=self.raw,
            patches=self.patches,
            streaming=self.streaming,
        )
        project = replace(
            built, source=self.source, facts=self.facts, about=self.about,
            sample=_recorded(self.folder / SAMPLE_FILE, *self.sample, built),
        )  # fmt: skip
        _require_answer(self.model_path, project)
        require_as_written(project_contents(project), self.folder, MODEL_FILE, built=_BUILT)
        return project


def _recorded(path: Path, origin: str, label: str, project: Project) -> Sample:
    """Return the recorded sample, of which the header has the numbers.

    Raises:
        ExportError: if they are not int8 values of the network's input and output.
    """
    found = []
    try:
        text = path.read_text(encoding="utf-8")
        sizes = project.window_places.size, project.output_bytes
        for name, size in zip(("input", "output"), sizes, strict=True):
            given = re.search(rf"model_sample_{name}\[\d+\] = \{{([-\d,\s]*)\}};", text)
            values = [] if given is None else re.findall(r"-?\d{1,3}", given[1])
            if len(values) != size:
                raise ValueError(name)
            found.append(np.array(values, dtype=np.int64).astype(np.int8, casting="unsafe"))
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{path}: holds no recorded sample of {MODEL_FILE} beside it; export again"
        ) from error
    return Sample(input=found[0], output=found[1], origin=origin, label=label)


def _require_answer(model_path: Path, project: Project) -> None:
    """Refuse a recorded output that ONNX Runtime does not give; a float average may move it."""
    source = project.input
    places = project.window_places
    values = project.sample.input[places.reshape(-1)].reshape(places.shape[1:]).astype(np.float32)
    real = (values - np.float32(source.zero_point)) * np.float32(source.scale)
    found = expected_outputs(model_path, real, project.arranged).astype(np.int16)
    has_average = any(
        isinstance(op, RunningMean) or (isinstance(op, Pool) and op.kind != "max")
        for op in project.arranged.graph.ops
    )
    if not has_average and np.abs(found - project.sample.output).max() > 1:
        raise ExportError(
            f"{model_path.parent / SAMPLE_FILE}: its output is not ONNX Runtime's for its input; "
            "export again"
        )


def read_exported(folder: Path, raw_input: Callable[[PipelineRecord], RawInput]) -> Exported | None:
    """Return what a folder of exported C says of itself; None if it is no such folder.

    Raises:
        ExportError: if its description is damaged.
    """
    path = folder / MODEL_DESCRIPTION_FILE
    if not (path.is_file() and (folder / "model.c").is_file()):
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        rounding, kernels = facts["rounding"], facts["kernels"]
        labels, source, about = facts["labels"], facts["source"], facts["about"]
        sample = facts["sample"]["origin"], facts["sample"]["label"]
        if rounding not in ROUNDINGS or kernels not in KERNELS:
            raise ValueError(rounding)
        texts = (source, about, *sample, *labels)
        if not (isinstance(labels, list) and all(isinstance(t, str) for t in texts)):
            raise TypeError(source)
        answer, raw = _ends(facts, raw_input)
        said = facts.get("patch")
        patches = None if said is None else Patches.parse(str(said))
        streaming = facts.get("streaming") is not None
        known = known_facts(facts)
    except _DAMAGE as error:
        raise ExportError(
            f"{path}: not a description that `hwkd export --target c` wrote; export again"
        ) from error
    return Exported(
        folder=folder, rounding=rounding, kernels=kernels, labels=tuple(labels), answer=answer,
        raw=raw, patches=patches, streaming=streaming, source=source, facts=known, about=about,
        sample=sample,
    )  # fmt: skip


def _ends(
    facts: Mapping[str, Any],
    raw_input: Callable[[PipelineRecord], RawInput],
) -> tuple[CAnswer | None, RawInput | None]:
    """Return what the facts of a student make of the outputs and of raw values."""
    if "answer" not in facts:
        return None, None
    said = facts["answer"]
    mean, std = (tuple(map(float, said[name])) for name in ("mean", "std"))
    found = said.get("decision")
    decision = None if found is None else DecisionRecord.model_validate(found)
    names = tuple(map(str, said["labels"]))
    form = OutputForm(names=names, mean=mean, std=std, decision=decision)
    answer = output_kind(str(said["kind"])).answer(form)
    return answer, raw_input(PipelineRecord.model_validate(facts["preprocessing"]))
