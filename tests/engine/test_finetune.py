"""`hwkd finetune`: a student goes on with other classes; its own weights, scaling and names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from support.tiny_student import bars_npz, student_file

import hwkd
from hwkd.core.errors import ConfigError, RunFolderError
from hwkd.core.progress import silent
from hwkd.deploy.sessions import open_session, predict
from hwkd.engine.distill.request import DistillRequest
from hwkd.engine.distill.resolve import resolve_student
from hwkd.io.student_folder import INT8_FILE, WEIGHTS_FILE, StudentFolder, read_student
from hwkd.signals.pipeline import Pipeline

pytestmark = pytest.mark.slow

_OLD = np.array(["left", "middle", "right"])
# Sorted, as labels are: one that is new before two that stay.
_NEW = np.array(["far", "left", "middle"])


def _named(path: Path, names: np.ndarray, *, shift: int = 0) -> Path:
    """Write the bars with names for labels, the class of a bar being its place plus `shift`."""
    stored = dict(np.load(bars_npz(path.parent)))
    for part in ("train", "test"):
        stored[f"y_{part}"] = names[(stored[f"y_{part}"] + shift) % 3]
        if shift:  # another light
            stored[f"x_{part}"] //= 2
    np.savez(path, **stored)
    return path


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> StudentFolder:
    """A student of three classes."""
    place = tmp_path_factory.mktemp("student")
    hwkd.distill(
        str(student_file(place)), data=_named(place / "old.npz", _OLD), methods=["none"],
        epochs=6, out=place / "first", accelerator="cpu",
    )  # fmt: skip
    return read_student(place / "first")


def test_a_student_goes_on_with_its_weights_its_scaling_and_its_classes_by_name(
    student: StudentFolder, tmp_path: Path
) -> None:
    new = _named(tmp_path / "new.npz", _NEW, shift=1)  # a bar's place keeps its name
    outcome = hwkd.finetune(
        student.folder, data=new, epochs=4, out=tmp_path / "second", accelerator="cpu"
    )
    record = outcome.run.finetune
    assert record is not None
    assert (record.new, record.kept, record.left_out) == (("far",), ("left", "middle"), ("right",))
    assert outcome.run.data.class_names == tuple(_NEW)
    old_run = student.record.run
    assert old_run is not None
    assert outcome.run.data.pipeline.steps == old_run.data.pipeline.steps  # dimmer data, same scale
    stored = np.load(new)
    inputs = Pipeline.of(old_run.data.pipeline).apply(stored["x_test"][:, np.newaxis])
    answers = _OLD[:2][predict(open_session(student.file(INT8_FILE)), inputs)[:, :2].argmax(1)]
    assert record.before.test_int8 is not None
    assert record.before.test_int8["accuracy"] == pytest.approx(
        float((answers == stored["y_test"]).mean())
    )
    assert outcome.best is not None
    assert record.after.test_int8 == pytest.approx(outcome.best.evaluate(new))
    assert outcome.as_dict()["finetune"]["new"] == ["far"]
    assert "before: " in (tmp_path / "second" / "report.html").read_text()


def test_it_begins_with_the_rows_of_the_classes_that_stay(
    student: StudentFolder, tmp_path: Path
) -> None:
    new = _named(tmp_path / "new.npz", _NEW, shift=1)
    request = DistillRequest(
        student=str(student.folder), data=str(new), out=tmp_path / "out", finetunes=True,
        methods=("none",),
    )  # fmt: skip
    resolved = resolve_student(request, progress=silent)
    assert resolved.config.training.rate_ratio == 0.1
    assert resolved.start is not None
    begun, old = resolved.start.module(0).state_dict(), load_file(student.file(WEIGHTS_FILE))
    head = f"steps.{resolved.layers.layers[-1].name}.core."
    for name, tensor in begun.items():
        is_head = name.startswith(head)
        assert (tensor[1:] if is_head else tensor).equal(old[name][:2] if is_head else old[name])


def test_what_cannot_go_on_is_one_line_and_writes_nothing(
    student: StudentFolder, tmp_path: Path
) -> None:
    other = _named(tmp_path / "other.npz", np.array(["x", "y", "z"]))
    np.savez(
        tmp_path / "wide.npz",
        x_train=np.random.default_rng(0).uniform(0, 180, (30, 9, 9)),
        y_train=np.arange(30) % 3,
    )
    cases: list[tuple[Path, Path, type[Exception], str]] = [
        (student.folder, other, ConfigError, "x, y, z .* no class in common"),
        (student.folder, tmp_path / "wide.npz", ConfigError, "9 x 9"),
        (tmp_path, other, RunFolderError, "holds no student"),
    ]
    for place, data, kind, message in cases:
        with pytest.raises(kind, match=message):
            hwkd.finetune(place, data=data, out=tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))
