"""What a worker process is told to train, and what it leaves: the files of one training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import RootModel, ValidationError, model_validator

from hwkd.core.final_record import QuantisationChoiceRecord, ReachedRecord
from hwkd.core.old_records import with_scores
from hwkd.core.strict_model import StoredInt, StrictModel, read_record
from hwkd.core.student_record import StoredNetwork
from hwkd.core.trial import EpochRecord, ObjectiveRecord, StoredSpec
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.screening import Candidate
from hwkd.io.run_text import write_text
from hwkd.io.student_folder import StudentFiles

_FOLDER, _ALL_FOLDER = "final", "all_examples"
# Number of the trial of what no search proposed.
NOT_SEARCHED = -1
ORDER_FILE, RESULT_FILE, HISTORY_FILE = "job.json", "scores.json", "history.json"


class ArmResult(ReachedRecord):
    """What a training reached.

    Attributes:
        objective: terms on validation, int8; None in files of older versions.
        varied_error: mean error of the int8 file on validation examples varied as in training;
            None where that was not asked (see `hwkd.engine.arms.varied`).
        samples_seen: in the training; None likewise.
        quantisation: how the int8 file was chosen; None when another version trained it.
    """

    seed: StoredInt
    objective: ObjectiveRecord | None = None
    varied_error: float | None = None
    samples_seen: StoredInt | None = None
    quantisation: QuantisationChoiceRecord | None = None

    @model_validator(mode="before")
    @classmethod
    def _reads_older_runs(cls, raw: Any) -> Any:
        return with_scores(raw, {n: n for n in ("validation_int8", "test_float", "test_int8")})


class ArmOrder(StrictModel):
    """One training: an arm of a student, and its place among those of a run.

    Data, teacher and methods are those of the run, whose folder the worker is given too.

    Attributes:
        trial: that proposed the network; `NOT_SEARCHED` where nothing was searched.
        network: that the spec makes; None leaves it to the run's search space.
        arm: its name, see `hwkd.engine.arms.recipes.arms_of`.
        processes: that run at the same time, to share the cores.
        epochs: length of the training, at most.
        loses_in_int8: training with simulated rounding will probably follow, and needs its time.
        start_from: file with the weights that it begins with; None draws them.
        goes_on: name of what the run folder held, whose weights those are; empty where it is none.
        samples_before: that those weights had seen, of a training that was cut off.
        learns_all: once scored, it learns from validation, too, where that was taken from train.
        budget_s: time for training, quantising and scoring; None is as long as it takes.
        end_s: when it must be done, by the system's monotonic clock; None likewise.
    """

    name: str
    trial: StoredInt = NOT_SEARCHED
    spec: StoredSpec
    network: StoredNetwork | None = None
    repetition: StoredInt
    arm: str
    processes: StoredInt
    epochs: StoredInt
    loses_in_int8: bool = False
    start_from: str | None = None
    goes_on: str = ""
    samples_before: StoredInt = 0
    learns_all: bool = False
    budget_s: float | None = None
    end_s: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _reads_older_runs(cls, raw: Any) -> Any:
        """Older versions called the arm a recipe."""
        if not isinstance(raw, dict) or "recipe" not in raw:
            return raw
        return {("arm" if name == "recipe" else name): value for name, value in raw.items()}

    @staticmethod
    def name_of(arm: str, repetition: int, trial: int) -> str:
        """Return a name for a training: a part of a file name."""
        words = arm.replace(",", "").replace(" ", "-")
        return f"{words}{repetition}" if trial < 0 else f"{words}{repetition}-{trial}"

    @property
    def full_name(self) -> str:
        """Name network, length and way of training: different for different trainings."""
        length = (
            f"{self.epochs}" if self.budget_s is None else f"{self.epochs}-in-{self.budget_s:.0f}s"
        )
        return f"{self.spec.key}-{length}-{self.name}"


class _Epochs(RootModel[tuple[EpochRecord, ...]]):
    """The terms of a training, epoch by epoch."""


def order_candidate(order: ArmOrder, context: SearchContext) -> Candidate:
    """Return the student of an order with its cost."""
    if order.network is None:
        return context.given.candidate(order.spec)
    return context.given.costed(order.spec, order.network)


def order_folder(run: Path, order: ArmOrder) -> Path:
    """Return the folder with the files of a training, in the folder of its run."""
    return run / _FOLDER / order.full_name


def student_files(folder: Path, result: ArmResult) -> StudentFiles:
    """Return the files of what a training reached; those before all examples lie beside them."""
    return StudentFiles(folder if result.all_examples is None else folder / _ALL_FOLDER)


def write_order(run: Path, order: ArmOrder) -> Path:
    """Write an order into its folder, which is returned."""
    folder = order_folder(run, order)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / ORDER_FILE, order.model_dump_json())
    return folder


def write_result(folder: Path, result: ArmResult, epochs: Sequence[EpochRecord]) -> None:
    """Write the history and then the result: a training that has one is over."""
    write_text(folder / HISTORY_FILE, _Epochs(tuple(epochs)).model_dump_json())
    write_text(folder / RESULT_FILE, result.model_dump_json())


def read_result(folder: Path) -> ArmResult | None:
    """Return the result of a training; None if it has not finished."""
    path = folder / RESULT_FILE
    if not path.is_file():
        return None
    return read_record(ArmResult, path.read_bytes(), where=str(path), what="result of a training")


def result_history(folder: Path) -> tuple[EpochRecord, ...]:
    """Return the terms of a training, epoch by epoch; none if an older version trained it."""
    path = folder / HISTORY_FILE
    if not path.is_file():
        return ()
    text = path.read_bytes()
    return read_record(_Epochs, text, where=str(path), what="history of a training").root


def finished_orders(run: Path) -> Iterator[tuple[ArmOrder, ArmResult]]:
    """Give every training in a run's folder that finished, of earlier calls as well."""
    for folder, order in _orders_in(run):
        result = read_result(folder)
        if result is not None:
            yield order, result


def unfinished_orders(run: Path) -> Iterator[ArmOrder]:
    """Give every training in a run's folder that began and has no result."""
    for folder, order in _orders_in(run):
        if read_result(folder) is None:
            yield order


def _orders_in(run: Path) -> Iterator[tuple[Path, ArmOrder]]:
    for path in sorted((run / _FOLDER).glob(f"*/{ORDER_FILE}")):
        # One that was cut off while it was written has no result either.
        with suppress(OSError, ValidationError):
            yield path.parent, ArmOrder.model_validate_json(path.read_bytes())
