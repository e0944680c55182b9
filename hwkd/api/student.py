"""The best student of a run as an object that answers and is judged on further data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.choices import Arrays
from hwkd.core.errors import DataError
from hwkd.core.final_record import FinalRecord
from hwkd.core.metric import Scores, ScoresRecord
from hwkd.core.pipeline_record import PipelineRecord
from hwkd.core.run_record import DataRecord
from hwkd.core.student import StudentSpec
from hwkd.core.verdict_record import Verdict
from hwkd.core.verification import VerificationRecord

if TYPE_CHECKING:
    from hwkd.core.head import Head

_INT8, _FLOAT = "int8", "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network file with what happens to a raw input before it.

    Attributes:
        model: ONNX, as bytes.
    """

    model: bytes
    pipeline: PipelineRecord

    def outputs(self, inputs: Any) -> NDArray[np.float32]:
        """Return what it computes, shape [n, outputs]: logits of classes, or standardised values.

        Raises:
            DataError: if inputs have another shape than those of the training.
        """
        from hwkd.deploy.sessions import predict
        from hwkd.inference.sessions import start_session
        from hwkd.io.stored_arrays import plain_array
        from hwkd.signals.pipeline import Pipeline
        from hwkd.tasks.layouts import reordered

        pipeline = Pipeline.of(self.pipeline)
        raw = reordered(plain_array(inputs, "inputs"), pipeline.raw_shape)
        return predict(start_session(self.model), pipeline.apply(raw))


def probabilities_of(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the softmax of each row, in double precision."""
    from scipy.special import softmax

    probabilities: NDArray[np.float64] = softmax(logits.astype(np.float64), axis=1)
    return probabilities


@dataclass(frozen=True, kw_only=True)
class Student:
    """A student that was trained in full.

    It runs in ONNX Runtime on raw inputs: the preprocessing of its training is applied here. Inputs
    are arrays, tensors, data frames or lists, one example after another, with the axes as they were
    given for training.
    """

    folder: Path
    final: FinalRecord
    data: DataRecord

    @property
    def spec(self) -> StudentSpec:
        """Search space and choices."""
        return self.final.spec

    @property
    def scores(self) -> ScoresRecord:
        """Validation and test scores of the float32 and the int8 file, from the end of the run."""
        return self.final.scores

    @property
    def verdict(self) -> Verdict:
        """What every way of training reached, which ships and what was gained."""
        return self.final.verdict

    @property
    def verification(self) -> VerificationRecord | None:
        """What its C computed on an emulated core; None if it was not asked for."""
        return self.final.verification

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each output, in order."""
        return self.data.class_names

    def network(self, dtype: str = _INT8) -> Network:
        """Return the network of one of the files, which needs the folder no longer.

        Args:
            dtype: "int8", which ships, or "float32".

        Raises:
            RunFolderError: if the file is missing or was changed.
        """
        from hwkd.io.student_folder import FLOAT_FILE, INT8_FILE, read_student

        files = {_INT8: INT8_FILE, _FLOAT: FLOAT_FILE}
        if dtype not in files:
            raise DataError(f"dtype: {dtype!r} is none of {', '.join(files)}")
        model = read_student(self.folder).file(files[dtype]).read_bytes()
        return Network(model=model, pipeline=self.data.pipeline)

    def outputs(self, inputs: Any, *, dtype: str = _INT8) -> NDArray[np.float32]:
        """Return what the network computes; see `Network.outputs`."""
        return self.network(dtype).outputs(inputs)

    def predict(self, inputs: Any) -> NDArray[Any]:
        """Return the name of the likeliest class of each input, or its values in their unit."""
        return self._head().answers(self.outputs(inputs))

    def predict_proba(self, inputs: Any) -> NDArray[np.float64]:
        """Return the probability of each class, shape [n, classes]; rows sum to 1.

        Raises:
            DataError: if the student gives values, which have none.
        """
        if self.data.kind != "classes":
            raise DataError("predict_proba: the student gives values; ask predict")
        return probabilities_of(self.outputs(inputs))

    def evaluate(self, data: str | Path | Arrays, *, dtype: str = _INT8) -> Scores:
        """Return the task's scores on labelled data, as "accuracy" -> 0.93.

        Args:
            data: a pair of inputs and labels; or as `hwkd.search` takes it, of which the test split
                counts where there is one, else everything.
            dtype: of the file that is judged: "int8", which ships, or "float32".

        Raises:
            DataError: if the data is not like that of the training.
        """
        head = self._head()
        inputs, labels = self._examples(data)
        if len(inputs) != len(labels) or not len(labels):
            raise DataError(
                f"data: {len(inputs):,} inputs but {len(labels):,} labels; give one label per input"
            )
        return head.scores(self.outputs(inputs, dtype=dtype), self._targets(labels, head))

    def _examples(self, data: str | Path | Arrays) -> tuple[NDArray[Any], NDArray[Any]]:
        from hwkd.io.stored_arrays import named_arrays, path_of_data
        from hwkd.tasks.regression import read_values
        from hwkd.tasks.sources import read_source

        if isinstance(data, tuple):
            inputs, labels = named_arrays(data).values()
            return inputs, labels
        path = Path(path_of_data(data) or "")
        if self.data.kind == "classes":
            shape = self.data.pipeline.raw_shape
            size = (shape[1], shape[2]) if path.is_dir() and len(shape) == 3 else None
            raw = read_source(path, input_size=size)
        else:
            raw, _ = read_values(path, "auto")
        split = raw.test or raw.train
        names = np.array(raw.class_names)
        return split.inputs, names[split.labels] if len(names) else split.labels

    def _head(self) -> Head:
        from hwkd.tasks.classes_head import ClassesHead
        from hwkd.tasks.values_head import ValuesHead

        if self.data.kind == "classes":
            return ClassesHead(names=self.labels)
        count = len(self.labels)
        return ValuesHead(
            names=self.labels,
            answer_mean=self.data.answer_mean,
            answer_std=self.data.answer_std,
            constant=(0.0,) * count,  # no score reads these two
            constant_error=(1.0,) * count,
        )

    def _targets(self, labels: NDArray[Any], head: Head) -> NDArray[Any]:
        if self.data.kind == "classes":
            return label_indices(labels, self.labels)
        wide = labels.reshape(len(labels), -1).astype(np.float64)
        scaled = (wide - np.array(head.answer_mean)) / np.array(head.answer_std)
        result: NDArray[Any] = scaled.astype(np.float32)
        return result


def label_indices(labels: NDArray[Any], names: Sequence[str]) -> NDArray[np.int64]:
    """Return the index of each label's class: by its name, else by its number from 0.

    Args:
        labels: names or whole numbers, shape [n] or [n, 1].
        names: of the classes, in order.

    Raises:
        DataError: if one is of no class.
    """
    known = {name: index for index, name in enumerate(names)}
    distinct, where = np.unique(labels.reshape(-1), return_inverse=True)
    texts = [str(int(one)) if _is_whole(one) else str(one) for one in distinct]
    if not set(texts) <= set(known):
        known = {str(index): index for index in range(len(names))} | known
    if strange := [text for text in texts if text not in known]:
        shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
        raise DataError(f"data: label {strange[0]!r} is of no class of the student ({shown})")
    indices: NDArray[np.int64] = np.array([known[text] for text in texts], dtype=np.int64)[where]
    return indices


def _is_whole(value: Any) -> bool:
    return np.issubdtype(type(value), np.number) and bool(value == np.floor(value))
