"""Decodes one PNG or JPEG file: turned as its EXIF says, with all levels of 16-bit grey."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from hwkd.core.errors import DataError, first_line
from hwkd.core.printable import printable

# The bound that Pillow warns at: 9,459 x 9,459. Such a picture takes up to a gigabyte while it is
# decoded, whatever its file's size.
_MOST_PICTURE_PIXELS = 89_478_485
# Deflate shrinks to 1/1032 at best (zlib's technical details), of one bit a pixel at least.
_MOST_PNG_PIXELS_PER_BYTE = 1032 * 8
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
# Pillow's modes that lose or reinterpret something on the way to RGB.
_CONVERTED = {
    "1": "black and white", "P": "palette", "PA": "palette", "CMYK": "CMYK", "YCbCr": "YCbCr",
    "LAB": "Lab", "HSV": "HSV",
}  # fmt: skip
_LYING = frozenset({5, 6, 7, 8})
_ORIENTATION_KEYS = frozenset({"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFacts:
    """What the head of a picture file says.

    Attributes:
        is_turned: EXIF says that the camera was not upright.
        has_16_bits: grey of 16 bits, which keep their levels.
        loses_bits: colour of 16 bits, of which the upper eight are read.
        kind: how its colours are stored where reading them converts ("CMYK", "palette"); empty
            for grey and RGB.
        is_transparent: has an alpha channel or a transparent colour, shown on white.
        frames: of an animation, of which the first is read; 1 of a picture.
    """

    height: int
    width: int
    is_turned: bool
    has_16_bits: bool
    loses_bits: bool
    is_transparent: bool
    frames: int
    kind: str


def read_picture_facts(file: str) -> PictureFacts:
    """Read the head of `file`.

    Raises:
        DataError: if it is no PNG or JPEG, is damaged, or has more than 89 million pixels.
    """
    with _opened(file) as image:
        try:
            return _facts(image)
        except Exception as error:  # as in `decode_picture`: a palette may be missing
            raise _unreadable(file, error) from error


def _facts(image: Image.Image) -> PictureFacts:
    orientation = _orientation(image)
    width, height = image.size
    if orientation in _LYING:
        width, height = height, width
    has_16_bits = image.mode.startswith("I")
    # (decoder, box, offset, how pixels are stored), which Pillow's types leave out.
    tiles: list[Any] = getattr(image, "tile", [])
    stored = str(tiles[0][3]) if tiles else ""
    return PictureFacts(
        height=height,
        width=width,
        is_turned=orientation in _TURNS,
        has_16_bits=has_16_bits,
        loses_bits="16B" in stored and not has_16_bits,
        is_transparent=image.has_transparency_data,
        frames=int(getattr(image, "n_frames", 1)),
        kind=_CONVERTED.get(image.mode, ""),
    )


def decode_picture(
    file: str, *, height: int, width: int, dtype: type[np.uint8] | type[np.uint16]
) -> NDArray[Any]:
    """Return pixels, shape [3, height, width]; grey is repeated, transparency is white.

    Args:
        dtype: uint16 keeps 16-bit levels and multiplies those of 8 bits by 257, so that white
            stays white; uint8 takes the upper eight bits.

    Raises:
        DataError: if the file is damaged.
    """
    with _opened(file) as image:
        # Pillow's decoders raise whatever a damaged file leads them to, struct.error and
        # KeyError included; the file is at fault, and the message names it.
        try:
            return _pixels(image, height, width, dtype)
        except Exception as error:
            raise _unreadable(file, error) from error


def decode_mask(file: str) -> NDArray[np.uint8]:
    """Return the numbers of a PNG mask, shape [height, width]: grey levels or places in a palette.

    Raises:
        DataError: if the file is damaged, or holds colours in place of numbers.
    """
    with _opened(file) as image:
        if image.format != "PNG" or image.mode not in ("L", "P", "1"):
            raise DataError(
                f"{printable(file)}: {image.format} of mode {image.mode}, expected a PNG of grey "
                "levels or of a palette in which each pixel is the number of its class; save the "
                "mask so"
            )
        try:
            numbers = np.asarray(image)
        except Exception as error:  # as in `decode_picture`
            raise _unreadable(file, error) from error
        return numbers.astype(np.uint8) * (255 if image.mode == "1" else 1)


@contextmanager
def pictures_quietly() -> Iterator[None]:
    """Switch off Pillow's warnings about large pictures and odd chunks while threads decode."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _pixels(
    image: Image.Image, height: int, width: int, dtype: type[np.uint8] | type[np.uint16]
) -> NDArray[Any]:
    image.load()
    turn = _TURNS.get(_orientation(image))
    is_deep = image.mode.startswith("I")
    # Pillow's own conversion clips 16-bit grey at 255; as float it can be resized, too.
    shown = image.convert("F") if is_deep else _as_rgb(image)
    if turn is not None:
        shown = shown.transpose(turn)
    if shown.size != (width, height):
        shown = shown.resize((width, height), Image.Resampling.BILINEAR)
    if not is_deep:
        levels = np.asarray(shown).transpose(2, 0, 1)
        return levels if dtype is np.uint8 else levels.astype(np.uint16) * np.uint16(257)
    grey = np.clip(np.rint(np.asarray(shown)), 0, 65535).astype(np.uint16)
    if dtype is np.uint8:
        grey = (grey >> 8).astype(np.uint8)
    return np.broadcast_to(grey, (3, height, width))


def _as_rgb(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    shown = image if image.mode == "RGBA" else image.convert("RGBA")
    paper = Image.new("RGB", shown.size, "white")
    paper.paste(shown, mask=shown.getchannel("A"))
    return paper


def _orientation(image: Image.Image) -> int:
    if not _ORIENTATION_KEYS & image.info.keys():
        return 1
    # A damaged EXIF block says nothing about the pixels; viewers show such pictures upright.
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def _opened(file: str) -> Image.Image:
    try:
        image = Image.open(file, formats=("PNG", "JPEG"))
    except PermissionError:
        raise
    except Exception as error:
        raise _unreadable(file, error) from error
    pixels = image.width * image.height
    file_bytes = os.stat(file).st_size  # noqa: PTH116
    if image.format == "PNG" and pixels > _MOST_PNG_PIXELS_PER_BYTE * file_bytes:
        image.close()
        raise DataError(
            f"{printable(file)}: unreadable image (it claims {image.width} x {image.height} "
            "pixels, more than its bytes can hold); replace or remove this file"
        )
    if pixels > _MOST_PICTURE_PIXELS:
        image.close()
        raise DataError(
            f"{printable(file)}: {image.width} x {image.height} pixels, more than "
            f"{_MOST_PICTURE_PIXELS:,}; make this picture smaller or remove it"
        )
    return image


def _why(file: str, error: Exception) -> str:
    if not os.stat(file).st_size:  # noqa: PTH116
        return "empty, 0 bytes"
    if isinstance(error, UnidentifiedImageError):  # its text repeats the path
        return "neither PNG nor JPEG, whatever its name says"
    if not str(error):  # Pillow's own assertions, as for a palette that is not there
        return "a part of it is missing or contradicts the rest"
    return printable(first_line(error))


def _unreadable(file: str, error: Exception) -> DataError:
    return DataError(
        f"{printable(file)}: unreadable image ({_why(file, error)}); replace or remove this file"
    )
