"""Reads a folder of exported C again, and tells whether it is still what was exported.

Nothing in the folder is compiled: the C is made again from the int8 model beside it, and the files
are compared with that. What model.json says is data, escaped like any other foreign text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwkd.core.decision_record import DecisionRecord
from hwkd.core.errors import ExportError, HwkdError
from hwkd.core.head import CAnswer
from hwkd.core.patches import Patches
from hwkd.core.pipeline_record import PipelineRecord
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_c.project import DESCRIPTION_FILE, MODEL_FILE, Project
from hwkd.deploy.to_c.project_text import project_files
from hwkd.deploy.to_c.raw_input import RawInput
from hwkd.deploy.to_c.step_builder import KERNELS, Kernels
from hwkd.io.discovery import output_kind
from hwkd.qgraph.requantise import ROUNDINGS, Rounding

# They run the recorded sample and are no part of the network.
_SAMPLE_FILES = frozenset({"main.c", "model_sample.h"})


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A folder that `hwkd export --target c` wrote.

    Attributes:
        labels: name of each output, or empty.
        answer: what the outputs mean; None where the folder does not say.
        raw: what turns raw values into the input; None likewise.
        patches: into which its first layers are divided; None where they run as a whole.
        source: name that the ONNX file had.
    """

    folder: Path
    rounding: Rounding
    kernels: Kernels
    labels: tuple[str, ...]
    answer: CAnswer | None
    raw: RawInput | None
    patches: Patches | None
    source: str

    @property
    def model_path(self) -> Path:
        """The int8 ONNX file that the C was made from."""
        return self.folder / MODEL_FILE

    def project(self) -> Project:
        """Return the project whose files these are.

        Raises:
            ExportError: if a source or header in the folder is missing or another.
        """
        built = build_project(
            self.model_path,
            rounding=self.rounding,
            kernels=self.kernels,
            labels=self.labels,
            answer=self.answer,
            raw=self.raw,
            patches=self.patches,
        )
        project = replace(built, source=self.source)
        for name, text in project_files(project).items():
            path = self.folder / name
            if not name.endswith((".c", ".h")) or name in _SAMPLE_FILES:
                continue
            if not path.is_file() or path.read_bytes() != text.encode("utf-8"):
                raise ExportError(
                    f"{path}: not what this hwkd exports for {MODEL_FILE} beside it, so a check "
                    "would be of other code; export again"
                )
        return project


def read_exported(folder: Path, raw_input: Callable[[PipelineRecord], RawInput]) -> Exported | None:
    """Return what a folder of exported C says of itself; None if it is no such folder.

    Raises:
        ExportError: if its description is damaged.
    """
    path = folder / DESCRIPTION_FILE
    if not (path.is_file() and (folder / "model.c").is_file()):
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        rounding, kernels = facts["rounding"], facts["kernels"]
        labels, source = facts["labels"], facts["source"]
        if rounding not in ROUNDINGS or kernels not in KERNELS:
            raise ValueError(rounding)
        if not (isinstance(labels, list) and all(isinstance(t, str) for t in (source, *labels))):
            raise TypeError(source)
        answer, raw = _ends(facts, raw_input)
        said = facts.get("patch")
        patches = None if said is None else Patches.parse(str(said))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, HwkdError) as error:
        raise ExportError(
            f"{path}: not a description that `hwkd export --target c` wrote; export again"
        ) from error
    return Exported(
        folder=folder, rounding=rounding, kernels=kernels, labels=tuple(labels), answer=answer,
        raw=raw, patches=patches, source=source,
    )  # fmt: skip


def _ends(
    facts: Mapping[str, Any], raw_input: Callable[[PipelineRecord], RawInput]
) -> tuple[CAnswer | None, RawInput | None]:
    """Return what the facts of a student make of the outputs and of raw values."""
    if "answer" not in facts:
        return None, None
    said = facts["answer"]
    mean, std = (tuple(map(float, said[name])) for name in ("mean", "std"))
    found = said.get("decision")
    decision = None if found is None else DecisionRecord.model_validate(found)
    answer = output_kind(str(said["kind"])).answer(mean, std, decision)
    return answer, raw_input(PipelineRecord.model_validate(facts["preprocessing"]))
