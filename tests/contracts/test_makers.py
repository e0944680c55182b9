"""Every registered maker of samples: what it makes is in range, of all classes, and repeatable."""

import numpy as np
import pytest
import torch
from torch import nn

from hwkd.core.catalog import MAKERS
from hwkd.core.errors import ConfigError, TeacherError, UnknownNameError
from hwkd.core.pipeline_record import PipelineRecord, StepRecord
from hwkd.core.progress import silent
from hwkd.distill.maker import Maker, Making, parse_maker
from hwkd.engine.setup.made import normalised_range
from hwkd.io.discovery import discover
from hwkd.train.seeded_torch import seeded_torch

discover("hwkd.distill.makers")
CLASSES = 3
SHORT = {
    "inversion": ("inversion:samples=24,steps=6,batch=12,competition=1",),
    "generator": tuple(f"generator:samples=24,steps=6,width=4,way={way}" for way in
                       ("dafl", "dfad", "zskt")),
    "boundary": ("boundary:share=0.5,steps=3",),
    "supplement": ("supplement:share=0.5,steps=3,width=4,batch=8,noise=5",),
    "condense": tuple(f"condense:per_class=4,steps=4,way={way}" for way in
                      ("distribution", "gradient")),
}  # fmt: skip
WRITTEN = [(name, text) for name in MAKERS.names() for text in SHORT[name]]


def network(seed: int, shape: tuple[int, ...], *, norm: bool = True) -> nn.Module:
    conv = nn.Conv2d if len(shape) == 3 else nn.Conv1d
    normalise = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    pool = nn.AdaptiveAvgPool2d(1) if len(shape) == 3 else nn.AdaptiveAvgPool1d(1)
    with seeded_torch(seed):
        body = [conv(shape[0], 6, 3, padding=1), normalise(6) if norm else nn.Identity(), nn.ReLU()]
        return nn.Sequential(*body, pool, nn.Flatten(), nn.Linear(6, CLASSES)).eval()


def making(shape: tuple[int, ...] = (2, 6, 6), *, norm: bool = True) -> Making:
    generator = torch.Generator().manual_seed(1)
    ends = (-1, *(1,) * (len(shape) - 1))
    return Making(
        teacher=network(0, shape, norm=norm).requires_grad_(False),
        student=lambda draw: network(draw + 1, shape),
        input_shape=shape,
        classes=CLASSES,
        low=torch.tensor([-1.0] * shape[0]).reshape(ends),
        high=torch.tensor([1.5] * shape[0]).reshape(ends),
        inputs=torch.randn(30, *shape, generator=generator).clamp(-1, 1.5),
        labels=torch.arange(30) % CLASSES,
        seed=4,
        tell=silent,
    )


def made(maker: Maker, source: Making) -> tuple[torch.Tensor, torch.Tensor]:
    with seeded_torch(0):
        return maker.make(source)


@pytest.mark.parametrize("shape", [(2, 6, 6), (1, 10)], ids=["picture", "signal"])
@pytest.mark.parametrize(("name", "text"), WRITTEN)
def test_samples_are_in_range_and_the_same_again(
    name: str, text: str, shape: tuple[int, ...]
) -> None:
    source, maker = making(shape), parse_maker(text)
    assert maker.name == name
    assert maker.paper
    assert parse_maker(maker.describe()) == maker
    before = [p.clone() for p in source.asked.parameters()]
    inputs, labels = made(maker, source)
    assert inputs.shape == (len(labels), *shape)
    assert bool(((inputs >= source.low) & (inputs <= source.high)).all())
    assert labels.dtype == torch.int64
    assert set(labels.tolist()) <= set(range(CLASSES))
    again, _ = made(maker, making(shape))
    assert torch.equal(inputs, again)
    # A teacher is asked and never taught.
    assert all(torch.equal(a, b) for a, b in zip(before, source.asked.parameters(), strict=True))
    if not maker.needs_data:
        assert torch.equal(labels, source.answers(inputs).argmax(1))


def test_inversion_nears_what_the_teacher_remembers() -> None:
    source = making()
    conv, norm = (source.asked.get_submodule(name) for name in "01")
    with torch.no_grad():
        known = conv(0.3 * source.inputs + 0.9)
    wanted = known.mean((0, 2, 3))
    norm.get_buffer("running_mean").copy_(wanted)
    norm.get_buffer("running_var").copy_(known.var((0, 2, 3), unbiased=False))

    def distance(steps: int) -> float:
        maker = parse_maker(f"inversion:samples=30,batch=30,steps={steps},rate=0.1,move=0")
        inputs, _ = made(maker, source)
        with torch.no_grad():
            return float((conv(inputs).mean((0, 2, 3)) - wanted).norm())

    assert distance(60) < 0.3 * distance(1)


def test_condensed_samples_near_the_mean_of_the_data() -> None:
    source = making()
    maker = parse_maker("condense:per_class=2,steps=60,rate=0.1,move=0")
    begun = parse_maker("condense:per_class=2,steps=1,rate=1e-6,move=0")

    def gap(of: Maker) -> float:
        inputs, labels = made(of, source)
        real, own = source.inputs, source.labels
        return sum(
            float((inputs[labels == k].mean((0, 2, 3)) - real[own == k].mean((0, 2, 3))).norm())
            for k in range(CLASSES)
        )

    assert gap(maker) < gap(begun)


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(TeacherError, match="no batch normalisation that remembers statistics"):
        made(parse_maker("inversion:samples=6,steps=1"), making(norm=False))
    with pytest.raises(ConfigError, match="samples=1 must be"):
        parse_maker("inversion:samples=1")
    with pytest.raises(UnknownNameError, match="inversion"):
        parse_maker("inversoin")


def test_the_range_of_normalised_inputs_is_that_of_the_raw_ones() -> None:
    values = {"mean": (10.0, 20.0), "std": (5.0, 4.0)}
    record = PipelineRecord(
        steps=(StepRecord(kind="normalise", formula="", values=values),),
        raw_shape=(2, 3, 3), raw_dtype="uint8", raw_low=0.0, raw_high=255.0,
    )  # fmt: skip
    low, high = normalised_range(record)
    np.testing.assert_allclose(low.ravel(), [-2.0, -5.0])
    np.testing.assert_allclose(high.ravel(), [49.0, 58.75])
