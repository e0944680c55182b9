"""A network with all that is known of what goes in and what comes out, from a run or a file."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwkd.core.head import Head, OutputKind
    from hwkd.core.metric import Scores
    from hwkd.core.pipeline_record import PipelineRecord
    from hwkd.core.reading import Reading
    from hwkd.deploy.student_facts import AnswerFacts
    from hwkd.inference.lite_rt import LiteRtModel


def subject_of(model: Path, *, dtype: str = "int8", task: str | None = None) -> "Subject":
    """Return a run, a student's folder, an ONNX or a .tflite file.

    Args:
        dtype: which file of a folder.
        task: of a file that does not say it.

    Raises:
        HwkdError: in one line, if there is no such network, or it does not say enough.
    """
    return _of_file(model, task) if model.is_file() else _of_folder(model, dtype, task)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network with all that is known of what goes in and what comes out.

    Attributes:
        reported: its scores on the test split of its own data; None where no record says so.
        content: `DataRecord.content_fingerprint` of its own data; None where no record says so.
        judged_by: name of the metric that it was chosen by; None where no record says so.
        lite: runs a .tflite file; None of ONNX.
    """

    name: str
    path: Path
    model: bytes
    task: Any
    reading: "Reading"
    record: Any = None
    rate_hz: float | None = None
    answers: "AnswerFacts | None" = None
    reported: "Scores | None" = None
    content: str | None = None
    judged_by: str | None = None
    lite: "LiteRtModel | None" = None

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """Of one raw input, without batch; channels first where they are pictures."""
        if self.record is not None:
            return tuple(self.record.raw_shape)
        if self.lite is not None:
            shape = self.lite.input_shape
            return (shape[-1], *shape[:-1]) if len(shape) == 3 else shape
        return tuple(size for size in self._session.get_inputs()[0].shape[1:])

    @cached_property
    def _session(self) -> Any:
        from hwkd.core.errors import ModelFileError, first_line
        from hwkd.inference.sessions import start_session

        try:
            session = start_session(self.model, says="nothing")
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
            raise ModelFileError(
                f"{self.name}: ONNX Runtime cannot load it: {first_line(error)}"
            ) from error
        if len(session.get_inputs()) != 1:
            given = ", ".join(source.name for source in session.get_inputs()) or "none"
            raise ModelFileError(f"{self.name}: has the inputs {given}; expected one")
        return session

    def require_like_training(self, inputs: "NDArray[Any]", *, where: str) -> None:
        """Refuse raw inputs of another scale than those of the training, where that is known.

        Raises:
            DataError: with both ranges.
        """
        from hwkd.signals.pipeline import Pipeline
        from hwkd.tasks.layouts import reordered
        from hwkd.tasks.split_differences import require_like_train

        if self.record is not None:
            shaped = reordered(inputs, self.raw_shape)
            require_like_train(shaped, Pipeline.of(self.record), where=where)

    def has_seen(self, inputs: "NDArray[Any]") -> bool:
        """Tell whether raw inputs are those of the run, most of which it learned from."""
        from hwkd.tasks.layouts import reordered
        from hwkd.tasks.repeats import content_fingerprint

        return self.content is not None and self.content == content_fingerprint(
            [reordered(inputs, self.raw_shape)]
        )

    def prepare(self, inputs: "NDArray[Any]") -> "NDArray[np.float32]":
        """Return what the network is given."""
        import numpy as np

        from hwkd.api.student import Network

        if self.record is not None:
            return Network(model=self.model, pipeline=self.record).prepared(inputs)
        shape = self.raw_shape
        if shape and all(isinstance(size, int) for size in shape) and inputs.shape[1:] != shape:
            inputs = _as_shaped(inputs, shape)
        return inputs.astype(np.float32)

    def answer(self, prepared: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """Return the network's outputs as its head takes them, see `hwkd.core.head.Head`.

        Raises:
            ModelFileError: if it cannot be run on them, or gives what is no number or no map.
        """
        import numpy as np

        from hwkd.core.errors import ModelFileError
        from hwkd.deploy.sessions import predict

        try:
            if self.lite is not None:
                outputs = self.lite.predict(_as_shaped(prepared, self.lite.input_shape))
            else:
                outputs = predict(self._session, prepared)
        except ModelFileError as error:
            raise ModelFileError(f"{self.name}: {error}") from None
        if np.isnan(outputs).any():
            raise ModelFileError(f"{self.name}: gives NaN; a score of that would say nothing")
        if not self._kind.of_maps:
            return outputs.reshape(len(outputs), -1)
        # A .tflite file has channels last.
        maps = np.moveaxis(outputs, -1, 1) if self.lite is not None else outputs
        expected = tuple(side // self._kind.cell_pixels for side in prepared.shape[2:])
        if maps.shape[2:] != expected:
            raise ModelFileError(
                f"{self.name}: gives outputs of shape {outputs.shape[1:]} for an input; expected "
                f"{self._kind.name}, maps of height and width {expected}"
            )
        return maps

    @property
    def _kind(self) -> "OutputKind":
        from hwkd.io.discovery import output_kind

        return output_kind(self.task.kind if self.answers is None else self.answers.kind)

    def head(self, labels: "NDArray[Any]", outputs: int) -> "Head":
        """Return what the outputs mean; of a foreign file, as many as the data has classes."""
        import numpy as np

        from hwkd.core.errors import DataError
        from hwkd.core.head import OutputForm, value_names

        if self.answers is not None:
            return self.answers.head()
        if not self._kind.of_classes:
            plain = OutputForm(
                names=value_names(outputs), mean=(0.0,) * outputs, std=(1.0,) * outputs
            )
            return self._kind.head(plain)
        names = tuple(str(name) for name in np.unique(labels))
        if len(names) != outputs:
            raise DataError(
                f"{self.name}: has {outputs} outputs and the data {len(names)} classes "
                f"({', '.join(names[:6])}); give data of the classes that it tells apart"
            )
        return self._kind.head(OutputForm(names=names))


def _as_shaped(inputs: "NDArray[Any]", shape: tuple[int, ...]) -> "NDArray[Any]":
    """Return inputs in the only order of axes that a foreign file takes.

    Raises:
        DataError: if none is of its shape.
    """
    import numpy as np

    from hwkd.tasks.layouts import reordered

    if inputs.shape[1] == 1 and inputs.ndim == len(shape) + 2:
        inputs = inputs[:, 0]  # a signal that was read as a grey picture
    last = np.moveaxis(inputs, 1, -1)
    if last.shape[1:] == shape != inputs.shape[1:]:
        return last
    return reordered(inputs, shape)


def _task_named(name: str) -> Any:
    from hwkd.core import catalog
    from hwkd.io.discovery import discover

    discover("hwkd.tasks")
    return catalog.TASKS.get(name)


def _of_file(path: Path, task: str | None) -> Subject:
    """Return an ONNX or .tflite file with what it says of itself, if hwkd exported it."""
    from hwkd.core.choices import TASK
    from hwkd.core.errors import ModelFileError
    from hwkd.core.reading import AS_USUAL
    from hwkd.deploy.student_facts import METADATA_KEY, read_facts
    from hwkd.inference.lite_rt import LiteRtModel, is_tflite

    try:
        content, lite = path.read_bytes(), None
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}; give a file to read") from error
    if is_tflite(content):
        lite = LiteRtModel(content, name=str(path))
        said = lite.metadata()
    else:
        content, said = _whole_onnx(path, content)
    facts = read_facts(said.get(METADATA_KEY, "{}"), where=str(path))
    if facts is not None:
        _require_pipeline(facts.preprocessing, path)
    rate_hz = None if facts is None else facts.data.sample_rate_hz
    return Subject(
        name=str(path),
        path=path,
        model=content,
        task=_task_named((None if facts is None else facts.data.task) or task or TASK),
        reading=AS_USUAL.model_copy(update={"trained_rate_hz": rate_hz}),
        record=None if facts is None else facts.preprocessing,
        rate_hz=rate_hz,
        answers=None if facts is None else facts.answer,
        judged_by=facts.measured.metrics[0].name if facts and facts.measured.metrics else None,
        lite=lite,
    )


def _whole_onnx(path: Path, content: bytes) -> tuple[bytes, dict[str, str]]:
    """Return an ONNX file with its weights in it, and what it says of itself."""
    import onnx

    from hwkd.core.errors import ModelFileError, first_line
    from hwkd.trace.onnx_whole import take_in_weights

    try:
        model = onnx.load_from_string(content)
    except Exception as error:  # onnx raises what protobuf raises
        raise ModelFileError(f"{path}: no ONNX model ({first_line(error)})") from error
    if take_in_weights(model, path):
        content = model.SerializeToString(deterministic=True)
    return content, {prop.key: prop.value for prop in model.metadata_props}


def _require_pipeline(record: "PipelineRecord", path: Path) -> None:
    from hwkd.core.errors import ModelFileError, RunFolderError
    from hwkd.signals.pipeline import Pipeline

    try:
        Pipeline.of(record)
    except RunFolderError as error:
        raise ModelFileError(f"{path}: {error}; export it again") from None


def _of_folder(folder: Path, dtype: str, task: str | None) -> Subject:
    """Return the student of a run or a folder, read as its run was."""
    from hwkd.core.errors import ConfigError
    from hwkd.core.reading import AS_USUAL
    from hwkd.deploy.student_facts import AnswerFacts, student_facts
    from hwkd.engine.setup.config import SearchConfig
    from hwkd.io.paths import require_there
    from hwkd.io.run_files import CONFIG_FILE
    from hwkd.io.student_folder import FLOAT_FILE, INT8_FILE, read_student

    require_there(folder, "a run, a student's folder, an .onnx or .tflite file")
    if task is not None:
        raise ConfigError(f"--task {task}: the run says its task; leave it out")
    student = read_student(folder)
    run = student.record.run
    if run is None:
        raise ConfigError(f"{folder}: does not say how its inputs are prepared; give a run")
    config, tested = folder / CONFIG_FILE, None
    features = student.record.spec.features
    if run.final is not None:
        scores = run.final.scores
        tested = scores.test_int8 if dtype == "int8" else scores.test_float
    reading = AS_USUAL
    if config.is_file():
        reading = SearchConfig.from_toml(config).in_setting(features).reading
    path = student.file(INT8_FILE if dtype == "int8" else FLOAT_FILE)
    return Subject(
        name=str(folder),
        path=path,
        model=path.read_bytes(),
        task=_task_named(run.data.task),
        reading=reading.model_copy(update={"trained_rate_hz": run.data.sample_rate_hz}),
        record=run.data.pipeline,
        rate_hz=run.data.sample_rate_hz,
        answers=AnswerFacts.model_validate(student_facts(student.record)["answer"]),
        reported=tested,
        content=run.data.content_fingerprint,
        judged_by=run.data.metric.name,
    )
