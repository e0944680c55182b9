"""What a detector of somebody else's takes and gives, as a small TOML file beside it says."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from hwkd.core.errors import ConfigError, TeacherError
from hwkd.core.strict_model import StoredInt, StrictModel, first_problem
from hwkd.core.teacher_input import TeacherInput
from hwkd.io.text_files import MalformedTextError, read_toml

_EXAMPLE = (
    'model = "detector.onnx", boxes = "boxes", scores = "scores", form = "xyxy", '
    'units = "pixels", classes = ["cat", "dog"]'
)


class DetectorAdapter(StrictModel):
    """A detector in ONNX, by the names of its outputs.

    Attributes:
        model: the ONNX file, beside the adapter.
        input: what it takes, as `--teacher-input` says it.
        boxes: output [pictures, things, 4], or [pictures, 4, things].
        scores: output [pictures, things, classes], [pictures, classes, things], or [pictures,
            things] with `labels`; probabilities.
        labels: output [pictures, things] with a number of a class; None takes the likeliest.
        form: what the four numbers of a box are: corners, corner and size, or middle and size.
        units: they are pixels of the detector's input, or ratios of its sides.
        classes: their names in the order of the detector; those that the data lacks are ignored.
        first_label: number of the first class in `labels`.
    """

    model: str
    input: str = "unit"
    boxes: str
    scores: str
    labels: str | None = None
    form: Literal["xyxy", "xywh", "cxcywh"]
    units: Literal["pixels", "ratio"]
    classes: tuple[str, ...]
    first_label: StoredInt = 0

    def expected(self, path: Path) -> TeacherInput:
        """Return what the detector takes.

        Raises:
            TeacherError: if no such input is known.
        """
        try:
            return TeacherInput.parse(self.input)
        except ConfigError as error:
            raise TeacherError(f"--teacher {path}: input: {error}") from None

    def corners(
        self, boxes: NDArray[np.float64], size: tuple[int, int], wanted: tuple[int, int]
    ) -> NDArray[np.float64]:
        """Return left, top, right and bottom in pixels of the data, shape [..., 4].

        Args:
            boxes: as the detector gives them.
            size: (height, width) of its input.
            wanted: (height, width) of the data's pictures.
        """
        first, second = boxes[..., :2], boxes[..., 2:]
        if self.form == "xywh":
            second = first + second
        elif self.form == "cxcywh":
            first, second = first - second / 2, first + second / 2
        whole = np.array([wanted[1], wanted[0]], dtype=np.float64)
        given = np.array([size[1], size[0]]) if self.units == "pixels" else np.ones(2)
        ends = [np.clip(corner * (whole / given), 0.0, whole) for corner in (first, second)]
        return np.concatenate(ends, axis=-1)


def open_adapter(path: Path) -> DetectorAdapter:
    """Read an adapter file.

    Raises:
        TeacherError: if it is none; one line names the key and what it may be.
    """
    try:
        adapter = DetectorAdapter.model_validate(read_toml(path))
    except MalformedTextError as error:
        raise TeacherError(f"--teacher {path}: {error}; give a TOML file with {_EXAMPLE}") from None
    except ValidationError as error:
        problem = first_problem(error, whole="file", with_input=True)
        raise TeacherError(
            f"--teacher {path}: {problem}; an adapter is a TOML file with {_EXAMPLE}"
        ) from None
    if Path(adapter.model).name != adapter.model:
        raise TeacherError(
            f"--teacher {path}: model {adapter.model!r}: expected the name of an ONNX file "
            "beside it"
        )
    return adapter
