"""A training that is killed goes on with the result that it would have had."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.students import student_record
from torch import Tensor

from hwkd.core.teaching import TeacherSource, TrainingSet
from hwkd.distill.criterion import DistillCriterion, needed_signals
from hwkd.distill.sources import LiveSource
from hwkd.distill.spec import parse_methods
from hwkd.distill.taps import student_places
from hwkd.nn.build import StudentModule, build_module
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.augment import Augmentation
from hwkd.train.batches import TensorBatches
from hwkd.train.checkpoint import Checkpoints, cut_off, stage_file
from hwkd.train.config import Optimizer, TrainConfig
from hwkd.train.course import Course, Finished, Stage, run_course
from hwkd.train.criteria import Criterion, TaskLoss
from hwkd.train.loop import train_module
from hwkd.train.weights_file import fill_module

EPOCHS, STEPS = 3, 4
LAYERS = student_record(seed=9).network
TEACHER = student_record(seed=8).network
HEAD = ClassesHead.numbered(3)
Past = Sequence[Finished[StudentModule]]


class KilledError(Exception):
    """Stands for the end of the process."""


def made_batches() -> TensorBatches:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(16 * STEPS, 1, 8, 8, generator=generator)
    return TensorBatches([inputs], inputs.flatten(1)[:, :3].argmax(1))


BATCHES = made_batches()
DATA = TrainingSet(copies=BATCHES.copies, labels=BATCHES.labels, head=HEAD, batch_size=16)


def stage(
    name: str,
    *methods: str,
    optimizer: Optimizer,
    student: Callable[[Past], StudentModule] = lambda _: build_module(LAYERS, seed=1),
) -> Stage[StudentModule]:
    """Return a training with adapters, a memory, a life of its teachers, noise and an average."""
    entries = parse_methods(methods)

    def criterion(module: StudentModule, source: TeacherSource | None) -> Criterion:
        return DistillCriterion(
            entries, student=module, student_places=student_places(LAYERS), source=source, data=DATA
        )

    return Stage(
        name=name,
        student=student,
        source=lambda _: LiveSource(
            build_module(TEACHER, seed=2), student_places(TEACHER), needed_signals(entries)
        ),
        criterion=criterion,
        batches=BATCHES,
        config=TrainConfig(
            epochs=EPOCHS,
            batch_size=16,
            optimizer=optimizer,
            learning_rate=0.01,
            averaging_decay=0.9,
            augmentation=Augmentation(shift=(1, 1), mirror=True, noise=0.1),
        ),
    )


STAGES = (
    stage("first", "fitnet", "crd", "pskd:start=0.5", optimizer="adamw"),
    stage("second", "cskd", "kd", optimizer="muon", student=lambda past: past[-1].student),
)


def stored(weights: Mapping[str, Tensor], folder: Path) -> Path:
    path = folder / "weights.safetensors"
    save_file(dict(weights), path)
    return path


def trained(
    folder: Path | None,
    *,
    steps: int | None = None,
    identity: str = "x",
    said: list[str] | None = None,
    stages: Sequence[Stage[StudentModule]] = STAGES,
) -> Course[StudentModule]:
    """Train, at most so many steps before the process ends."""
    lines: list[str] = [] if said is None else said
    left: Iterator[int] = iter(range(steps if steps is not None else 10**6))

    def check() -> None:
        if next(left, None) is None:
            raise KilledError

    torch.manual_seed(0 if folder is None or not folder.exists() else 99)
    checkpoints = None
    if folder is not None:
        checkpoints = Checkpoints(
            folder, identity=identity, say=lines.append, period_s=0.0, share=math.inf
        )
    return run_course(stages, check=check, checkpoints=checkpoints)


def state(course: Course[StudentModule]) -> dict[str, Tensor]:
    module = course.finished[-1].student
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_same(one: Course[StudentModule], other: Course[StudentModule]) -> None:
    for name, tensor in state(one).items():
        assert torch.equal(tensor, state(other)[name]), name
    for ours, theirs in zip(one.finished, other.finished, strict=True):
        assert ours.training.epochs == theirs.training.epochs
        assert ours.training.steps == theirs.training.steps
        assert ours.training.ended_by == theirs.training.ended_by


@pytest.fixture(scope="module")
def undisturbed() -> Course[StudentModule]:
    return trained(None)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 5, 11, 12, 14, 23])
def test_a_killed_course_ends_as_an_undisturbed_one(
    steps: int, tmp_path: Path, undisturbed: Course[StudentModule]
) -> None:
    folder = tmp_path / "checkpoints"
    with pytest.raises(KilledError):
        trained(folder, steps=steps)
    repeated = steps % STEPS  # since the last whole epoch
    assert_same(trained(folder, steps=2 * EPOCHS * STEPS - steps + repeated), undisturbed)


@pytest.mark.slow
def test_a_course_may_be_killed_at_every_epoch(
    tmp_path: Path, undisturbed: Course[StudentModule]
) -> None:
    folder = tmp_path / "checkpoints"
    for _ in range(2 * EPOCHS - 1):
        with pytest.raises(KilledError):
            trained(folder, steps=STEPS + 1)
    assert_same(trained(folder, steps=STEPS + 1), undisturbed)


@pytest.mark.slow
def test_a_checkpoint_of_something_else_is_left_out_and_said(
    tmp_path: Path, undisturbed: Course[StudentModule]
) -> None:
    folder = tmp_path / "checkpoints"
    longer = [replace(s, config=replace(s.config, epochs=EPOCHS + 1)) for s in STAGES]
    for changes in ({"identity": "another"}, {"stages": longer}):
        with pytest.raises(KilledError):
            trained(folder, steps=STEPS + 1, **changes)
        said: list[str] = []
        assert_same(trained(folder, said=said), undisturbed)
        assert len(said) == 1
        assert "first.safetensors: this checkpoint is of another training" in said[0]
        for path in folder.iterdir():
            path.unlink()


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{}", b"x" * 99])
def test_a_damaged_checkpoint_is_left_out_and_said(
    content: bytes, tmp_path: Path, undisturbed: Course[StudentModule]
) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "first.safetensors").write_bytes(content)
    said: list[str] = []
    torch.manual_seed(0)
    assert_same(trained(folder, said=said), undisturbed)
    assert [line.count("\n") for line in said] == [0]
    assert "this checkpoint cannot be read" in said[0]


@pytest.mark.slow
def test_a_checkpoint_with_one_other_value_is_left_out_and_said(
    tmp_path: Path, undisturbed: Course[StudentModule]
) -> None:
    folder = tmp_path / "checkpoints"
    with pytest.raises(KilledError):
        trained(folder, steps=STEPS + 1)
    path = folder / "first.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    said: list[str] = []
    torch.manual_seed(0)
    assert_same(trained(folder, said=said), undisturbed)
    assert "this checkpoint holds other values than were written; the training" in said[0]


def test_a_full_disk_is_said_once_and_ends_no_training(
    tmp_path: Path, undisturbed: Course[StudentModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    said: list[str] = []
    assert_same(trained(tmp_path / "checkpoints", said=said), undisturbed)
    assert len(said) == 1
    assert "cannot be written (No space left on device); the training goes on" in said[0]


def test_a_training_by_the_clock_leaves_its_weights_and_does_not_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    checkpoints = Checkpoints(
        folder, identity="x", say=lambda _: None, period_s=0.0, share=math.inf
    )
    config = replace(STAGES[0].config, time_budget_s=1e4, averaging_decay=None)
    kept = checkpoints.stage("train", config, leaves_weights=True)
    assert kept is not None
    module, left = build_module(LAYERS, seed=1), iter(range(2 * STEPS + 1))

    def check() -> None:
        if next(left, None) is None:
            raise KilledError

    with pytest.raises(KilledError):
        train_module(module, BATCHES, TaskLoss(HEAD), config, check=check, checkpoint=kept)
    came = cut_off(stage_file(folder, "train"))
    assert came is not None
    assert len(came.facts.epochs) == 2
    fill_module(build_module(LAYERS, seed=1), stored(came.weights, tmp_path))
    assert kept.read() is None, "how far it comes depends on the clock"


def test_a_damaged_checkpoint_leaves_no_weights(tmp_path: Path) -> None:
    path = tmp_path / "train.safetensors"
    assert cut_off(path) is None
    path.write_bytes(b"no weights")
    assert cut_off(path) is None


def test_brief_trainings_and_those_by_the_clock_write_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    checkpoints = Checkpoints(folder, identity="x", say=lambda _: None)
    run_course(STAGES[:1], checkpoints=checkpoints)
    assert checkpoints.stage("first", replace(STAGES[0].config, time_budget_s=9.0)) is None
    assert not folder.exists()
