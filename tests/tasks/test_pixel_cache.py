"""Decoded pixels come back as they were stored, or not at all."""

import numpy as np
import pytest

from hwkd.core.errors import DataError
from hwkd.tasks.pixel_cache import remembered_pixels, store_pixels

PIXELS = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)


@pytest.fixture
def entry(tmp_path):
    store_pixels(tmp_path / "entry", PIXELS, ["RGB images", "größer"])
    return tmp_path / "entry"


def test_pixels_and_notes_come_back(entry):
    pixels, notes = remembered_pixels(entry)
    np.testing.assert_array_equal(pixels, PIXELS)
    assert isinstance(pixels, np.memmap)
    assert notes == ["RGB images", "größer"]


def test_every_flipped_bit_of_the_pixels_is_found(entry):
    values = entry / "values.bin"
    whole = values.read_bytes()
    for place in range(len(whole)):
        values.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(DataError, match="delete this folder to decode again"):
            remembered_pixels(entry)


@pytest.mark.parametrize("name", ["values.bin", "facts.json"])
def test_a_missing_or_cut_file_is_one_line(entry, name):
    file = entry / name
    for content in (file.read_bytes()[:-3], b"", None):
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(DataError, match=r"damaged pixels in the cache: .*delete this folder"):
            remembered_pixels(entry)
        file.write_bytes(b"x")
