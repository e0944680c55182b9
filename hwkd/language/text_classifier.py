"""A teacher of texts that is a transformer on disk: a sequence classifier of transformers.

It reads the texts themselves, with its own tokenizer, as far as its positions go. Its classes are
found by the names in its configuration where they are those of the data, else by their order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hwkd.core.errors import TeacherError
from hwkd.core.head import Head
from hwkd.core.printable import printable
from hwkd.core.progress import Progress
from hwkd.language.corpus import open_tokenizer
from hwkd.language.model_folder import (
    TOKENIZER_FILE,
    checked_facts,
    folder_sha256,
    parameters_of,
    read_model,
    require_transformers,
)
from hwkd.train.head_teacher import HeadTeacher
from hwkd.train.known_rows import KnownRows
from hwkd.train.teacher import as_outputs
from hwkd.train.teacher_input import AS_STUDENTS, SeenInput

# `model_type` -> positions that no token has.
_KINDS = {"bert": 0, "distilbert": 0, "roberta": 2, "xlm-roberta": 2}
_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class TextClassifier(HeadTeacher):
    """See `hwkd.train.teacher.Teacher`; it knows the texts of its data and no others.

    Attributes:
        order: output of the model for each class of the data.
        texts: in the order of the rows.
    """

    identity: str
    description: str
    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    order: tuple[int, ...] = field(repr=False)
    rows: KnownRows = field(repr=False)
    texts: tuple[str, ...] = field(repr=False)
    progress: Progress = field(repr=False)
    seen: SeenInput = AS_STUDENTS
    kind: Literal["transformers"] = "transformers"

    @torch.no_grad()
    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return its logits, shape [n, num_outputs]."""
        rows = self.rows.find(inputs, teacher=self.name)
        found = np.empty((len(rows), len(self.order)), np.float32)
        # Texts of one length together: what is filled up is computed, too.
        lengths = np.array([len(self.texts[row]) for row in rows])
        queue = np.argsort(lengths, kind="stable")
        for start in range(0, len(queue), _BATCH):
            self.progress("teacher reads texts", start, len(queue))
            batch = queue[start : start + _BATCH]
            coded = self.tokenizer.encode_batch([self.texts[rows[at]] for at in batch])
            ids = torch.tensor([one.ids for one in coded])
            mask = torch.tensor([one.attention_mask for one in coded])
            said = self.model(input_ids=ids, attention_mask=mask).logits
            found[batch] = said.float().numpy()[:, list(self.order)]
        return as_outputs(found, self.head, examples=len(inputs), teacher=self.name, is_own=True)


def open_text_classifier(
    config_file: Path, texts: list[str], rows: KnownRows, head: Head, *, progress: Progress
) -> TextClassifier:
    """Read a classifier.

    Args:
        config_file: `config.json` in its folder.
        texts: that it will be asked about, in the order of `rows`.

    Raises:
        ConfigError: without the extra `text`.
        ModelFileError: if it cannot be read.
        TeacherError: if it has other classes.
    """
    folder = config_file.parent
    checked_facts(folder, _KINDS, what="takes as a teacher")
    require_transformers(f"--teacher {printable(config_file)}")
    model, config = read_model(folder, "AutoModelForSequenceClassification", _least_weights)
    tokenizer: Any = open_tokenizer(folder / TOKENIZER_FILE, int(config.vocab_size))
    most = int(config.max_position_embeddings) - _KINDS[config.model_type]
    tokenizer.enable_truncation(max_length=most)
    tokenizer.enable_padding(pad_id=int(config.pad_token_id or 0))
    identity = folder_sha256(folder)
    return TextClassifier(
        name=folder.name,
        identity=identity,
        description=(
            f"{config.model_type} with {parameters_of(model):,} weights; "
            f"reads {most} tokens of a text at most"
        ),
        head=head,
        model=model,
        tokenizer=tokenizer,
        order=_order(config, head.names, printable(config_file)),
        rows=rows,
        texts=tuple(texts),
        progress=progress,
    )


def _order(config: Any, names: tuple[str, ...], where: str) -> tuple[int, ...]:
    """Return the output for each class.

    Raises:
        TeacherError: if there are more or fewer.
    """
    count = int(config.num_labels)
    if count != len(names):
        raise TeacherError(
            f"teacher {where}: tells {count} classes apart, and the data has {len(names)} "
            f"({printable(', '.join(names[:5]))}{', ...' if len(names) > 5 else ''})"
        )
    own = {str(label).casefold(): int(number) for number, label in config.id2label.items()}
    if set(own) == {name.casefold() for name in names}:
        return tuple(own[name.casefold()] for name in names)
    return tuple(range(count))


def _least_weights(config: Any, where: str) -> int:
    del where
    hidden, layers = int(config.hidden_size), int(config.num_hidden_layers)
    return int(hidden * (int(config.vocab_size) + 4 * layers * hidden))
