"""A teacher that is any detector in ONNX: its boxes become outputs as our heads have them."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hwkd.core.box_targets import wanted_outputs
from hwkd.core.boxes import BOX_VALUES, NO_BOX
from hwkd.core.errors import TeacherError, first_line
from hwkd.core.head import Head
from hwkd.core.likeliest import likeliest
from hwkd.core.pipeline_record import PipelineRecord
from hwkd.inference.sessions import start_session
from hwkd.train.detector_adapter import DetectorAdapter, open_adapter
from hwkd.train.head_teacher import HeadTeacher
from hwkd.train.onnx_identity import OnnxParts, onnx_identity
from hwkd.train.teacher_input import SeenInput, seen_input

_BATCH = 64
# Of one picture, the surest boxes that become outputs; and what none and certainty are.
_MOST, _LEAST_SCORE, _NONE, _SURE = 32, 0.05, 0.01, 0.99


@dataclass(frozen=True, kw_only=True)
class DetectorTeacher(HeadTeacher):
    """See `hwkd.train.teacher.Teacher`; made by `load_detector`.

    Attributes:
        identity: SHA-256 of its files, of the adapter and of what it is shown.
        rows: number of each of its classes in the data, -1 where that has none.
        size: (height, width) of its input.
        channels: of its input.
    """

    identity: str
    description: str
    seen: SeenInput
    adapter: DetectorAdapter = field(repr=False)
    rows: NDArray[np.int64] = field(repr=False)
    size: tuple[int, int]
    channels: int
    batch: int
    session: Any = field(repr=False)
    kind: Literal["onnx"] = "onnx"

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return maps as the head has them, shape [n, outputs, height, width]."""
        parts = []
        for start in range(0, len(inputs), self.batch):
            part = inputs[start : start + self.batch]
            boxes, sureness = self._things(self._shown(part), (part.shape[2], part.shape[3]))
            parts.append(self._maps(boxes, sureness, part.shape[2:]))
        cells = [side // self.head.kind.cell_pixels for side in inputs.shape[2:]]
        empty = np.empty((0, self.head.size, *cells), dtype=np.float32)
        return np.concatenate(parts or [empty])

    def _shown(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        shown = torch.from_numpy(np.ascontiguousarray(inputs))
        if tuple(shown.shape[2:]) != self.size:
            shown = torch.nn.functional.interpolate(
                shown, self.size, mode="bilinear", align_corners=False
            )
        # Grey pictures have the same in each channel.
        repeated = shown.expand(-1, self.channels, -1, -1) if shown.shape[1] == 1 else shown
        return np.ascontiguousarray(self.seen.of_array(repeated.numpy()))

    def _things(
        self, shown: NDArray[np.float32], wanted: tuple[int, int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return boxes, [n, 32, 5] as targets have them, and how sure each is, [n, 32]."""
        names = [self.adapter.boxes, self.adapter.scores]
        names += [self.adapter.labels] if self.adapter.labels else []
        count, source = len(shown), self.session.get_inputs()[0].name
        padded = np.concatenate([shown, np.repeat(shown[-1:], self.batch - count, axis=0)])
        try:
            found = self.session.run(names, {source: padded})
        except Exception as error:  # ONNX Runtime's exceptions share no narrower public base.
            raise TeacherError(
                f"teacher {self.name}: ONNX Runtime cannot run it on inputs of shape "
                f"{padded.shape}: {first_line(error)}"
            ) from error
        boxes, scores, *labels = (np.asarray(array)[:count] for array in found)
        boxes, best, label = self._of_classes(boxes, scores, labels)
        corners = self.adapter.corners(boxes, self.size, wanted)
        things = min(_MOST, best.shape[1])
        order = np.argsort(-best, axis=1, kind="stable")[:, :things]
        rows = np.take_along_axis(self.rows[label], order, axis=1)
        sure = np.take_along_axis(best, order, axis=1)
        ends = np.take_along_axis(corners, order[..., None], axis=1)
        is_box = (rows >= 0) & (sure >= _LEAST_SCORE) & (ends[..., 2:] > ends[..., :2]).all(-1)
        made = np.zeros((count, things, BOX_VALUES), dtype=np.float32)
        made[..., 0] = np.where(is_box, rows, NO_BOX)
        made[..., 1:] = ends * is_box[..., None]
        return made, (sure * is_box).astype(np.float32)

    def _of_classes(
        self, boxes: NDArray[Any], scores: NDArray[Any], labels: list[NDArray[Any]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Return boxes [n, things, 4], the score of each, and the number of its class.

        Raises:
            TeacherError: if the outputs have other shapes than the adapter says.
        """
        adapter, known = self.adapter, len(self.adapter.classes)
        given = f"{adapter.boxes} has shape {boxes.shape} and {adapter.scores} {scores.shape}"
        if boxes.ndim == 3 and boxes.shape[1] == 4 != boxes.shape[2]:
            boxes = boxes.transpose(0, 2, 1)
        if scores.ndim == 3 and scores.shape[1] == known != scores.shape[2]:
            scores = scores.transpose(0, 2, 1)
        shape = boxes.shape[:2] if labels else (*boxes.shape[:2], known)
        if boxes.ndim != 3 or boxes.shape[2] != 4 or scores.shape != shape:
            raise TeacherError(
                f"teacher {self.name}: {given}; expected (n, things, 4) and {shape}; correct "
                "boxes, scores, labels or classes in the adapter"
            )
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise TeacherError(
                f"teacher {self.name}: boxes or scores hold NaN or infinite values; check input"
            )
        wide = boxes.astype(np.float64)
        if not labels:
            return wide, scores.max(axis=2).astype(np.float64), likeliest(scores, axis=2)
        numbers = np.rint(labels[0]).astype(np.int64) - adapter.first_label
        inside = (numbers >= 0) & (numbers < known)
        return wide, scores.astype(np.float64) * inside, np.where(inside, numbers, 0)

    def _maps(
        self, boxes: NDArray[np.float32], sureness: NDArray[np.float32], size: tuple[int, ...]
    ) -> NDArray[np.float32]:
        """Return outputs that are decoded into the boxes again."""
        classes = self.head.size - (self.head.kind.edges or 0)
        height, width = (side // self.head.kind.cell_pixels for side in size)
        wanted = wanted_outputs(
            torch.from_numpy(boxes), classes=classes, grid=(height, width),
            sureness=torch.from_numpy(sureness),
        )  # fmt: skip
        heat = wanted.heat.clamp(_NONE, _SURE).logit()
        maps = torch.cat([heat, wanted.edges], dim=1) if self.head.kind.edges else heat
        outputs: NDArray[np.float32] = maps.numpy().astype(np.float32)
        return outputs


def load_detector(
    path: Path, *, input_shape: tuple[int, ...], head: Head, pipeline: PipelineRecord
) -> DetectorTeacher:
    """Open a detector by its adapter.

    Args:
        path: of the adapter.
        input_shape: of the data, without batch.
        pipeline: that students' inputs went through.

    Raises:
        TeacherError: if adapter, detector or data do not fit; one line says where.
    """
    if head.kind.edges is None:
        raise TeacherError(
            f"--teacher {path}: is the adapter of a detector, and the task learns "
            f"{head.kind.name}; use it with --task detect or --task count"
        )
    adapter = open_adapter(path)
    names = head.names[: head.size - head.kind.edges]
    rows = np.array([names.index(name) if name in names else -1 for name in adapter.classes])
    if not (rows >= 0).any():
        raise TeacherError(
            f"--teacher {path}: classes {', '.join(adapter.classes[:5])} are none of the data's "
            f"({', '.join(names[:5])}); name them as the data does"
        )
    model = path.parent / adapter.model
    if not model.is_file():
        raise TeacherError(f"--teacher {path}: model {adapter.model}: no such file beside it")
    parts = OnnxParts(model)
    try:
        session = start_session(model, threads=0, accelerator="cpu", says="nothing")
    except Exception as error:  # ONNX Runtime's exceptions share no narrower public base.
        raise TeacherError(
            f"--teacher {path}: {adapter.model} is no model that ONNX Runtime opens: "
            f"{first_line(error)}"
        ) from error
    _require_outputs(session, adapter, path)
    seen = seen_input(adapter.expected(path), pipeline)
    batch, channels, size = _input_of(session, path, input_shape, seen)
    content = f"{onnx_identity(parts)} {adapter.model_dump_json()}"
    return DetectorTeacher(
        name=path.name,
        identity=seen.identity_of(hashlib.sha256(content.encode()).hexdigest()),
        description=f"detector {adapter.model} by {path.name}, {math.ceil(parts.total_bytes / 1e3)}"
        f" kB; of its classes the data has {int((rows >= 0).sum())}",
        seen=seen,
        head=head,
        adapter=adapter,
        rows=rows.astype(np.int64),
        size=size,
        channels=channels,
        batch=batch or _BATCH,
        session=session,
    )


def _require_outputs(session: Any, adapter: DetectorAdapter, path: Path) -> None:
    there = [output.name for output in session.get_outputs()]
    for key in ("boxes", "scores", "labels"):
        name = getattr(adapter, key)
        if name is not None and name not in there:
            raise TeacherError(
                f"--teacher {path}: {key} = {name!r} is no output of {adapter.model}, which has "
                f"{', '.join(there)}; name one of them"
            )


def _input_of(
    session: Any, path: Path, input_shape: tuple[int, ...], seen: SeenInput
) -> tuple[int | None, int, tuple[int, int]]:
    """Return the batch that the file fixes, and channels, height and width of its input."""
    sources = session.get_inputs()
    shape = list(sources[0].shape)
    if len(sources) != 1 or sources[0].type != "tensor(float)" or len(shape) != 4:
        given = ", ".join(f"{each.name}: {each.type} {each.shape}" for each in sources)
        raise TeacherError(f"--teacher {path}: takes ({given}); expected one picture of float32")
    if seen.wanted.channels_last:
        shape = [shape[0], shape[3], *shape[1:3]]
    wanted = [
        have if isinstance(have, int) else need
        for have, need in zip(shape[1:], input_shape, strict=True)
    ]
    if input_shape[0] not in (1, wanted[0]):
        raise TeacherError(
            f"--teacher {path}: takes {wanted[0]} channels; the data has {input_shape[0]}; give a "
            "detector of as many, or pictures in grey"
        )
    return shape[0] if isinstance(shape[0], int) else None, wanted[0], (wanted[1], wanted[2])
