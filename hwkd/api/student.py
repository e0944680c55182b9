"""The best student of a run as an object that answers and is judged on further data."""

from __future__ import annotations

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
from hwkd.core.soft_answers import probabilities
from hwkd.core.student import StudentSpec
from hwkd.core.verdict_record import Verdict
from hwkd.core.verification import VerificationRecord

if TYPE_CHECKING:
    from hwkd.core.head import Head
    from hwkd.tasks.base import Task
    from hwkd.tasks.raw import RawSplit

_INT8, _FLOAT = "int8", "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network file with what happens to a raw input before it.

    Attributes:
        model: ONNX, as bytes.
    """

    model: bytes
    pipeline: PipelineRecord

    def prepared(self, inputs: Any) -> NDArray[np.float32]:
        """Return what the network is given for raw inputs, shape [n, *input_shape].

        Raises:
            DataError: if inputs have another shape than those of the training, or are not finite.
        """
        from hwkd.io.stored_arrays import plain_array
        from hwkd.signals.pipeline import Pipeline
        from hwkd.tasks.checks import require_values
        from hwkd.tasks.layouts import reordered

        pipeline = Pipeline.of(self.pipeline)
        raw = reordered(plain_array(inputs, "inputs"), pipeline.raw_shape)
        require_values(raw, "data:")
        return pipeline.apply(raw)

    def of_prepared(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what it computes of `prepared` inputs."""
        from hwkd.deploy.sessions import predict
        from hwkd.inference.sessions import start_session

        return predict(start_session(self.model), inputs)

    def outputs(self, inputs: Any) -> NDArray[np.float32]:
        """Return what it computes, shape [n, outputs]: logits of classes, or standardised values.

        Args:
            inputs: raw.

        Raises:
            DataError: as `prepared`.
        """
        return self.of_prepared(self.prepared(inputs))


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
        """Return the label of the likeliest class of each input, or its values in their unit.

        Labels are whole numbers where those of all classes are, else texts.

        Raises:
            DataError: as `Network.prepared`.
        """
        network = self.network()
        prepared = network.prepared(inputs)
        return self._head.answers(network.of_prepared(prepared), prepared)

    def predict_proba(self, inputs: Any) -> NDArray[np.float64]:
        """Return the probability of each class, shape [n, classes]; rows sum to 1.

        Raises:
            DataError: if the student gives values, which have none.
        """
        if not self._head.kind.of_classes:
            raise DataError("predict_proba: the student gives values; ask predict")
        return probabilities(self.outputs(inputs))

    def evaluate(self, data: str | Path | Arrays, *, dtype: str = _INT8) -> Scores:
        """Return the task's scores on labelled data, as "accuracy" -> 0.93.

        Args:
            data: a pair of inputs and labels; or as `hwkd.search` takes it, of which the test split
                counts where there is one, else everything.
            dtype: of the file that is judged: "int8", which ships, or "float32".

        Raises:
            DataError: if the data is not like that of the training.
        """
        from hwkd.tasks.class_numbers import numbered_as

        head = self._head
        given = self._examples(data)
        if len(given.inputs) != len(given.labels) or not len(given.labels):
            raise DataError(
                f"data: {len(given.inputs):,} inputs but {len(given.labels):,} labels; give one "
                "label per input"
            )
        network = self.network(dtype)
        prepared = network.prepared(given.inputs)
        targets = head.targets(numbered_as(head, given), prepared)
        return head.scores(network.of_prepared(prepared), targets, given.wholes)

    @property
    def _head(self) -> Head:
        from hwkd.core.head import OutputForm
        from hwkd.io.discovery import output_kind

        data = self.data
        form = OutputForm(names=self.labels, mean=data.answer_mean, std=data.answer_std)
        return output_kind(data.kind).head(form).at(self.final.decision)

    def _examples(self, data: str | Path | Arrays) -> RawSplit:
        from hwkd.core import catalog
        from hwkd.core.reading import AS_USUAL
        from hwkd.io.discovery import discover
        from hwkd.io.stored_arrays import named_arrays, path_of_data
        from hwkd.tasks.raw import RawSplit

        if isinstance(data, tuple):
            inputs, labels = named_arrays(data).values()
            return RawSplit(inputs=inputs, labels=labels)
        discover("hwkd.tasks")
        task: Task = catalog.TASKS.get(self.data.task)
        shape = self.data.pipeline.raw_shape
        reading = AS_USUAL.model_copy(update={"trained_rate_hz": self.data.sample_rate_hz})
        return task.labelled(Path(path_of_data(data) or ""), reading, raw_shape=shape)
