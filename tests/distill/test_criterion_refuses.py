"""Runs that cannot work are refused before training, by what is missing."""

from __future__ import annotations

import pytest
import torch
from support.small_criterion import (
    BATCH,
    CLASSES,
    SAMPLES,
    criterion_of,
    live_source,
    small_layers,
    small_teacher,
    training_set,
)
from torch import Tensor, nn

from hwkd.core.errors import ConfigError, TeacherError
from hwkd.distill.criterion import needed_signals
from hwkd.distill.sources import CachedSource, LiveSource
from hwkd.distill.spec import parse_method
from hwkd.distill.taps import Places
from hwkd.nn.build import build_module


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("attention_maps", "method attention_maps: the student shows no attention"),
        ("fitnet:pairs=1:9", "pairs=1:9: the teacher has no stage 9; it has 3"),
        ("crd:dim=4096,memory_mib=1,negatives=8", "48 samples needs 2 MiB, memory_mib allows 1"),
        ("embedding:neighbours=16", "neighbours=16 needs a batch of at least 17"),
    ],
)
def test_impossible_runs_are_refused_before_training(text: str, message: str) -> None:
    student, data = build_module(small_layers(), seed=0), training_set()
    source = live_source(small_teacher(), [parse_method(text)])
    with pytest.raises(ConfigError, match=message):
        criterion_of([text], student, source, data)


def test_the_side_without_the_signal_is_named() -> None:
    data, student = training_set(), build_module(small_layers(), seed=0)
    source = LiveSource(
        small_teacher(), Places(features=("steps.first",)), needed_signals([parse_method("ab")])
    )
    with pytest.raises(ConfigError, match="the teacher shows no preactivations; name its modules"):
        criterion_of(["ab"], student, source, data)


def test_a_teacher_whose_shapes_follow_the_samples_is_refused_before_training() -> None:
    class Ragged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(1, 4, 3)
            self.head = nn.Linear(4, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            maps: Tensor = self.body(x if len(x) < BATCH else x[..., :4])
            logits: Tensor = self.head(maps.mean((2, 3)))
            return logits

    source = LiveSource(Ragged(), Places(features=("body",)), needed_signals([parse_method("at")]))
    shapes = r"features changed shape between batches: \(\(4, 6, 4\),\) and then \(\(4, 6, 2\),\)"
    with pytest.raises(TeacherError, match=shapes):
        criterion_of(["at"], build_module(small_layers(), seed=0), source, training_set())


def test_a_tap_without_a_row_per_sample_is_refused() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.Flatten(0, 1)
            self.head = nn.Linear(48, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            self.rows(x[:, 0])
            logits: Tensor = self.head(x.flatten(1))
            return logits

    source = LiveSource(Tokens(), Places(features=("rows",)), needed_signals([parse_method("sp")]))
    with pytest.raises(ConfigError, match=r"tap 'rows': gives shape \(32, 6\) for 4 samples"):
        criterion_of(["sp"], build_module(small_layers(), seed=0), source, training_set())


def test_class_counts_must_agree() -> None:
    student, data = build_module(small_layers(), seed=0), training_set()
    source = live_source(small_teacher(classes=7), [parse_method("kd")])
    with pytest.raises(ConfigError, match="the student has 4 classes and the teacher 7"):
        criterion_of(["kd"], student, source, data)


def test_methods_that_need_a_teacher_say_so() -> None:
    student, data = build_module(small_layers(), seed=0), training_set()
    with pytest.raises(ConfigError, match="method kd: it needs a teacher and none was given"):
        criterion_of(["kd"], student, None, data)


def test_cached_teacher_without_the_signal_is_refused() -> None:
    student, data = build_module(small_layers(), seed=0), training_set()
    source = CachedSource([torch.zeros(SAMPLES, CLASSES)])
    with pytest.raises(ConfigError, match="the cached teacher holds no features; use a live"):
        criterion_of(["at"], student, source, data)
    with pytest.raises(ConfigError, match="teacher's side cannot be stored; use a live teacher"):
        criterion_of(["jacobian"], student, source, data)


def test_label_methods_refuse_unlabelled_samples() -> None:
    student, data = build_module(small_layers(), seed=0), training_set()
    data.labels[0] = -1
    with pytest.raises(ConfigError, match="method dkd: it needs the label of every sample"):
        criterion_of(["dkd"], student, live_source(small_teacher(), [parse_method("dkd")]), data)
    with pytest.raises(ConfigError, match="method cskd: it needs the label of every sample"):
        criterion_of(["cskd"], student, None, data)
