"""How many students that lose accuracy in 8 bits does training with simulated rounding rescue?

Run: python -m benchmarks.accuracy.qat_rescue [--students 10] [--seed 0] [--epochs 12] [--data PATH]
     [--rows FILE]
Samples students from the three spaces in turn, distills each briefly on the handwritten digits (or
--data) and quantises it with min-max ranges alone. The first --students of them that lose more than
1 point of validation accuracy are the cases. Each is then quantised as `hwkd search --qat on` does:
the best calibration and correction first, then quantisation-aware distillation. A case is rescued
when its int8 accuracy is at most 1 point below its float accuracy, both on validation; test
accuracies are printed beside it and choose nothing. What calibration and corrections rescue by
themselves is counted, too. With --rows every student is worked on once for the same settings.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from benchmarks.lib.finished_rows import FinishedRows
from benchmarks.lib.scores import accuracy_ratio
from benchmarks.lib.verdict import Target, report
from hwkd.core import catalog
from hwkd.core.chooser import RandomChooser
from hwkd.core.student import Layers
from hwkd.core.teaching import TrainingSet
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.distill.criterion import DistillCriterion
from hwkd.distill.sources import CachedSource
from hwkd.distill.spec import parse_methods
from hwkd.distill.taps import Places
from hwkd.engine.arms.quantise import QuantisationData, QuantisationSettings, quantise_student
from hwkd.io import discovery
from hwkd.nn.build import build_module
from hwkd.tasks.base import Split, TaskData
from hwkd.train.batches import TensorBatches
from hwkd.train.logit_cache import cached_logits
from hwkd.train.loop import TrainConfig, train_module
from hwkd.train.teacher_open import open_teacher
from hwkd.train.teacher_trained import TeacherTraining

SPACES = ("depthwise", "narrow_deep", "linear_attention")
LOSES, RESCUED = 0.01, 0.01
TARGET_RATIO = 0.8
CALIBRATION_SAMPLES = 256
# What `hwkd search` trains the best student of the digits for; a fifth of it is what QAT gets.
FULL_EPOCHS = 100


@dataclass(frozen=True, kw_only=True)
class Case:
    """One student that lost more than a point; accuracies 0 to 1."""

    space: str
    number: int
    parameters: int
    validation_float: float
    validation_minmax: float
    validation_ptq: float
    validation_qat: float
    test_float: float
    test_minmax: float
    test_shipped: float
    calibration: str

    @property
    def is_rescued(self) -> bool:
        """Whether training brought it back to within a point of float."""
        return self.validation_float - self.validation_qat <= RESCUED

    @property
    def is_rescued_untrained(self) -> bool:
        """Whether calibration and corrections alone did."""
        return self.validation_float - self.validation_ptq <= RESCUED


def main() -> int:
    """Find the cases, rescue them, print the share."""
    args = _parser().parse_args()
    torch.set_num_threads(1)
    work = Work(args.data, epochs=args.epochs, learning_rate=args.learning_rate)
    settings = {name: getattr(args, name) for name in ("seed", "epochs", "learning_rate")}
    finished = FinishedRows(args.rows, {**settings, "data": work.data.fingerprint})
    cases: list[Case] = []
    sampled = 0
    for space, number, layers in students(work.data, args.seed):
        if len(cases) == args.students or sampled == args.at_most:
            break
        sampled += 1
        row = finished.find(f"{space} {number}")
        if row is None:
            loss, case = work.case(space, number, layers)
            row = {"loss": loss, "case": None if case is None else asdict(case)}
            finished.add(f"{space} {number}", row)
        if row["case"] is not None:
            cases.append(Case(**row["case"]))
            print(_line(cases[-1]), file=sys.stderr, flush=True)
        print(
            f"{space} {number} lost {100 * row['loss']:.2f} points; {len(cases)} of "
            f"{args.students} cases in {sampled} students",
            file=sys.stderr,
            flush=True,
        )
    return _present(cases, sampled)


def students(data: TaskData, seed: int) -> Iterator[tuple[str, int, Layers]]:
    """Yield random students, the spaces in turn."""
    discovery.discover("hwkd.search_spaces")
    number = 0
    while True:
        for name in SPACES:
            space = catalog.SEARCH_SPACES.get(name)
            spec = space.suggest(
                RandomChooser(1000 * seed + number),
                input_shape=data.input_shape,
                num_outputs=data.num_outputs,
            )
            yield name, number, space.layers(spec)
        number += 1


class Work:
    """Data, the teacher's logits and what is done to each student."""

    def __init__(self, path: Path | None, *, epochs: int, learning_rate: float) -> None:
        """Read the data and open the teacher, which is trained once and cached."""
        discovery.discover("hwkd.tasks")
        self.data: TaskData = catalog.TASKS.get("classify").data(path, split_seed=0)
        teacher = open_teacher(
            None, self.data, training=TeacherTraining(seed=0), device=torch.device("cpu")
        )
        cached = cached_logits(teacher, self.data, split="train")
        self._teacher = CachedSource([torch.from_numpy(np.array(cached, dtype=np.float32))])
        train = self.data.train
        order = np.sort(np.random.default_rng(0).permutation(len(train))[:CALIBRATION_SAMPLES])
        self._batches = TensorBatches(
            [torch.from_numpy(np.array(train.inputs))], torch.from_numpy(np.array(train.labels))
        )
        self._sets = QuantisationData(
            calibration=np.ascontiguousarray(train.inputs[order]),
            batches=self._batches,
            criterion=lambda student, _: self._criterion(student),
            validation_inputs=self.data.validation.inputs,
            validation_labels=self.data.validation.labels,
            head=self.data.head,
        )
        self._epochs = epochs
        self._learning_rate = learning_rate

    def case(self, space: str, number: int, layers: Layers) -> tuple[float, Case | None]:
        """Train and quantise a student; returns what it loses, and the case if that is much."""
        module = build_module(layers, seed=number)
        sets = self._sets
        train_module(
            module,
            self._batches,
            self._criterion(module),
            TrainConfig(
                epochs=self._epochs,
                batch_size=64,
                learning_rate=self._learning_rate,
                seed=number,
            ),
        )
        with TemporaryDirectory(prefix="hwkd-rescue-") as temporary:
            floating, plain, shipped = (
                Path(temporary) / name for name in ("float.onnx", "minmax.onnx", "int8.onnx")
            )
            export_onnx(module, layers, floating)
            quantise_int8(floating, plain, sets.calibration, method="minmax")
            validation, test = self.data.validation, self.data.test
            loss = accuracy(floating, validation) - accuracy(plain, validation)
            if loss <= LOSES:
                return loss, None
            settings = QuantisationSettings(qat="on", full_epochs=FULL_EPOCHS, batch_size=64)
            choice = quantise_student(floating, shipped, layers, sets, settings)
            assert choice.validation_qat is not None
            return loss, Case(
                space=space,
                number=number,
                parameters=sum(p.numel() for p in module.parameters()),
                validation_float=choice.validation_float,
                validation_minmax=accuracy(plain, validation),
                validation_ptq=choice.validation_ptq,
                validation_qat=choice.validation_qat,
                test_float=accuracy(floating, test),
                test_minmax=accuracy(plain, test),
                test_shipped=accuracy(shipped, test),
                calibration=" + ".join((choice.calibration, *choice.corrections)),
            )

    def _criterion(self, student: nn.Module) -> DistillCriterion:
        """Return labels and the teacher's soft targets, at equal weights."""
        return DistillCriterion(
            parse_methods(["kd:temperature=2"]),
            student=student,
            student_places=Places(),
            source=self._teacher,
            data=TrainingSet(
                copies=self._batches.copies,
                labels=self._batches.labels,
                head=self.data.head,
                batch_size=64,
            ),
        )


def accuracy(path: Path, split: Split) -> float:
    """Return the accuracy of a file, 0 to 1."""
    return accuracy_ratio(predict(open_session(path), split.inputs), split.labels)


def _present(cases: list[Case], sampled: int) -> int:
    if not cases:
        print(f"none of {sampled} students lost more than a point")
        return 1
    share = float(np.mean([case.is_rescued for case in cases]))
    untrained = float(np.mean([case.is_rescued_untrained for case in cases]))
    print(f"{len(cases)} of {sampled} students lost more than a point with min-max ranges")
    for case in cases:
        print(_line(case))
    test = [
        np.mean([getattr(c, f"test_{k}") for c in cases]) for k in ("float", "minmax", "shipped")
    ]
    print("mean test accuracy: float {:.2%}, min-max {:.2%}, shipped {:.2%}".format(*test))
    print(f"rescued by calibration and corrections alone: {untrained:.0%}")
    what = f"rescued of {len(cases)} students that lost more than a point"
    return report(
        [Target(what, share, TARGET_RATIO, at_least=True)],
        {"sampled": sampled, "rescued without training": untrained},
    )


def _line(case: Case) -> str:
    return (
        f"{case.space} {case.number} ({case.parameters:,} parameters): validation float "
        f"{case.validation_float:.2%}, min-max {case.validation_minmax:.2%}, {case.calibration} "
        f"{case.validation_ptq:.2%}, trained {case.validation_qat:.2%}; test float "
        f"{case.test_float:.2%}, min-max {case.test_minmax:.2%}, shipped {case.test_shipped:.2%}"
    )


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--students", type=int, default=10, help="that lose, to be rescued")
    options.add_argument("--at-most", type=int, default=600, help="students to sample")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--epochs", type=int, default=12, help="of the float training")
    options.add_argument("--learning-rate", type=float, default=0.01, help="higher: more losses")
    options.add_argument("--data", type=Path, default=None, help="images; none: the digits")
    options.add_argument("--rows", type=Path, default=None, help="file of finished students")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
