"""Tasks in turn: which samples each learns from, and what is left of the ones before."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch
from torch import Tensor

from hwkd.core.cohort import STUDENT
from hwkd.core.final_record import LifelongRecord
from hwkd.core.head import Head
from hwkd.core.teaching import TrainingSet
from hwkd.distill.tasks_in_turn import TaskInTurn, herded
from hwkd.nn.cohort import Cohort
from hwkd.train.course import Finished
from hwkd.train.loop import predict_logits


def samples_of(task: TaskInTurn, data: TrainingSet, past: Sequence[Finished[Cohort]]) -> Tensor:
    """Return the samples of a task: its classes, and exemplars of each one before.

    Exemplars of a class are chosen by the network that had just learned it.
    """
    classes, labels = data.head.size, data.labels
    own = (labels >= task.first(classes)) & (labels < task.seen(classes))
    kept = [own.nonzero().flatten()]
    for index in range(task.index if task.exemplars else 0):
        earlier = TaskInTurn(index=index, of=task.of)
        network = past[index].student
        for label in range(earlier.first(classes), earlier.seen(classes)):
            ids = (labels == label).nonzero().flatten()
            if len(ids):
                features = _features(network, data.copies[0].index_select(0, ids))
                kept.append(ids[herded(features.cpu(), task.exemplars).to(ids.device)])
    return torch.cat(kept)


@torch.no_grad()
def _features(network: Cohort, inputs: Tensor) -> Tensor:
    network.eval()
    return network.signals(inputs, plain=True)[f"{STUDENT}.features"]


def lifelong_record(
    tasks: Sequence[TaskInTurn],
    finished: Sequence[Finished[Cohort]],
    inputs: Tensor,
    labels: Tensor,
    head: Head,
) -> LifelongRecord:
    """Return what the network after each task knows of every task.

    Args:
        tasks: in order.
        finished: the training of each.
        inputs: held out, shape [samples, *input_shape], on the processor.
        labels: of them.
        head: of all classes; judges the answers.
    """
    outputs = [predict_logits(each.student.exported(STUDENT), inputs) for each in finished]
    return record_of_outputs(tasks, outputs, labels, head)


def record_of_outputs(
    tasks: Sequence[TaskInTurn], outputs: Sequence[Tensor], labels: Tensor, head: Head
) -> LifelongRecord:
    """Return what the logits after each task say of every task.

    Args:
        outputs: after each task, shape [samples, classes].
        labels: shape [samples].
        head: of all classes; judges the answers.
    """
    classes = outputs[0].shape[1]
    where = [(labels >= t.first(classes)) & (labels < t.seen(classes)) for t in tasks]

    def accuracy(index: int, task: int, among: range) -> float:
        """After one task, of the samples of another, as if there were only these classes."""
        said = outputs[index][where[task], among.start : among.stop].numpy()
        targets = labels[where[task]].numpy() - among.start
        return float((head.errors(said, targets) == 0).mean())

    known = [range(task.seen(classes)) for task in tasks]
    matrix = tuple(tuple(accuracy(i, j, known[i]) for j in range(i + 1)) for i in range(len(tasks)))
    last = len(tasks) - 1
    forgetting = fmean(
        max(matrix[i][j] for i in range(j, last + 1)) - matrix[last][j] for j in range(last)
    )
    own = [range(task.first(classes), task.seen(classes)) for task in tasks]
    ahead = [accuracy(i - 1, i, own[i]) - 1 / len(own[i]) for i in range(1, len(tasks))]
    return LifelongRecord(
        accuracies=matrix, forgetting=forgetting, forward_transfer=fmean(ahead),
        mean_accuracy=fmean(matrix[last]),
    )  # fmt: skip
