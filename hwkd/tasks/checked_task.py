"""What the tasks of hwkd begin with: choices are checked before any data is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hwkd.core.errors import ConfigError
from hwkd.core.head import Head
from hwkd.core.metric import Metric, led_by
from hwkd.core.nature import Nature
from hwkd.core.progress import Progress, silent
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.tasks.base import TaskData
from hwkd.tasks.prepare import prepare
from hwkd.tasks.raw import RawData


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How data is to be read.

    Attributes:
        reading: choices of the user, all of which the task knows.
        metrics: of the task, that which the user chose first.
        split_seed: seed of the splits that the source does not bring.
        progress: told about decoding that takes long.
    """

    reading: Reading
    metrics: tuple[Metric, ...]
    split_seed: int
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class CheckedTask(ABC):
    """See `hwkd.tasks.base.Task`."""

    name: str
    summary: str
    metrics: tuple[Metric, ...]
    kind: str
    spaces: tuple[str, ...] = ()
    weight_budget_bytes: int | None = None

    known: ClassVar[frozenset[str]]

    def knows(self, source: Path | None) -> frozenset[str]:
        """Return the fields of `Reading` that a source has a use for."""
        del source
        return self.known

    @abstractmethod
    def prepared(self, source: Path | None, asked: Asked) -> TaskData:
        """Read, check, split and apply the pipeline; see `Task.data`."""

    def data(
        self,
        source: Path | None,
        reading: Reading = AS_USUAL,
        *,
        split_seed: int = 0,
        progress: Progress = silent,
    ) -> TaskData:
        """Return the data, once the choices on it are checked; see `Task.data`."""
        reading.require_known(self.knows(source), task=self.name)
        metrics = led_by(self.metrics, reading.metric, task=self.name)
        asked = Asked(reading=reading, metrics=metrics, split_seed=split_seed, progress=progress)
        return self.prepared(source, asked)

    def ready(
        self, raw: RawData, head: Head, reading: Reading, asked: Asked, *, nature: Nature = "values"
    ) -> TaskData:
        """Return raw data as this task's, split and through the pipeline; see `prepare`.

        Args:
            reading: of `asked`, with what the task adds to it.
        """
        return prepare(
            raw, head, reading,
            task=self.name, split_seed=asked.split_seed, nature=nature, progress=asked.progress,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FileTask(CheckedTask):
    """A task that comes with no data of its own.

    Attributes:
        takes: what `--data` may be.
    """

    takes: ClassVar[str]

    @abstractmethod
    def of_file(self, source: Path, asked: Asked) -> TaskData:
        """Read, check, split and apply the pipeline; see `Task.data`."""

    def prepared(self, source: Path | None, asked: Asked) -> TaskData:
        """Return the data of a source; see `Task.data`."""
        if source is None:
            raise ConfigError(f"--task {self.name} needs --data: {self.takes}")
        return self.of_file(source, asked)
