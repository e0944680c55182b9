"""Networks around a student: wider, with more inside its bottlenecks, and deeper."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from support.staged import CLASSES, config, data, student

from hwkd.core.augmented import augmented, inner_layers
from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT
from hwkd.core.errors import ConfigError
from hwkd.core.student import Layer, Layers
from hwkd.distill.scheme_spec import parse_scheme
from hwkd.engine.arms.recipes import Arm
from hwkd.engine.arms.scheme_course import require_possible, train_scheme
from hwkd.engine.setup.config import SearchConfig
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.nn.cohort import Cohort
from hwkd.tasks.classes_head import ClassesHead

discover("hwkd.distill.schemes")


def _inverted() -> Layers:
    """Return an inverted bottleneck that is added to what it reads, between a stem and a mean."""

    def conv(name: str, source: str, channels: int, kernel: int, groups: int = 1) -> Layer:
        return Layer(
            name=name, kind="conv", inputs=(source,), shape=(channels, 6, 6), groups=groups,
            kernel=(kernel, kernel), pads=(kernel // 2,) * 4, norm=True, activation="relu",
        )  # fmt: skip

    layers = (
        conv("stem", "input", 4, 3),
        conv("expand", "stem", 8, 1),
        conv("deep", "expand", 8, 3, groups=8),
        conv("project", "deep", 4, 1),
        Layer(name="sum", kind="add", inputs=("stem", "project"), shape=(4, 6, 6)),
        Layer(name="pool", kind="global_avg_pool", inputs=("sum",), shape=(4, 1, 1)),
        Layer(name="embedding", kind="reshape", inputs=("pool",), shape=(4,)),
        Layer(name="logits", kind="linear", inputs=("embedding",), shape=(CLASSES,)),
    )
    taps = {"stage1": "sum", "embedding": "embedding"}
    return Layers(input_shape=(1, 6, 6), layers=layers, taps=taps)


def test_expansion_widens_what_only_a_depthwise_convolution_reads() -> None:
    assert inner_layers(_inverted()) == {"expand"}
    assert inner_layers(student()) == frozenset()
    large = augmented(_inverted(), width=1.0, expansion=2.0, depth=0)
    assert [layer.shape[0] for layer in large.layers] == [4, 16, 16, 4, 4, 4, 4, CLASSES]
    assert [layer.groups for layer in large.layers][2] == 16


def test_depth_adds_residual_blocks_behind_a_stage() -> None:
    deep = augmented(_inverted(), width=1.0, expansion=1.0, depth=2)
    names = [layer.name for layer in deep.layers]
    assert names.index("sum") + 7 == names.index("pool")
    assert next(layer for layer in deep.layers if layer.name == "pool").inputs == ("sum__deeper1",)
    module = build_module(deep, seed=0).eval()
    base = build_module(_inverted(), seed=0).eval()
    for name in ("sum__deeper0_point", "sum__deeper1_point"):  # blocks that say nothing
        for parameter in ("norm.weight", "norm.bias"):
            torch.nn.init.zeros_(module.steps[name].get_parameter(parameter))
    for name, step in base.steps.items():
        step.load_state_dict(module.steps[name].state_dict())
    inputs = torch.randn(2, 1, 6, 6)
    torch.testing.assert_close(module(inputs), base(inputs))


def test_weights_of_all_forms_reach_the_student_and_what_is_around_it() -> None:
    (phase,) = SCHEMES.get("netaug")(widest=1.5, expansion=2.0, depth=1).phases()
    cohort = Cohort(list(phase.roles), _inverted(), seed=0)
    wide, base = cohort.parts["wide"], cohort.parts[STUDENT]
    weights = [*base.parameters(), *wide.parameters()]
    reached = [False] * len(weights)
    for _ in range(12):  # forms are drawn
        logits = wide(base, torch.randn(4, 1, 6, 6))
        pulled = torch.autograd.grad(logits.square().sum(), weights, allow_unused=True)
        reached = [r or g is not None for r, g in zip(reached, pulled, strict=True)]
    assert all(reached)


def test_statistics_of_an_augmented_student_are_those_of_its_last_weights() -> None:
    arm = Arm(name="scheme", scheme=parse_scheme("netaug:plain=0.5"))
    module, _ = train_scheme(student(), data(), config(), arm=arm)
    inputs = data().training.copies[0]
    stem = module.get_submodule("steps.stem")
    shown = stem.get_submodule("core")(inputs)
    parts = torch.split(shown, data().training.batch_size)
    mean = torch.stack([part.mean((0, 2, 3)) for part in parts]).mean(0)
    torch.testing.assert_close(stem.get_buffer("norm.running_mean"), mean, rtol=1e-4, atol=1e-5)


def test_expansion_is_refused_where_nothing_is_inside() -> None:
    arm = Arm(name="scheme", scheme=parse_scheme("netaug:expansion=2"))
    config = SearchConfig(device="host", scheme={"scheme": "netaug"})
    run = SimpleNamespace(config=config, data=SimpleNamespace(head=ClassesHead.numbered(CLASSES)))
    require_possible(arm, _inverted(), run)
    with pytest.raises(ConfigError, match="inside inverted bottlenecks, and this student has none"):
        require_possible(arm, student(), run)
    with pytest.raises(ConfigError, match="nothing is larger than the student"):
        parse_scheme("netaug:widest=1")
