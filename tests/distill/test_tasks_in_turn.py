"""Classes in tasks: who is in which, losses over a part of the classes, exemplars, what is left."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hwkd.distill.edge_losses import binary_divergence
from hwkd.distill.tasks_in_turn import TaskInTurn, herded, on_old_classes, seen_label_loss
from hwkd.engine.arms.lifelong import record_of_outputs
from hwkd.tasks.classes_head import ClassesHead


def test_tasks_divide_the_classes_and_lose_none() -> None:
    for classes, of in ((10, 5), (7, 3), (3, 2)):
        tasks = [TaskInTurn(index=index, of=of) for index in range(of)]
        ends = [(task.first(classes), task.seen(classes)) for task in tasks]
        assert ends[0][0] == 0
        assert ends[-1][1] == classes
        assert all(a[1] == b[0] for a, b in pairwise(ends))


def test_losses_look_at_the_known_and_at_the_old_classes_alone() -> None:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3, 0, 3])
    found = seen_label_loss(logits, labels, task=TaskInTurn(index=0, of=2))
    wanted = functional.cross_entropy(logits[:, :2], labels.clamp(max=1), reduction="none")
    assert torch.allclose(found[labels < 2], wanted[labels < 2])
    assert not found[labels >= 2].any()
    second = TaskInTurn(index=1, of=2)
    kept = on_old_classes(logits, torch.ones(6, 4), loss=binary_divergence, task=second)
    (gradient,) = torch.autograd.grad(kept.sum(), logits)
    assert gradient[:, :2].any()
    assert not gradient[:, 2:].any()


def test_exemplars_are_the_greedy_choice_nearest_the_mean() -> None:
    features = torch.randn(9, 3, generator=torch.Generator().manual_seed(4))
    unit = functional.normalize(features, dim=1)
    chosen: list[int] = []
    for _ in range(4):
        gaps = {
            n: float((unit[[*chosen, n]].mean(0) - unit.mean(0)).norm())
            for n in range(9)
            if n not in chosen
        }
        chosen.append(min(gaps, key=lambda n: gaps[n]))
    assert herded(features, 4).tolist() == chosen
    assert sorted(herded(features, 20).tolist()) == list(range(9))


def test_what_is_left_of_each_task_is_counted() -> None:
    labels = torch.arange(4)

    def says(*classes: int) -> Tensor:
        return functional.one_hot(torch.tensor(classes), 4).float()

    tasks = [TaskInTurn(index=index, of=2) for index in range(2)]
    head = ClassesHead(names=tuple("abcd"))
    found = record_of_outputs(tasks, [says(0, 1, 3, 3), says(2, 1, 2, 3)], labels, head)
    assert found.accuracies == ((1.0,), (0.5, 1.0))
    assert found.forgetting == 0.5
    assert found.mean_accuracy == 0.75
    # Of its own two classes the second task had one right before it was learned: chance is a half.
    assert found.forward_transfer == pytest.approx(0.0)
