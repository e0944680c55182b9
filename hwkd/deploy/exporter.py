"""What an exporter is: a finished student in, the files of one target out.

One module in `hwkd/deploy/exporters/` (or a plugin) registers one; `hwkd export --target NAME`
finds it by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hwkd.core.errors import ConfigError
from hwkd.core.graph import OpGraph
from hwkd.core.head import CAnswer, OutputForm
from hwkd.core.memory_stage import MemoryStage
from hwkd.core.patches import Patches
from hwkd.core.run_record import RunRecord
from hwkd.core.streaming import Stream
from hwkd.deploy.to_c.project import RecordedInput
from hwkd.deploy.to_c.raw_input import RawInput
from hwkd.deploy.to_c.step_builder import Kernels
from hwkd.io import discovery
from hwkd.io.student_folder import INT8_FILE, StudentFolder
from hwkd.qgraph.requantise import Rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Choices of targets that compute with integers of their own.

    Attributes:
        rounding: of accumulators; None leaves it to the target.
        patches: into which first layers are divided; None runs them as a whole.
        streaming: take a signal frame by frame.
    """

    rounding: Rounding | None = None
    kernels: Kernels = "hwkd"
    patches: Patches | None = None
    streaming: bool = False

    def require_none(self, target: str) -> None:
        """Refuse choices that a target has no use for.

        Raises:
            ConfigError: names option and target.
        """
        given = {"rounding": self.rounding, "kernels": self.kernels, "patch": self.patches}
        if self.streaming:
            raise ConfigError(
                f"--streaming: does nothing for {target}; it goes with --target c, arduino or "
                "zephyr"
            )
        for option, value in given.items():
            if value not in (None, "hwkd"):
                raise ConfigError(
                    f"--{option} {value}: does nothing for {target}; it goes with --target c"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSource:
    """A finished student, or an int8 ONNX file by itself.

    Attributes:
        given: what the user named, for messages.
        folder: of the student; None for a file by itself.
        raw: the C that turns raw inputs into the network's; None where it is not known.
        sample: gives one input of the student's data, or None; called by targets that run one.
    """

    given: Path
    folder: StudentFolder | None = None
    raw: RawInput | None = None
    sample: Callable[[], RecordedInput | None] = lambda: None

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each output; empty when that is not known."""
        return () if self.folder is None else self.folder.labels

    @property
    def told_names(self) -> tuple[str, ...]:
        """Those of `labels` that a reader of answers has a use for."""
        run = self.run
        kind = None if run is None else discovery.output_kind(run.data.kind)
        return self.labels if kind is None else kind.told(self.labels)

    @property
    def run(self) -> RunRecord | None:
        """That found the student; None for a file by itself, or of an older version."""
        return None if self.folder is None else self.folder.record.run

    @property
    def answer(self) -> CAnswer | None:
        """What the outputs mean; None where that is not known."""
        if self.run is None:
            return None
        data, final = self.run.data, self.run.final
        form = OutputForm(
            names=data.class_names,
            mean=data.answer_mean,
            std=data.answer_std,
            decision=None if final is None else final.decision,
        )
        return discovery.output_kind(data.kind).answer(form)

    @property
    def int8_path(self) -> Path:
        """The int8 ONNX file.

        Raises:
            RunFolderError: if the student's folder has none.
        """
        return self.given if self.folder is None else self.folder.file(INT8_FILE)

    def student(self, target: str) -> StudentFolder:
        """Return the student.

        Args:
            target: that needs more than an int8 file.

        Raises:
            ConfigError: if there is no more.
        """
        if self.folder is None:
            raise ConfigError(
                f"{self.given}: {target} needs a run folder or a student's folder, this is a file"
            )
        return self.folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What one exporter made; nothing is written yet.

    Attributes:
        files: name -> content.
        facts: what else `--json` says.
        lines: what else is told to people.
    """

    files: Mapping[str, str | bytes]
    facts: Mapping[str, object] = field(default_factory=dict)
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSizes:
    """What exported code needs, by its own plan.

    Attributes:
        ram_bytes: arena and stack.
        graph: what runs: the file's, by the names of the plan, or the parts of it that one run
            computes.
        stream: what a run takes, where it takes the next frames.
        stages: memory while each operator of that graph runs.
    """

    ram_bytes: int
    flash_bytes: int
    graph: OpGraph
    stages: tuple[MemoryStage, ...]
    stream: Stream | None = None


class PlansMemory(Protocol):
    """A target that lays memory out itself, named in `MemoryModel.planned_by`."""

    def planned_sizes(
        self,
        model: Path,
        graph: OpGraph,
        core: str,
        patches: Patches | None,
        *,
        streaming: bool = False,
    ) -> PlannedSizes | None:
        """Plan an int8 ONNX file for a core, by its key; None where a size is not known.

        Args:
            graph: of the file.
            patches: to run its first layers in.
            streaming: whether a run takes the next frames; else a window.

        Raises:
            ModelFileError: if the file cannot be read.
            ExportError: if the network has no form in this target, or patches do not divide it.
        """
        ...


class Exporter(Protocol):
    """One target."""

    @property
    def summary(self) -> str:
        """What it writes, in one line."""
        ...

    @property
    def is_student_file(self) -> bool:
        """Whether its files belong to a student's folder, where several such targets go."""
        ...

    def export(self, source: ExportSource, options: ExportOptions) -> Exported:
        """Make the files.

        Raises:
            ModelFileError: if the model cannot be read.
            ExportError: if the student has no form in this target.
        """
        ...
