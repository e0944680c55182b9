"""Teacher sources: same views whichever way they are obtained, and no gradient to a teacher."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hwkd.core.errors import TeacherError
from hwkd.core.signals import Batch, Signal, Views
from hwkd.core.teaching import TrainingSet, TrainingStep
from hwkd.distill.sources import (
    AnsweredSource,
    CachedSource,
    FunctionSource,
    LiveSource,
    PastSelfSource,
)
from hwkd.distill.taps import Places
from hwkd.tasks.classes_head import ClassesHead

LOGITS = frozenset({Signal.LOGITS})


def _batch(count: int = 4, copy: int = 0) -> Batch:
    inputs = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 1])[:count]
    return Batch(inputs=inputs, labels=labels, sample_ids=torch.arange(count), copy=copy)


def _teacher(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def test_live_source_runs_a_frozen_teacher_in_evaluation_mode() -> None:
    teacher = _teacher().train()
    views = LiveSource(teacher, Places(), LOGITS).views(_batch())
    assert not teacher.training
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not views.need(Signal.LOGITS).requires_grad


def test_answers_of_a_live_teacher_become_outputs_of_the_head() -> None:
    teacher = nn.Sequential(_teacher(), nn.Softmax(dim=1))
    head = ClassesHead.numbered(3)
    found = LiveSource(teacher, Places(), LOGITS, outputs_of=head.of_teacher).views(_batch())
    expected = LiveSource(_teacher(), Places(), LOGITS).views(_batch()).need(Signal.LOGITS)
    assert torch.allclose(found.need(Signal.LOGITS), expected.log_softmax(1), atol=1e-5)


def test_live_source_differentiates_by_inputs_when_asked() -> None:
    source = LiveSource(_teacher(), Places(), LOGITS | {Signal.INPUTS})
    views = source.views(_batch())
    (gradient,) = torch.autograd.grad(views.need(Signal.LOGITS).sum(), views.need(Signal.INPUTS))
    assert float(gradient.abs().sum()) > 0


def test_live_source_shows_the_teacher_what_it_expects() -> None:
    def shown(inputs: torch.Tensor) -> torch.Tensor:
        return 2 * inputs + 1

    teacher, batch, needs = _teacher(), _batch(), LOGITS | {Signal.INPUTS}
    views = LiveSource(teacher, Places(), needs, shown=shown).views(batch)
    assert torch.equal(views.need(Signal.LOGITS), teacher(2 * batch.inputs + 1))
    assert torch.equal(views.need(Signal.INPUTS), batch.inputs)
    (gradient,) = torch.autograd.grad(views.need(Signal.LOGITS).sum(), views.need(Signal.INPUTS))
    assert float(gradient.abs().sum()) > 0


def test_cached_source_gives_the_rows_of_its_view() -> None:
    views = [torch.randn(6, 3).half() for _ in range(2)]
    source = CachedSource(views)
    batch = _batch(copy=1)
    batch.sample_ids = torch.tensor([5, 0, 2, 2])
    assert torch.equal(source.views(batch).need(Signal.LOGITS), views[1][[5, 0, 2, 2]].float())
    assert source.cached == LOGITS


def test_cached_source_refuses_embeddings_of_other_samples() -> None:
    with pytest.raises(TeacherError, match="different samples or copies"):
        CachedSource([torch.zeros(6, 3)], embedding=[torch.zeros(5, 4)])


def test_function_source_speaks_arrays() -> None:
    def logits_of(inputs: np.ndarray) -> np.ndarray:
        assert inputs.dtype == np.float32
        return inputs * 2

    batch = _batch()
    views = FunctionSource(logits_of).views(batch)
    assert torch.equal(views.need(Signal.LOGITS), batch.inputs * 2)


def test_the_mean_of_teachers_is_of_probabilities_not_of_logits() -> None:
    sharp, soft = torch.tensor([[50.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    mean = ClassesHead.numbered(3).mean_of([sharp.numpy(), soft.numpy()])
    expected = (sharp.softmax(1) + soft.softmax(1)) / 2
    assert torch.allclose(torch.from_numpy(mean).softmax(1), expected)


def test_past_self_gives_labels_first_and_then_its_own_last_prediction() -> None:
    source, batch = PastSelfSource(), _batch()
    data = TrainingSet(
        copies=[torch.zeros(6, 3)],
        labels=torch.zeros(6, dtype=torch.int64),
        head=ClassesHead.numbered(3),
        batch_size=4,
    )
    source.start(nn.Identity(), data)
    fresh = source.views(batch).need(Signal.LOGITS)
    assert torch.equal(fresh.argmax(1), batch.labels)
    seen = torch.randn(4, 3, requires_grad=True)
    source.observe(TrainingStep(batch=batch, student=Views(logits=seen)))
    again = source.views(batch).need(Signal.LOGITS)
    assert torch.equal(again, seen.detach())
    assert not again.requires_grad


def test_teacher_whose_shapes_change_is_refused() -> None:
    class Growing(nn.Module):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return x[:, : 1 + self.calls]

    source = LiveSource(Growing(), Places(), LOGITS)
    source.views(_batch())
    with pytest.raises(TeacherError, match="changed shape between batches"):
        source.views(_batch())


def test_smaller_last_batch_is_no_change_of_shape() -> None:
    source = LiveSource(_teacher(), Places(), LOGITS)
    source.views(_batch(4))
    assert len(source.views(_batch(2)).need(Signal.LOGITS)) == 2


class Counted(nn.Module):
    """Stages that count how often they are run."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleList([nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 3)])
        self.runs = [0, 0, 0]

    def forward(self, inputs: Tensor) -> Tensor:
        for number, stage in enumerate(self.body):
            self.runs[number] += 1
            inputs = stage(inputs)
        return inputs


def test_layers_behind_the_last_one_that_is_looked_at_are_not_run() -> None:
    teacher, places = Counted(), Places(features=("body.0", "body.1"), weights=("body.2.weight",))
    source = LiveSource(teacher, places, LOGITS | {Signal.FEATURES, Signal.WEIGHTS})
    whole = source.views(_batch())
    source.narrow({Signal.FEATURES: 1}, with_logits=False)
    views = source.views(_batch(3))
    assert teacher.runs == [2, 1, 1]
    assert views.logits is None
    (first,) = views.features
    assert torch.equal(first, whole.features[0][:3])
    assert torch.equal(views.weights[0], whole.weights[0])
    source.narrow({}, with_logits=False)
    source.views(_batch())
    assert teacher.runs == [2, 1, 1]  # weights are there without a pass
    source.narrow({Signal.FEATURES: 1}, with_logits=True)
    assert torch.equal(source.views(_batch()).need(Signal.LOGITS), whole.need(Signal.LOGITS))


def test_answers_that_are_looked_up_are_no_reason_to_run_what_is_behind() -> None:
    teacher = Counted()
    live = LiveSource(teacher, Places(features=("body.0",)), LOGITS | {Signal.FEATURES})
    source = AnsweredSource(live, CachedSource([torch.arange(12.0).view(4, 3)]))
    source.narrow({Signal.FEATURES: 1}, with_logits=True)
    views = source.views(_batch())
    assert teacher.runs == [1, 0, 0]
    assert torch.equal(views.need(Signal.LOGITS), torch.arange(12.0).view(4, 3))
