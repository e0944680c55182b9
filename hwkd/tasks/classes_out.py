"""What heads have in common whose outputs are logits of classes, along the second axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import log_softmax, softmax

from hwkd.core.arrays import Floats
from hwkd.tasks.named_outputs import NamedOutputs


class ClassesOut(NamedOutputs):
    """Logits of shape [n, classes], or [n, classes, height, width]; see `hwkd.core.head.Head`."""

    __slots__ = ()

    def divergence(self, outputs: Floats, teacher: Floats, *, temperature: float) -> float:
        """Return the mean KL divergence from the teacher's soft targets, in nats.

        It is not multiplied by the temperature's square, so it stays in nats.

        Source:
            Hinton et al. 2015, arXiv:1503.02531, section 2.
        """
        if outputs.shape != teacher.shape:
            raise ValueError(f"shapes differ: {outputs.shape} and {teacher.shape}")
        scaled_teacher = teacher.astype(np.float64) / temperature
        gap = log_softmax(scaled_teacher, axis=1)
        gap -= log_softmax(outputs.astype(np.float64) / temperature, axis=1)
        return float((softmax(scaled_teacher, axis=1) * gap).sum(axis=1).mean())

    def of_teacher(self, answers: Floats) -> Floats:
        """Return logits as they are and probabilities as their logarithms."""
        if (answers >= 0).all() and np.allclose(answers.sum(axis=1), 1.0, atol=1e-3):
            # The network ends in a softmax; the smallest normal half-precision number is the
            # floor because the logit cache holds float16.
            return np.log(np.maximum(answers, np.float32(6.1e-5)))
        return answers

    def mean_of(self, answers: Sequence[Floats]) -> Floats:
        """Return the logarithm of the mean probability.

        A mean of logits would let a teacher with large ones outvote the rest.
        """
        import torch

        logs = [torch.log_softmax(torch.from_numpy(np.array(each)), dim=1) for each in answers]
        share = -math.log(len(logs))
        mean: Floats = torch.stack([log + share for log in logs]).logsumexp(0).numpy()
        return mean

    def centred(self, outputs: Floats) -> Floats:
        """Take the mean off each row, which no class gains or loses by."""
        centred: Floats = outputs - outputs.mean(axis=1, keepdims=True)
        return centred
