"""Wall time to the same Pareto front: hwkd against the script that one would write first.

usage: python -m benchmarks.speed.versus_script [--quick] [--trials 120] [--cap 10min] [OPTION ...]

The script is what its ingredients suggest: `optuna.create_study()` with its default sampler, a
torch DataLoader, the teacher run on every batch, torch's own threads, one process. It learns what
a network costs from the file that it exported after training, so it trains what does not fit.

Both have the same data (a stratified part of Fashion-MNIST), the same trained teacher, the same
search spaces, the same sum to minimise, the same limits and device model, the same length of brief
training (epochs, batch, AdamW, warm-up and cosine), the same export and int8 scoring. hwkd also
measures each student on this machine and writes its records; the script does not.

A front is judged by its hypervolume over (int8 validation error, latency, peak RAM, flash) in the
unit cube: 0 is nothing at all, 1 is the error of a guess, --max-latency, --max-ram and --max-flash.
hwkd's time runs from the call to the moment when its front reached the hypervolume that it ended
with; the script's until its front reaches as much, or to --cap, and the ratio is then a lower
bound. The teacher is trained beforehand and counts for neither; computing its logits counts for
hwkd, as does starting the workers.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import hwkd
from benchmarks.lib.hypervolume import hypervolume
from benchmarks.lib.verdict import Target, report
from hwkd.core.limits import Fit
from hwkd.core.pareto import dominates, pareto_front
from hwkd.core.trial import TrialRecord
from hwkd.core.units import parse_bytes, parse_duration_s
from hwkd.cost.estimate import estimate_cost
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.distill.losses.soft_targets import soft_target_loss
from hwkd.engine.run.listener import SilentListener
from hwkd.engine.search.chooser import OptunaChooser
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.objective import score_objective
from hwkd.engine.setup.resolve import resolve_config, screen_of
from hwkd.engine.setup.screening import Screen
from hwkd.nn.build import StudentModule, build_module
from hwkd.tasks.base import TaskData
from hwkd.tasks.classification import ClassifyTask
from hwkd.tasks.sources import read_source
from hwkd.trace.onnx_file import load_graph
from hwkd.train.loop import TrainConfig
from hwkd.train.teacher_module import ModuleTeacher
from hwkd.train.teacher_trained import TeacherTraining, train_or_load_teacher

TARGET_RATIO = 5.0
DEVICE = "cortex-m7"
TEMPERATURE = 2.0  # of hwkd's default term, on data whose teacher is not saturated
Point = tuple[float, ...]


@dataclass
class Clock(SilentListener):
    """Notes when hwkd's front grew."""

    reference: Point
    started: float = field(default_factory=time.monotonic)
    reached: list[tuple[float, float]] = field(default_factory=list)

    def on_records(self, records: Sequence[TrialRecord], total: int | None) -> None:  # noqa: ARG002
        """Append (seconds, hypervolume)."""
        points = [point.values for point in pareto_front(records)]
        volume = share(points, self.reference)
        self.reached.append((time.monotonic() - self.started, volume))

    def seconds_to(self, volume: float) -> float:
        """Return when the front had this hypervolume."""
        return next(seconds for seconds, reached in self.reached if reached >= volume)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--samples", type=int, default=4000, help="train and validation, together")
    parser.add_argument("--brief-epochs", type=int, default=4)
    parser.add_argument("--trials", type=int, default=120, help="of hwkd, rejected ones included")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--max-weights", default="8kB")
    parser.add_argument("--max-latency", default="20ms")
    parser.add_argument("--max-ram", default="64KiB")
    parser.add_argument("--max-flash", default="128KiB")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cap", default="10min", help="the script is stopped after this long")
    parser.add_argument("--quick", action="store_true", help="a few candidates, nothing is judged")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.samples, arguments.trials, arguments.cap = 1000, 30, "30s"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="hwkd-versus-") as folder:
        os.environ["HWKD_CACHE_DIR"] = str(Path(folder) / "cache")
        data_path = write_part(arguments.data, Path(folder) / "part.npz", arguments.samples)
        data = ClassifyTask().data(data_path, split_seed=arguments.seed)
        teacher, teacher_s = train_teacher(data, arguments.seed)
        clock, outcome = run_hwkd(
            arguments,
            data_path,
            Path(folder) / "run",
            reference=reference_point(arguments, data.num_outputs),
        )
        config = SearchConfig.from_toml(outcome.folder / "config.toml")
        wanted = clock.reached[-1][1]
        if wanted == 0.0:
            sys.exit("hwkd found nothing better than a guess inside the limits; raise --trials")
        hwkd_s = clock.seconds_to(wanted)
        cap_s = parse_duration_s(arguments.cap, option="--cap")
        script = ObviousScript(data, teacher, config, Path(folder))
        script_s, is_reached = script.run(wanted, clock.reference, cap_s=cap_s)
    trained = sum(record.state == "completed" for record in outcome.records)
    print(
        f"hwkd: hypervolume {wanted:.4f} of {len(outcome.pareto)} points after {hwkd_s:.1f} s; "
        f"{len(outcome.records)} candidates, {trained} trained, search of {outcome.seconds:.1f} s"
    )
    print(
        f"script: {'the same' if is_reached else 'NOT reached, cap'} after {script_s:.1f} s; "
        f"hypervolume {share(script.front, clock.reference):.4f}, {script.tried} candidates, "
        f"all trained, {script.tried - script.fitting} did not fit"
    )
    print(f"with {teacher_s:.1f} s of teacher training added to both: "
          f"{(script_s + teacher_s) / (hwkd_s + teacher_s):.2f}x")  # fmt: skip
    bound = "" if is_reached else ", at least"
    ratio = Target(
        f"wall time of the script over hwkd's{bound}", script_s / hwkd_s, TARGET_RATIO,
        at_least=True, scale=1, unit="x",
    )  # fmt: skip
    code = report([ratio])
    return 0 if arguments.quick else code


def write_part(source: Path, target: Path, samples: int) -> Path:
    """Write the first samples of each class, equally many, as NPZ; test images likewise."""
    raw = read_source(source)
    parts = {"train": (raw.train, samples), "test": (raw.test or raw.train, samples // 4)}
    arrays: dict[str, Any] = {}
    for name, (split, count) in parts.items():
        classes = range(len(raw.class_names))
        rows = [np.flatnonzero(split.labels == label)[: count // len(classes)] for label in classes]
        chosen = np.sort(np.concatenate(rows))
        arrays[f"x_{name}"], arrays[f"y_{name}"] = split.inputs[chosen], split.labels[chosen]
    np.savez(target, **arrays)
    return target


def train_teacher(data: TaskData, seed: int) -> tuple[ModuleTeacher, float]:
    """Train the teacher of the search into the cache, where hwkd finds it."""
    started = time.monotonic()
    teacher = train_or_load_teacher(data, TeacherTraining(seed=seed), device=torch.device("cpu"))
    seconds = time.monotonic() - started
    print(f"teacher for both: {teacher.description}", flush=True)
    return teacher, seconds


def run_hwkd(
    arguments: argparse.Namespace, data: Path, out: Path, *, reference: Point
) -> tuple[Clock, hwkd.SearchOutcome]:
    """Search; returns when the front grew, and the outcome."""
    clock = Clock(reference)
    outcome = hwkd.search(
        DEVICE,
        data=data,
        max_weights=arguments.max_weights,
        max_latency=arguments.max_latency,
        max_ram=arguments.max_ram,
        max_flash=arguments.max_flash,
        brief_epochs=arguments.brief_epochs,
        trials=arguments.trials,
        workers=arguments.workers,
        seed=arguments.seed,
        final=False,
        out=out,
        listener=clock,
    )
    return clock, outcome


def reference_point(arguments: argparse.Namespace, classes: int) -> Point:
    """Return the worst corner: what would count as nothing gained."""
    return (
        1.0 - 1.0 / classes,
        parse_duration_s(arguments.max_latency, option="--max-latency"),
        float(parse_bytes(arguments.max_ram, option="--max-ram")),
        float(parse_bytes(arguments.max_flash, option="--max-flash")),
    )


class ObviousScript:
    """One process, one study, one loop: train everything, export it, see whether it fits."""

    def __init__(
        self, data: TaskData, teacher: ModuleTeacher, config: SearchConfig, folder: Path
    ) -> None:
        """Take what hwkd had: data, teacher and the resolved configuration."""
        self.data = data
        self.teacher = teacher.module
        self.screen: Screen = screen_of(config)
        self.config = resolve_config(config, self.screen.device, data)
        self.folder = folder
        self.front: list[Point] = []
        self.tried = 0
        self.fitting = 0
        validation = torch.from_numpy(np.array(data.validation.inputs))
        with torch.no_grad():
            self.teacher_validation = self.teacher(validation).numpy()

    def run(self, wanted: float, reference: Point, *, cap_s: float) -> tuple[float, bool]:
        """Search until the front has the wanted hypervolume; returns seconds and whether it has."""
        started = time.monotonic()
        study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=self.config.seed)  # the default one, seeded
        )
        is_reached = False

        def stop(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:  # noqa: ARG001
            nonlocal is_reached
            is_reached = share(self.front, reference) >= wanted
            if is_reached or time.monotonic() - started >= cap_s:
                study.stop()

        study.optimize(self.objective, callbacks=[stop])
        return time.monotonic() - started, is_reached

    def objective(self, trial: optuna.Trial) -> float:
        """Train, export, quantise, score; only then look at the size."""
        self.tried += 1
        name = str(trial.suggest_categorical("space", list(self.screen.spaces)))
        space = self.screen.spaces[name]
        spec = space.suggest(
            OptunaChooser(trial, name),
            input_shape=self.data.input_shape,
            num_outputs=self.data.num_outputs,
        )
        module = build_module(space.layers(spec), seed=trial.number)
        self.train(module)
        float_path, int8_path = self.folder / "script.onnx", self.folder / "script_int8.onnx"
        export_onnx(module, space.layers(spec), float_path)
        quantise_int8(float_path, int8_path, self.data.train.inputs[:256])
        logits = predict(open_session(int8_path), self.data.validation.inputs)
        error = float(np.mean(logits.argmax(axis=1) != self.data.validation.labels))
        cost = estimate_cost(
            load_graph(float_path),
            self.screen.device,
            runtime=self.screen.question.runtime,
            clock_hz=self.screen.question.clock_hz,
        )
        if Fit.of(cost, self.screen.limits, self.screen.risk).violations or cost.latency is None:
            raise optuna.TrialPruned
        self.fitting += 1
        latency_s = cost.latency.value_s
        self.add((error, latency_s, float(cost.peak_ram_bytes), float(cost.flash_bytes)))
        return score_objective(
            self.config.objective,
            task_error=error,
            divergence=self.data.head.divergence(
                logits, self.teacher_validation, temperature=TEMPERATURE
            ),
            latency_s=latency_s,
        ).value

    def add(self, point: Point) -> None:
        """Keep the front."""
        if not any(dominates(other, point) or other == point for other in self.front):
            self.front = [other for other in self.front if not dominates(point, other)] + [point]

    def train(self, module: StudentModule) -> None:
        """Distill briefly, as long as hwkd does, from a teacher that runs on every batch."""
        training = self.config.training
        recipe = TrainConfig(epochs=training.brief_epochs or 1)  # rates and weight decay
        rate = training.learning_rate or recipe.learning_rate
        split = TensorDataset(
            torch.from_numpy(np.array(self.data.train.inputs)),
            torch.from_numpy(np.array(self.data.train.labels)),
        )
        loader = DataLoader(
            split, batch_size=training.batch_size or recipe.batch_size, shuffle=True, drop_last=True
        )
        optimizer = torch.optim.AdamW(
            module.parameters(), lr=rate, weight_decay=recipe.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=rate,
            total_steps=recipe.epochs * len(loader),
            pct_start=recipe.warmup_ratio,
        )
        module.train()
        for _ in range(recipe.epochs):
            for inputs, labels in loader:
                with torch.no_grad():
                    targets = self.teacher(inputs)
                logits = module(inputs)
                distilled = soft_target_loss(logits, targets, TEMPERATURE)
                hard = functional.cross_entropy(logits, labels)
                loss = distilled + hard
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                optimizer.step()
                schedule.step()
        module.eval()


def share(points: Sequence[Point], reference: Point) -> float:
    """Return the hypervolume as a share of the box from zero to the reference, 0 to 1."""
    return hypervolume(points, reference) / math.prod(reference)


if __name__ == "__main__":
    sys.exit(main())
