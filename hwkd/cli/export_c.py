"""The C part of `hwkd export`: an int8 ONNX file becomes a folder of C99."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwkd.deploy.to_c.project import RecordedInput
    from hwkd.deploy.to_c.steps import Kernels
    from hwkd.qgraph.requantise import Rounding

__all__ = ["export_c"]


def export_c(
    model_path: Path,
    out: Path,
    *,
    rounding: Rounding | None = None,
    kernels: Kernels = "hwkd",
    labels: Sequence[str] = (),
    sample: RecordedInput | None = None,
) -> tuple[Path, ...]:
    """Write the network as C that compiles for any core.

    Args:
        model_path: int8 QDQ ONNX file.
        out: new or empty folder, or one that an earlier export wrote.
        rounding: "float" equals ONNX Runtime, "q31" suits cores without FPU, "tflite" equals TFLM;
            None takes "float", or "q31" with CMSIS-NN.
        kernels: our own, or Arm's CMSIS-NN from the optional package.
        labels: name of each output.
        sample: for main.c; seeded noise when None.

    Returns:
        The files written.

    Raises:
        ModelFileError: if the model cannot be read.
        ExportError: if it has no C form (names the node) or `out` cannot be used.
    """
    from hwkd.deploy.to_c.export import build_project, write_project

    project = build_project(
        model_path, rounding=rounding, kernels=kernels, labels=labels, sample=sample
    )
    write_project(project, out)
    return tuple(sorted(out.iterdir()))
