"""A grid of trainings that can be killed and gone on with: one line of JSONL per finished cell."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from benchmarks.distill.setup import Labels, Place, load_data, student, teacher, transfer
from benchmarks.lib.worker_pool import worker_pool
from hwkd.core import catalog
from hwkd.core.verdict_record import Gain
from hwkd.distill.spec import WeightedMethod, parse_method
from hwkd.engine.arms.evaluation import train_student
from hwkd.engine.arms.recipes import Arm
from hwkd.engine.arms.verdict import best_control, paired_gain
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.context import make_context
from hwkd.engine.setup.loaded_set import teacher_source
from hwkd.engine.setup.trainings import full_training
from hwkd.nn.build import StudentModule
from hwkd.tasks.base import SplitName, TaskData
from hwkd.train.config import TrainConfig
from hwkd.train.loop import predict_logits
from hwkd.train.seeding import derive_seed

_LEARNING_RATE = 0.02
# Applied to the labels alone, with their temperature and weight.
NO_TEACHER = "no teacher, "
CONTROLS = ("cross-entropy", "label_smoothing", f"{NO_TEACHER}lskd")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training: everything that its score depends on.

    Attributes:
        student: name of its size.
        arm: "cross-entropy", a method as `hwkd distill --method` takes it, or one with NO_TEACHER
            before it.
        labels: what is known about them.
        seed: of weights and order.
        epochs: over the whole training set; all arms make as many steps.
        batch: samples per step.
        data: fingerprint.
        teacher: identity; empty for a control.
    """

    student: str
    arm: str
    labels: Labels
    seed: int
    epochs: int
    batch: int
    data: str
    teacher: str

    def key(self) -> str:
        """Return the name of the cell in the file."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class Score:
    """Accuracies 0 to 1 of the float student, and the seconds that its training took."""

    validation: float
    test: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """An arm beside its controls.

    Attributes:
        test: mean accuracy, 0 to 1.
        over: the control with the best mean on validation; empty for a control.
        gain: paired test accuracy over it; None for a control.
    """

    arm: str
    test: float
    over: str = ""
    gain: Gain | None = None


def make_cells(
    place: Place,
    sizes: Sequence[str],
    arms: Sequence[str],
    labels: Labels,
    *,
    seeds: int,
    epochs: int,
    batch: int,
) -> list[Cell]:
    """Return the cells of all students, arms and seeds, seed by seed."""
    identity = teacher(place, labels).identity[:12]
    return [
        Cell(
            student=size,
            arm=arm,
            labels=labels,
            seed=seed,
            epochs=epochs,
            batch=batch,
            data=load_data(place.data).fingerprint[:12],
            teacher=_teacher_of(arm, identity),
        )
        for seed in range(seeds)
        for size in sizes
        for arm in arms
    ]


def run_cells(
    cells: Sequence[Cell], place: Place, file: Path, *, processes: int
) -> dict[Cell, Score]:
    """Train what the file does not hold yet, one core per process, and return all scores."""
    found = _read(file)
    waiting = [cell for cell in cells if cell.key() not in found]
    print(f"{len(cells)} cells, {len(cells) - len(waiting)} are in {file}", flush=True)
    if waiting:
        for labels in {cell.labels for cell in waiting}:
            _warm_cache(place, labels)
        file.parent.mkdir(parents=True, exist_ok=True)
        with worker_pool(processes) as pool, file.open("a") as out:
            futures = {pool.submit(train_cell, cell, place): cell for cell in waiting}
            for number, future in enumerate(as_completed(futures), start=1):
                cell, score = futures[future], future.result()
                out.write(json.dumps({"cell": cell.key(), **asdict(score)}) + "\n")
                out.flush()
                found[cell.key()] = score
                print(
                    f"[{number}/{len(waiting)}] {cell.student} {cell.arm} seed {cell.seed}: "
                    f"test {score.test:.4f} in {score.seconds:.0f} s",
                    flush=True,
                )
    return {cell: found[cell.key()] for cell in cells}


def train_cell(cell: Cell, place: Place) -> Score:
    """Train one student on one core."""
    torch.set_num_threads(1)
    started = time.monotonic()
    data, methods = load_data(place.data), methods_of(cell.arm)
    layers = student(cell.student, data)
    is_taught = any(entry.method.asks_teacher for entry in methods)
    context = make_context(
        SearchConfig(device="host", spaces=(), accelerator="cpu"),
        catalog.TASKS.get("classify"),
        transfer(place, cell.labels),
        teacher(place, cell.labels) if is_taught else None,
    )
    arm = Arm(name=cell.arm, methods=methods)
    training = full_training(
        context, layers, repetition=cell.seed, epochs=cell.epochs, methods=methods
    )
    # One plain recipe for all arms: terms of any size and adapters train with it, too.
    config = TrainConfig(
        epochs=training.config.epochs,
        batch_size=cell.batch,
        learning_rate=_LEARNING_RATE,
        seed=derive_seed(cell.seed, layers.key, "cell"),
    )
    module = train_student(layers, context, replace(training, config=config), arm=arm).module
    return Score(
        validation=_accuracy(module, data, "validation"),
        test=_accuracy(module, data, "test"),
        seconds=time.monotonic() - started,
    )


def _accuracy(module: StudentModule, data: TaskData, name: SplitName) -> float:
    split = data.split(name)
    logits = predict_logits(module, torch.from_numpy(split.inputs)).numpy()
    return data.head.scores(logits, split.labels)["accuracy"]


def rows(scores: Mapping[Cell, Score], controls: Sequence[str]) -> list[Row]:
    """Return the arms of one student and one kind of labels, in the order of the cells."""
    by_arm: dict[str, list[Score]] = {}
    for cell, score in scores.items():
        by_arm.setdefault(cell.arm, []).append(score)
    known = {name: [s.validation for s in by_arm[name]] for name in controls}
    table = []
    for arm, results in by_arm.items():
        mean = sum(s.test for s in results) / len(results)
        if arm in controls:
            table.append(Row(arm=arm, test=mean))
            continue
        best = best_control(known)
        gain = paired_gain([s.test for s in results], [s.test for s in by_arm[best]], over=best)
        table.append(Row(arm=arm, test=mean, over=best, gain=gain))
    return table


def show(tables: Mapping[str, Sequence[Row]]) -> None:
    """Print the rows: mean test accuracy, then the gain in points with its 95% interval.

    Args:
        tables: heading -> rows, one a student.
    """
    for heading, table in tables.items():
        print(f" {heading}")
        for row in table:
            gained = "control"
            if row.gain is not None:
                gained = f"{_points(row.gain)} over {row.over}: {row.gain.verdict}"
            print(f"  {row.arm:28} {row.test:.4f}  {gained}", flush=True)


def show_markdown(tables: Mapping[str, Sequence[Row]]) -> None:
    """Print one table: an arm a row, a student a column; bold where an interval excludes 0."""
    print("\n| training | " + " | ".join(tables) + " |")
    print("|---|" + "--:|" * len(tables))
    for same_arm in zip(*tables.values(), strict=True):
        print(f"| {same_arm[0].arm} | " + " | ".join(_cell(row) for row in same_arm) + " |")


def _cell(row: Row) -> str:
    text = f"{100 * row.test:.2f} %"
    if row.gain is None:
        return text
    points = _points(row.gain)
    return (
        f"{text}, {points}"
        if row.gain.verdict == "no difference shown"
        else f"{text}, **{points}**"
    )


def _points(gain: Gain) -> str:
    text = f"{100 * gain.mean:+.2f}"
    if gain.low is None or gain.high is None:
        return text
    return f"{text} ({100 * gain.low:+.2f} to {100 * gain.high:+.2f})"


def methods_of(arm: str) -> tuple[WeightedMethod, ...]:
    """Return what an arm trains with; none is cross-entropy."""
    if arm == "cross-entropy":
        return ()
    entry = parse_method(arm.removeprefix(NO_TEACHER))
    if not arm.startswith(NO_TEACHER):
        return (entry,)
    control = entry.method.no_teacher_control()
    if control is None:
        raise SystemExit(f"{arm}: the method is no transform of logits, so it has no such control")
    return (replace(entry, method=control),)


def _teacher_of(arm: str, identity: str) -> str:
    return identity if any(entry.method.uses_teacher for entry in methods_of(arm)) else ""


def _warm_cache(place: Place, labels: Labels) -> None:
    """Run the teacher over the transfer set once, on all cores, before processes share it."""
    teacher_source(
        teacher(place, labels),
        transfer(place, labels),
        methods_of("kd"),
        device=torch.device("cpu"),
    )


def _read(file: Path) -> dict[str, Score]:
    if not file.is_file():
        return {}
    text = file.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:  # a kill cut the last line short
        file.write_text(whole, encoding="utf-8")
    entries = [json.loads(line) for line in whole.splitlines()]
    return {entry.pop("cell"): Score(**entry) for entry in entries}
