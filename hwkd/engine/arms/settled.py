"""What is done to a student between its training and its files."""

from __future__ import annotations

import torch
from torch import Tensor

from hwkd.core.evenly import evenly
from hwkd.core.head import Head, SettlesOutputs
from hwkd.nn.build import StudentModule
from hwkd.nn.output_bias import output_bias
from hwkd.train.loop import predict_logits

# A segmenter of 25,000 weights, settled on 1,200 pictures that it had learned from: a mean IoU of
# .582 to .599 on them, and of .539 to .549 on validation.
_MOST_PICTURES = 500


def settle_outputs(module: StudentModule, head: Head, inputs: Tensor, labels: Tensor) -> None:
    """Move the outputs of a trained student to where they are scored best on what it learned from.

    Nothing changes where the head says nothing of it, or no bias is added to all outputs.

    Args:
        inputs: with labels, shape [samples, *input_shape]; some of many are asked.
    """
    if not isinstance(head, SettlesOutputs):
        return
    bias = output_bias(module)
    if bias is None:
        return
    rows = torch.from_numpy(evenly(len(inputs), _MOST_PICTURES)).to(inputs.device)
    outputs = predict_logits(module, inputs.index_select(0, rows)).float().cpu().numpy()
    offsets = head.offsets(outputs, labels.index_select(0, rows).cpu().numpy())
    bias.detach().add_(torch.from_numpy(offsets).to(bias.device))
