"""`--track`: every candidate of a search, and how it or a distillation ends, in a tracker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hwkd.core.choices import Tracker
from hwkd.core.errors import ConfigError
from hwkd.core.trial import TrialRecord
from hwkd.engine.run.listener import PassingListener, SearchListener

if TYPE_CHECKING:
    from hwkd.api.outcome import SearchOutcome

_EXPERIMENT = "hwkd"


class Sink(Protocol):
    """Where a tracker keeps the numbers of one run."""

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Keep numbers by name.

        Args:
            step: number of the candidate.
        """
        ...

    def close(self) -> None:
        """Write what is not written yet."""
        ...


class Tracked(PassingListener):
    """Passes everything on; candidates are told to the trackers too, each once."""

    def __init__(self, listener: SearchListener, sinks: Callable[[], Sequence[Sink]]) -> None:
        """Listen; the trackers are opened with the first candidate, when the run folder is there.

        Args:
            sinks: opens them, or returns those that are open.
        """
        super().__init__(listener)
        self._sinks, self._told = sinks, 0

    def on_records(self, records: Sequence[TrialRecord], total: int | None) -> None:
        """Hear all records so far."""
        super().on_records(records, total)
        for record in records[self._told :]:
            self.log(trial_numbers(record), record.number)
        self._told = len(records)

    def end(self, outcome: SearchOutcome) -> None:
        """Tell the scores of the student that ships."""
        if outcome.best is not None:
            scores = outcome.best.scores
            self.log(_named("test", scores.test_int8), outcome.best.final.trial)

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Tell every tracker."""
        for sink in self._sinks():
            sink.log(numbers, step)


def trial_numbers(record: TrialRecord) -> dict[str, float]:
    """Return what is known of a candidate, in SI units; what is unknown is left out."""
    cost, objective = record.cost, record.objective
    numbers = {
        "trained": float(record.state == "completed"),
        "objective": None if objective is None else objective.value,
        "error": None if objective is None else objective.task_error,
        "estimated/latency_s": None if cost is None else cost.latency_s,
        "estimated/peak_ram_bytes": None if cost is None else cost.peak_ram_bytes,
        "estimated/flash_bytes": None if cost is None else cost.flash_bytes,
    }
    known = {name: float(value) for name, value in numbers.items() if value is not None}
    scores = None if record.scores is None else record.scores.validation_int8
    return known | _named("validation", scores)


def require_trackers(names: Sequence[Tracker]) -> None:
    """Refuse a tracker whose package is not installed, before anything is computed.

    Raises:
        ConfigError: says what to install.
    """
    for name in names:
        if find_spec(name) is None:
            raise ConfigError(
                f"--track {name}: the package is not installed; pip install 'hwkd[{name}]'"
            )


@contextmanager
def tracked(listener: SearchListener, names: Sequence[Tracker], folder: Path) -> Iterator[Tracked]:
    """Give a listener that tells trackers what it hears, and close them at the end.

    Args:
        folder: of the run; TensorBoard's files lie in it, and MLflow's unless it has a server.
    """
    opened: list[Sink] = []
    with ExitStack() as stack:

        def sinks() -> Sequence[Sink]:
            if not opened:
                for name in names:
                    opened.append(_OPEN[name](folder))
                    stack.callback(opened[-1].close)
            return opened

        yield Tracked(listener, sinks)


def _named(split: str, scores: Mapping[str, float] | None) -> dict[str, float]:
    return {f"{split}/{name}": value for name, value in (scores or {}).items()}


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        writer: Any = import_module("torch.utils.tensorboard")
        self._writer = writer.SummaryWriter(str(folder / "tensorboard"))

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _MLflow:
    """A run of MLflow, at the server that MLFLOW_TRACKING_URI names or in the run folder."""

    def __init__(self, folder: Path) -> None:
        mlflow: Any = import_module("mlflow")
        is_elsewhere = mlflow.is_tracking_uri_set()
        address = None if is_elsewhere else f"sqlite:///{folder.resolve() / 'mlflow.db'}"
        artifacts = None if is_elsewhere else (folder / "mlflow").resolve().as_uri()
        self._client = mlflow.MlflowClient(tracking_uri=address)
        experiment = self._client.get_experiment_by_name(_EXPERIMENT)
        number = (
            self._client.create_experiment(_EXPERIMENT, artifact_location=artifacts)
            if experiment is None
            else experiment.experiment_id
        )
        self._run = self._client.create_run(number, run_name=folder.name).info.run_id

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        for name, value in numbers.items():
            self._client.log_metric(self._run, name, value, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._run)


class _WandB:
    """A run of Weights & Biases, with its own settings: WANDB_MODE=offline keeps it here."""

    def __init__(self, folder: Path) -> None:
        wandb: Any = import_module("wandb")
        self._run = wandb.init(project=_EXPERIMENT, name=folder.name, dir=str(folder))

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        self._run.log({**numbers, "trial": step})

    def close(self) -> None:
        self._run.finish()


_OPEN: Mapping[Tracker, Callable[[Path], Sink]] = {
    "tensorboard": _TensorBoard,
    "mlflow": _MLflow,
    "wandb": _WandB,
}
