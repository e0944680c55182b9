"""Pictures and texts are read as the student has them that goes on with them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.boxed import write_coco
from support.drawn import write_drawn
from support.scenes import write_scenes
from support.texts import write_texts

from hwkd.core.catalog import TASKS
from hwkd.core.reading import Reading
from hwkd.io.discovery import discover

discover("hwkd.tasks")


def folders(place: Path) -> Path:
    """Write pictures of 10x12 pixels, a folder for each class."""
    for name in ("cup", "key"):
        (place / name).mkdir(parents=True)
        for number in range(8):
            pixels = np.full((10, 12, 3), 20 * number, np.uint8)
            Image.fromarray(pixels).save(place / name / f"{number}.png")
    return place


SOURCES = {
    "classify": (folders, (3, 16, 24)),
    "segment": (lambda place: write_scenes(place, examples=20), (3, 24, 16)),
    "detect": (lambda place: write_coco(place, examples=20), (3, 24, 16)),
    "count": (lambda place: write_coco(place, examples=20), (3, 24, 16)),
    "draw": (lambda place: write_drawn(place, examples=20), (3, 24, 16)),
    "text": (lambda place: write_texts(place / "texts.csv"), (1, 48)),
}


@pytest.mark.parametrize("name", SOURCES)
def test_raw_inputs_have_the_shape_of_a_student_that_goes_on(name, tmp_path):
    write, shape = SOURCES[name]
    (tmp_path / "made").mkdir()
    place = tmp_path / "made" / "here" if name != "text" else tmp_path / "made"
    source = write(place) or place
    data = TASKS.get(name).data(source, Reading(raw_shape=shape))
    assert data.pipeline.raw_shape[-2:] == shape[-2:]  # pictures may be grey


def test_a_size_that_is_asked_for_comes_first():
    assert Reading(raw_shape=(1, 8, 9), input_size=(3, 4)).size == (3, 4)
    assert Reading().size is None
