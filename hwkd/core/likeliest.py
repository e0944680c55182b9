"""Which class outputs name: the one rule of tasks, teachers, makers of samples and probes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


@overload
def likeliest(outputs: Tensor, axis: int = 1) -> Tensor: ...


@overload
def likeliest(outputs: NDArray[Any], axis: int = 1) -> NDArray[np.int64]: ...


def likeliest(outputs: Any, axis: int = 1) -> Any:
    """Return the index of the largest output along the axis of classes; of equals the first.

    Args:
        outputs: logits, probabilities or scores, an array or a tensor.
    """
    return outputs.argmax(axis)
