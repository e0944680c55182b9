"""Pictures that a student sees worst, with what is there and what it names drawn into them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

from hwkd.core.class_colours import NO_CLASS, class_colours
from hwkd.core.decision_record import SeenPictureRecord
from hwkd.core.head import Head
from hwkd.tasks.base import TaskData

_SHOWN = 6
_LEAST_WIDTH = 384
# Of one picture: three of noise in 64 colours fit into a record then.
_MOST_SIDE = 480
_GAP = 4
# Of a photo; a PNG has 256, the others are those of classes and of what is written.
_COLOURS = 64
_ALL_COLOURS = 256
_WITHOUT_CLASS = "no class"


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
        _seen(head, test.inputs[at], test.labels[at], answer, float(errors[at]))
        for at, answer in zip(worst, answers, strict=True)
    )


def _seen(
    head: Head,
    inputs: NDArray[np.float32],
    given: NDArray[Any],
    named: NDArray[Any],
    error: float,
) -> SeenPictureRecord:
    """Return one picture: boxes or points in it twice, or masks or pictures beside it."""
    picture = _picture(inputs)
    colours: dict[str, str] = {}
    if head.kind.edges is not None:
        shown, colours = _with_things(head, picture, given, named)
    elif given.ndim == 3:
        shown = _row(_enlarged([picture, _picture(given), _picture(named.astype(np.float32))]))
    else:
        shown, colours = _with_masks(head.names, picture, given, named)
    stream = io.BytesIO()
    shown.quantize(_ALL_COLOURS, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    png = base64.b64encode(stream.getvalue()).decode("ascii")
    return SeenPictureRecord(given=head.answer_text(given), error=error, png=png, colours=colours)


def _picture(inputs: NDArray[np.float32]) -> Image.Image:
    """Return normalised inputs, [channels, height, width], as a picture with all its levels."""
    low, high = float(inputs.min()), float(inputs.max())
    levels = ((inputs - low) * (255.0 / max(high - low, 1e-9))).astype(np.uint8)
    three = np.broadcast_to(levels if len(levels) == 3 else levels[:1], (3, *levels.shape[1:]))
    picture = Image.fromarray(np.ascontiguousarray(three.transpose(1, 2, 0)))
    return picture.quantize(_COLOURS).convert("RGB")


def _with_masks(
    names: Sequence[str], picture: Image.Image, given: NDArray[Any], named: NDArray[Any]
) -> tuple[Image.Image, dict[str, str]]:
    """Return the picture, its mask and the one that was named, and the colours of both."""
    colours = (*class_colours(len(names), has_ground=True), NO_CLASS)
    shades = np.array([ImageColor.getrgb(colour) for colour in colours], dtype=np.uint8)
    # -1, a position without a class, is the last colour.
    masks = [Image.fromarray(shades[mask.astype(np.int64)]) for mask in (given, named)]
    there = sorted({int(number) % len(colours) for mask in (given, named) for number in mask.flat})
    told = (*names, _WITHOUT_CLASS)
    return _row(_enlarged([picture, *masks])), {told[at]: colours[at] for at in there}


def _with_things(
    head: Head, picture: Image.Image, given: NDArray[Any], named: NDArray[Any]
) -> tuple[Image.Image, dict[str, str]]:
    """Return the picture with what is there and again with what is named, and the colours."""
    names = head.names[: len(head.names) - (head.kind.edges or 0)]
    colours = class_colours(len(names), has_ground=False)
    sides = _enlarged([picture, picture])
    scale = sides[0].width / picture.width
    there: set[int] = set()
    for side, rows, is_named in zip(sides, (given, named), (False, True), strict=True):
        pen = ImageDraw.Draw(side)
        for row in rows[rows[:, 0] >= 0]:
            number = int(row[0])
            there.add(number)
            box = [float(edge) * scale for edge in row[-4:]]
            is_point = is_named and not head.kind.edges
            (_draw_point if is_point else _draw_box)(pen, box, colours[number])
            words = [names[number]] if len(names) > 1 else []
            words += [f"{row[1]:.0%}"] if is_named else []
            # Below a point, which it would hide, and inside of a box.
            place = (box[0], (box[1] + box[3]) / 2 + 7) if is_point else (box[0] + 4, box[1] + 3)
            _write(pen, side, place, " ".join(words))
    return _row(sides), {names[number]: colours[number] for number in sorted(there)}


def _draw_box(pen: ImageDraw.ImageDraw, box: Sequence[float], colour: str) -> None:
    """Draw a box that stands out on any ground."""
    left, top, right, bottom = box
    pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline="black", width=4)
    pen.rectangle((left, top, right, bottom), outline=colour, width=2)


def _draw_point(pen: ImageDraw.ImageDraw, box: Sequence[float], colour: str) -> None:
    """Draw a disc in the middle of a point's cell."""
    left, top, right, bottom = box
    pen.circle(((left + right) / 2, (top + bottom) / 2), 5, fill=colour, outline="black", width=2)


def _write(
    pen: ImageDraw.ImageDraw, picture: Image.Image, place: tuple[float, float], words: str
) -> None:
    """Write with the upper left corner at a place, or so near that it is inside of the picture."""
    _, _, wide, high = pen.textbbox((0, 0), words)
    left = max(1.0, min(place[0], picture.width - wide - 2))
    top = max(1.0, min(place[1], picture.height - high - 2))
    pen.text((left, top), words, fill="white", stroke_width=2, stroke_fill="black")


def _enlarged(pictures: Sequence[Image.Image]) -> list[Image.Image]:
    """Return pictures of one size in whole multiples of it, so large that a row is seen well.

    Those that would not fit into a record are smaller.
    """
    width, height = pictures[0].size
    longer = max(width, height)
    scale: float = max(1, -(-_LEAST_WIDTH // (len(pictures) * longer)))
    scale = min(scale, _MOST_SIDE / longer) if longer > _MOST_SIDE else scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return [picture.resize(size, Image.Resampling.NEAREST) for picture in pictures]


def _row(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return pictures of one size beside each other."""
    width, height = pictures[0].size
    row = Image.new("RGB", (len(pictures) * (width + _GAP) - _GAP, height), "white")
    for place, picture in enumerate(pictures):
        row.paste(picture, (place * (width + _GAP), 0))
    return row
