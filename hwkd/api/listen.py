"""`hwkd.listen`: a recording through the int8 model, window by window, as the firmware hears it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from hwkd.api.option import Option, declares_options
from hwkd.core.units import Duration

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwkd.api.subject import Subject
    from hwkd.core.listening import ListenRule
    from hwkd.core.progress import Progress
    from hwkd.tasks.heard import Heard

# Windows that are prepared and run at once.
_PART = 64
# Sensors of one unit differ by less, also at rest and in haste.
_OTHER_SCALE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenOutcome:
    """Scores over time.

    Attributes:
        labels: name of each score.
        ends: after how many samples each inference was made.
        rate_hz: samples per second; None where nothing says it, then time is in samples.
        scores: of each inference, one for each label: mean probabilities, or distances.
        unit: what a score is.
        heard: number of the label of each inference whose score reached the threshold, or None.
        threshold: None where nothing is decided.
        smoothing: inferences that a score is the mean of.
        stride: samples from one inference to the next.
        picture: that was written; None if none was asked for.
        note: what a reader of the scores must know; None if nothing.
    """

    model: str
    recording: str
    labels: tuple[str, ...]
    ends: tuple[int, ...]
    rate_hz: float | None
    scores: tuple[tuple[float, ...], ...]
    unit: str
    heard: tuple[int | None, ...]
    threshold: float | None
    smoothing: int
    stride: int
    picture: Path | None = None
    note: str | None = None

    def moments(self) -> tuple[float, ...]:
        """Return when each inference was made: seconds, or samples where no rate is known."""
        return tuple(end / (self.rate_hz or 1.0) for end in self.ends)


StudentToHear = Annotated[
    str | Path,
    Option(
        "Run folder of `hwkd search`, folder of a finished student, or an int8 ONNX file that "
        "hwkd exported.",
        metavar="RUN|STUDENT|MODEL",
    ),
]
WavOption = Annotated[
    str | Path | None,
    Option("Recording to play; resampled to the rate of the training.", opens="a .wav"),
]
CsvOption = Annotated[
    str | Path | None,
    Option("Recording to play: a row for each moment, a column a channel.", opens="a .csv"),
]


Stride: TypeAlias = Annotated[
    Duration | None,
    Option(
        "Time from one inference to the next. Default: as exported, else a quarter of a window.",
        amount="250ms",
    ),
]
Smoothing: TypeAlias = Annotated[
    int | None,
    Option("How many inferences a score is the mean of. Default: as exported, else 3.", minimum=1),
]
Threshold: TypeAlias = Annotated[
    str | None,
    Option(
        "Mean probability from which a label is heard. Default: as exported, else 70%.",
        amount="70%",
    ),
]


@declares_options
def listen(
    run: StudentToHear,
    *,
    wav: WavOption = None,
    csv: CsvOption = None,
    stride: Stride = None,
    smoothing: Smoothing = None,
    threshold: Threshold = None,
    png: Annotated[str | Path | None, Option("Picture to write, scores over time.")] = None,
    progress: "Progress | None" = None,
) -> ListenOutcome:
    """Play a recording through the exported int8 model and show scores over time.

    Windows, smoothing and threshold are those of `model_process` in the exported C, with its very
    integers. Of a run that finds anomalies the score is the distance and the threshold its own.

    Args:
        progress: is told about every stage; None is silence.

    Raises:
        HwkdError: in one line, if model or recording cannot be used.
    """
    from dataclasses import replace

    from hwkd.api.search_config import seconds, share
    from hwkd.api.subject import subject_of
    from hwkd.core.progress import silent

    recording = _only_recording(wav, csv)
    picture = _free_picture(png)
    subject = subject_of(Path(run))
    signal, rate_hz = _signal(subject, recording, is_wav=wav is not None)
    found = _heard(
        subject,
        signal,
        rate_hz,
        asked=(seconds(stride, "--stride"), smoothing, share(threshold, "--threshold")),
        progress=progress or silent,
    )
    found = replace(found, recording=str(recording))
    if picture is not None:
        from hwkd.report.listening_png import write_listening_png

        write_listening_png(found, picture)
    return replace(found, picture=picture)


def _only_recording(wav: str | Path | None, csv: str | Path | None) -> Path:
    from hwkd.core.errors import ConfigError

    if (wav is None) == (csv is None):
        raise ConfigError("give one recording: --wav FILE or --csv FILE")
    return Path(str(wav or csv))


def _free_picture(png: str | Path | None) -> Path | None:
    from hwkd.core.errors import ConfigError

    if png is not None and Path(png).exists():
        raise ConfigError(f"--png {png}: is there already; name another file")
    return None if png is None else Path(png)


def _signal(subject: "Subject", path: Path, *, is_wav: bool) -> tuple["NDArray[Any]", float | None]:
    """Return what is played, shape [channels, samples], as the data has it, and its rate."""
    from hwkd.core.errors import ConfigError, DataError
    from hwkd.core.printable import printable
    from hwkd.signals.pipeline import Pipeline

    shape, pipeline = subject.raw_shape, subject.record and Pipeline.of(subject.record)
    if pipeline is None or len(shape) != 2 or pipeline.is_text:
        raise ConfigError(
            f"{subject.name}: takes inputs of {' x '.join(map(str, shape))} and does not say how "
            "signals become those; listen plays recordings to networks of signals that hwkd made"
        )
    signal, rate_hz = (_of_wav if is_wav else _of_csv)(subject, path)
    if signal.shape[1] < shape[1]:
        raise DataError(
            f"{printable(path)}: {signal.shape[1]:,} samples, shorter than one window of "
            f"{shape[1]:,}"
        )
    return signal, rate_hz


def _of_wav(subject: "Subject", path: Path) -> tuple["NDArray[Any]", float | None]:
    from hwkd.core.errors import ConfigError
    from hwkd.tasks.sources import reading as opened
    from hwkd.tasks.wav import at_rate, read_wav

    channels = subject.raw_shape[0]
    if channels != 1:
        raise ConfigError(f"--wav {path}: the network takes {channels} channels; use --csv")
    if subject.rate_hz is None:
        raise ConfigError(f"{subject.name}: does not say the rate of its data; use --csv")
    with opened(path, takes="a WAV file"):
        return at_rate(read_wav(path), subject.rate_hz)[None], subject.rate_hz


def _of_csv(subject: "Subject", path: Path) -> tuple["NDArray[Any]", float | None]:
    import numpy as np

    from hwkd.core.errors import DataError
    from hwkd.core.printable import printable
    from hwkd.tasks.recordings import is_other_rate, read_signal

    signal, told_hz = read_signal(path, subject.raw_shape[0])
    kind = np.dtype(subject.record.raw_dtype)
    if told_hz and subject.rate_hz and is_other_rate(told_hz, subject.rate_hz):
        raise DataError(
            f"{printable(path)}: recorded at {told_hz:g} Hz, the network's data at "
            f"{subject.rate_hz:g} Hz; record at that rate"
        )
    if kind.kind in "iu":
        ends = np.iinfo(kind)
        if not np.array_equal(signal, np.clip(np.rint(signal), ends.min, ends.max)):
            raise DataError(
                f"{printable(path)}: the network takes whole numbers of {kind}, as its sensor "
                "gives them"
            )
    return signal.astype(kind), subject.rate_hz or told_hz


def _heard(
    subject: "Subject",
    signal: "NDArray[Any]",
    rate_hz: float | None,
    *,
    asked: tuple[float | None, int | None, float | None],
    progress: "Progress",
) -> ListenOutcome:
    from dataclasses import replace

    import numpy as np

    from hwkd.engine.arms.export import raw_input
    from hwkd.signals.listening import windows_of

    window = subject.raw_shape[1]
    stride_s, smoothing, threshold = asked
    form = raw_input(subject.record).frames
    grid = 1 if form is None else form.stride
    usual = _usual_rule(subject, window, grid)
    stride = usual.stride
    if stride_s is not None:
        stride = _samples(stride_s, rate_hz, window, grid)
    count = (signal.shape[1] - window) // stride + 1
    outputs, inputs = [], []
    for part in windows_of(signal, window, stride, most=_PART):
        inputs.append(subject.prepare(part))
        outputs.append(subject.answer(inputs[-1]))
        progress("listen", min(count, _PART * len(outputs)), count)
    rule = replace(
        usual,
        stride=stride,
        smoothing=smoothing or usual.smoothing,
        threshold=usual.threshold if threshold is None else round(1000 * threshold),
    )
    found = _scored(subject, np.concatenate(outputs), np.concatenate(inputs), rule)
    return ListenOutcome(
        model=subject.name,
        recording="",
        labels=found.labels,
        ends=tuple(range(window, window + count * stride, stride)),
        rate_hz=rate_hz,
        scores=tuple(map(tuple, found.scores.tolist())),
        unit=found.unit,
        heard=found.heard,
        threshold=found.threshold,
        smoothing=rule.smoothing if found.unit == "probability" else 1,
        stride=stride,
        note=_doubt_of_scale(subject, signal, inputs),
    )


def _doubt_of_scale(
    subject: "Subject", signal: "NDArray[Any]", inputs: "list[NDArray[np.float32]]"
) -> str | None:
    """Say where what is heard is far larger or smaller than what was learned from.

    Args:
        inputs: windows as the network reads them, which of training are about 1 in each channel.
    """
    import numpy as np

    whole = np.concatenate(inputs).astype(np.float64)
    axes = (0, *range(2, whole.ndim))
    size, spread = np.sqrt(np.square(whole).mean(axis=axes)).max(), whole.std(axis=axes).min()
    low, high = float(signal.min()), float(signal.max())
    known = subject.record.raw_low, subject.record.raw_high
    ratio = max(abs(low), abs(high)) / max(*map(abs, known), np.finfo(float).tiny)
    # A recording of rest is small in some of these, and counts of turns know no scale.
    is_small = ratio < 1.0 / _OTHER_SCALE and min(size, spread) < 1.0 / _OTHER_SCALE
    if not is_small and (size < _OTHER_SCALE or ratio < _OTHER_SCALE):
        return None
    return (
        f"values of the recording lie between {low:.4g} and {high:.4g}, and the network learned "
        f"from {known[0]:.4g} to {known[1]:.4g}; if they are in another unit, as mg for g, the "
        "scores say nothing"
    )


def _usual_rule(subject: "Subject", window: int, grid: int) -> "ListenRule":
    """Return what the exported C listens by."""
    from hwkd.core.listening import listen_rule
    from hwkd.io.discovery import output_kind

    said = subject.answers
    if said is None:
        return listen_rule(window, grid, None, ())
    decision = said.decision if output_kind(said.kind).of_classes else None
    return listen_rule(window, grid, decision, said.labels)


def _samples(stride_s: float, rate_hz: float | None, window: int, grid: int) -> int:
    from hwkd.core.errors import ConfigError

    if rate_hz is None:
        raise ConfigError(
            "--stride: neither the network nor the recording says the samples per second; give "
            "the CSV a column `time`, or leave --stride out"
        )
    stride = round(stride_s * rate_hz / grid) * grid
    if not 1 <= stride <= window:
        raise ConfigError(
            f"--stride {stride_s:g}s: {stride:,} samples; expected 1 to a window, {window:,}"
        )
    return stride


def _scored(
    subject: "Subject", outputs: "NDArray[np.float32]", inputs: "NDArray[np.float32]", rule: Any
) -> "Heard":
    import numpy as np

    from hwkd.qgraph.read_qdq import read_qdq
    from hwkd.tasks.heard import heard_classes, heard_values

    head = subject.head(np.zeros(1), outputs.shape[1])
    if not head.kind.of_classes:
        return heard_values(head, outputs, inputs)
    graph = read_qdq(subject.path)
    end = graph.tensors[next(iter(graph.outputs.values()))]
    return heard_classes(head, outputs, rule, output_scale=float(end.scale))
