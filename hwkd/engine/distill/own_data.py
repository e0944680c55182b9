"""The data that a student learned from, found again: its record names them and knows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwkd.core.errors import ConfigError, HwkdError
from hwkd.core.reading import Reading
from hwkd.core.run_record import DataRecord, RunRecord
from hwkd.engine.distill.finetune import read_alike
from hwkd.engine.setup.config import SearchConfig
from hwkd.io.run_files import CONFIG_FILE
from hwkd.io.student_folder import BEST_FOLDER
from hwkd.tasks.base import TaskData


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What a student learned from.

    Attributes:
        given: the student as the user names it.
        record: of the data; they are refused where they are others by now.
        advice: what to do then.
    """

    given: str
    record: DataRecord
    advice: str

    def unreadable(self, error: HwkdError) -> ConfigError:
        """Return what says that the data cannot be read."""
        return self._refused(f"cannot be read ({error})")

    def require_same(self, data: TaskData, *, is_named: bool) -> None:
        """Refuse other data.

        Args:
            is_named: they were read from where the record says; else they are the task's own.

        Raises:
            ConfigError: if what the student learned from is not there, or changed.
        """
        if not is_named and data.source != self.record.source:
            raise self._refused("is not there")
        if self.record.content_fingerprint not in (None, data.content_fingerprint):
            raise self._refused("changed since")

    def _refused(self, why: str) -> ConfigError:
        return ConfigError(
            f"--student {self.given}: learned from {self.record.source}, which {why}; {self.advice}"
        )


def reading_again(config: SearchConfig, run: RunRecord, student: Path) -> SearchConfig:
    """Return a configuration that reads what a student learned from, as it was read.

    Args:
        run: that the student's description has.
        student: its folder or its description; the run that it lies in says how data was read.
    """
    folder = student if student.is_dir() else student.parent
    path = folder.parent / CONFIG_FILE
    is_of_run = folder.name == BEST_FOLDER and path.is_file()
    reading = SearchConfig.from_toml(path).reading if is_of_run else Reading()
    if config.reading.label is not None:
        reading = reading.model_copy(update={"label": config.reading.label})
    return config.model_copy(
        update={
            "task": run.data.task,
            # What a task has by itself has a title in place of a path.
            "data": run.data.source if Path(run.data.source).exists() else None,
            "reading": read_alike(reading, run),
            "seed": run.data.split_seed,
        }
    )
