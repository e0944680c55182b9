"""Text: one label for each text, told by its words or by words or bytes in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwkd.core.catalog import TASKS
from hwkd.core.errors import ConfigError
from hwkd.core.metric import Metric
from hwkd.core.printable import printable
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.signals.steps.word_weights import MOST_BYTES
from hwkd.signals.texts import as_bytes
from hwkd.tasks.base import Task, TaskData
from hwkd.tasks.checked_task import Asked, FileTask
from hwkd.tasks.classes_head import CLASS_METRICS, head_of_classes
from hwkd.tasks.folder_tree import first_names
from hwkd.tasks.raw import RawData, RawSplit, class_indices
from hwkd.tasks.splits import with_all_splits
from hwkd.tasks.text_source import TEXT_FORMATS, read_texts, votes_of

_FEATURES = "words"
# Most texts are whole; what the longest one in a hundred say beyond is not read.
_WHOLE_RATIO = 0.99
_MOST_BYTES, _STEP_BYTES = 4096, 64


@dataclass(frozen=True, kw_only=True)
class TextTask(FileTask):
    """One label per text; firmware gives its UTF-8 bytes."""

    name: str = "text"
    summary: str = "tell texts apart: CSV, JSON lines or a folder of text files"
    metrics: tuple[Metric, ...] = CLASS_METRICS
    kind: str = "classes"
    spaces: tuple[str, ...] = ("text",)
    weight_budget_bytes: int | None = 50_000

    known = frozenset({"metric", "class_weights", "label", "features", "input_size"})
    takes = TEXT_FORMATS

    def of_file(self, source: Path, asked: Asked) -> TaskData:
        """Read, check, split and compute features; see `Task.data`."""
        reading = asked.reading
        raw = with_all_splits(_raw(source, reading), split_seed=asked.split_seed)
        head = head_of_classes(raw, asked.metrics, reading)
        reading = reading.model_copy(update={"features": reading.features or _FEATURES})
        return self.ready(raw, head, reading, asked)

    def labelled(
        self, source: Path, reading: Reading = AS_USUAL, *, raw_shape: tuple[int, ...]
    ) -> RawSplit:
        """Read texts, cut as those of the training, and the names of their classes."""
        found = read_texts(source, reading.label, to_judge=True)
        split = found["test"] if "test" in found else found["train"]
        return RawSplit(
            inputs=as_bytes([each.text for each in split], raw_shape[-1]),
            labels=np.array([each.label for each in split]),
        )


def _raw(source: Path, reading: Reading) -> RawData:
    """Return texts as bytes of one length."""
    found = read_texts(source, reading.label)
    length, notes = _length([each.text for each in found["train"]], reading.size)
    beside = list(dict.fromkeys(name for split in found.values() for name in split[0].beside))
    if beside:
        notes = (f"left out: {first_names(beside)}", *notes)
    votes = votes_of(found["train"])
    if votes is not None:
        notes = (votes.note(reading.label or ""), *notes)
    labels = {name: np.array([each.label for each in split]) for name, split in found.items()}
    indices, names = class_indices(labels, source=printable(source))

    parts = {
        name: RawSplit(
            inputs=as_bytes([each.text for each in examples], length), labels=indices[name]
        )
        for name, examples in found.items()
    }
    return RawData.of(printable(source), parts, class_names=names, notes=notes)


def _length(texts: Sequence[str], asked: tuple[int, int] | None) -> tuple[int, tuple[str, ...]]:
    """Return how many bytes of each text are read, and a note about those that are cut.

    Args:
        asked: one row of so many bytes; None reads what nearly all texts need.

    Raises:
        ConfigError: if they are no row, or too many.
    """
    sizes = np.array([len(text.encode("utf-8")) for text in texts])
    usual = int(np.quantile(sizes, _WHOLE_RATIO, method="higher"))
    length = min(_MOST_BYTES, -(-usual // _STEP_BYTES) * _STEP_BYTES)
    if asked is not None:
        rows, length = asked
        if rows != 1 or length > MOST_BYTES:
            raise ConfigError(
                f"--input-size {rows}x{length}: a text is one row of bytes; give 1x64 to "
                f"1x{MOST_BYTES}"
            )
    cut = int((sizes > length).sum())
    note = f"the first {length:,} bytes of each text are read; {cut:,} of train are longer"
    return length, (note,)


_TASK: Task = TASKS.register("text")(TextTask())
