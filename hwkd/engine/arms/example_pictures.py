"""Pictures that a student sees worst, with what is there and what it names drawn into them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hwkd.core.decision_record import SeenPictureRecord
from hwkd.core.head import Head
from hwkd.tasks.base import TaskData

_SHOWN = 6
_LEAST_SIDE = 192
_COLOURS = 64
GIVEN_COLOUR, NAMED_COLOUR = "#2e9e4f", "#e8590c"


def worst_pictures(
    data: TaskData, head: Head, outputs: NDArray[np.float32]
) -> tuple[SeenPictureRecord, ...]:
    """Return the pictures of test with the largest errors; none where outputs are no maps.

    Args:
        head: with the threshold that ships.
        outputs: of the network for the test split.
    """
    if not head.kind.of_maps or len(data.input_shape) != 3:
        return ()
    test = data.test
    errors = head.errors(outputs, test.labels)
    worst = np.argsort(-errors, kind="stable")[:_SHOWN]
    answers = head.answers(outputs[worst], test.inputs[worst])
    return tuple(
        SeenPictureRecord(
            given=head.answer_text(test.labels[at]),
            error=float(errors[at]),
            png=_drawn(test.inputs[at], test.labels[at], answer, head.names),
        )
        for at, answer in zip(worst, answers, strict=True)
    )


def _drawn(
    inputs: NDArray[np.float32], given: NDArray[Any], named: NDArray[Any], names: Sequence[str]
) -> str:
    """Return a PNG in base64: boxes in the picture, or masks or pictures side by side with it.

    Args:
        names: of the classes of boxes.
    """
    picture = _picture(inputs)
    scale = max(1, -(-_LEAST_SIDE // max(picture.size)))
    shown = picture.resize(
        (picture.width * scale, picture.height * scale), Image.Resampling.NEAREST
    )
    if given.ndim == 3:
        shown = _row([picture, _picture(given), _picture(named.astype(np.float32))])
    elif given.dtype.kind == "f":
        pen = ImageDraw.Draw(shown)
        for boxes, edges, colour, corner in (
            (given, given[:, 1:], GIVEN_COLOUR, "la"),
            (named, named[:, 2:], NAMED_COLOUR, "ld"),
        ):
            for row in np.flatnonzero(boxes[:, 0] >= 0):
                left, top, right, bottom = (edges[row] * scale).round().tolist()
                pen.rectangle((left, top, right, bottom), outline=colour, width=2)
                # What is there stands at the upper edge, what is named at the lower one.
                at = (left + 4, top + 3 if corner == "la" else bottom - 3)
                text = names[int(boxes[row, 0])] if len(names) > 1 else ""
                pen.text(at, text, fill=colour, anchor=corner, stroke_width=2, stroke_fill="white")
    else:
        shown = _side_by_side(picture, given, named)
    stream = io.BytesIO()
    shown.quantize(_COLOURS).save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def _picture(inputs: NDArray[np.float32]) -> Image.Image:
    """Return normalised inputs, [channels, height, width], as a picture with all its levels."""
    low, high = float(inputs.min()), float(inputs.max())
    levels = ((inputs - low) * (255.0 / max(high - low, 1e-9))).astype(np.uint8)
    three = np.broadcast_to(levels if len(levels) == 3 else levels[:1], (3, *levels.shape[1:]))
    return Image.fromarray(np.ascontiguousarray(three.transpose(1, 2, 0)))


def _side_by_side(picture: Image.Image, given: NDArray[Any], named: NDArray[Any]) -> Image.Image:
    """Return the picture, its mask and the one that was named."""
    shades = np.random.default_rng(1).integers(40, 256, (256, 3)).astype(np.uint8)
    shades[0] = 0
    masks = (Image.fromarray(shades[m.astype(np.int64) % len(shades)]) for m in (given, named))
    return _row([picture, *masks])


def _row(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return pictures of one size beside each other."""
    width, height = pictures[0].size
    row = Image.new("RGB", (len(pictures) * (width + 4) - 4, height), "white")
    for place, picture in enumerate(pictures):
        row.paste(picture, (place * (width + 4), 0))
    return row.resize((2 * row.width, 2 * row.height), Image.Resampling.NEAREST)
