"""Things of scenes are in one split only, and nothing of the test is learned in another form."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from tools import scene_data, scene_things


def cut_out(random: np.random.Generator, *, side: int = 40) -> Image.Image:
    """A blot of a few colours, no other like it."""
    coarse = random.integers(0, 255, (6, 6, 4)).astype(np.uint8)
    coarse[..., 3] = np.where(random.random((6, 6)) < 0.6, 255, 0)
    coarse[1, 1, 3] = 255
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.NEAREST)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders as those of the packages, with ten cut-outs and four drawings of each class."""
    random = np.random.default_rng(0)
    for kind in scene_things.KINDS:
        for folder, count in ((f"stamps/{kind.stamps}", 10), (f"drawings/{kind.drawings[0]}", 4)):
            (tmp_path / folder).mkdir(parents=True)
            for number in range(count):
                cut_out(random).save(tmp_path / folder / f"{number}.png")
    (tmp_path / "stamps/animals/notes.png").write_text("no picture")
    monkeypatch.setattr(scene_things, "STAMPS", tmp_path / "stamps")
    monkeypatch.setattr(scene_things, "DRAWINGS", tmp_path / "drawings")
    monkeypatch.setattr(scene_things, "PACKAGES", {})
    monkeypatch.setattr(scene_things, "_signs", lambda kind: iter(()))
    monkeypatch.setattr(
        scene_things, "_solid_signs", lambda: {kind.name: [] for kind in scene_things.KINDS}
    )
    return tmp_path


def test_training_has_drawings_beside_its_share_of_cut_outs(packages: Path) -> None:
    things = scene_things.read_things()
    assert [len(kind) for kind in things["train"]] == [7 + 4] * len(scene_things.KINDS)
    assert [len(kind) for kind in things["val"]] == [1] * len(scene_things.KINDS)
    assert [len(kind) for kind in things["test"]] == [2] * len(scene_things.KINDS)


def test_cut_outs_are_half_of_what_is_drawn_however_many_drawings_there_are(packages: Path) -> None:
    random = np.random.default_rng(7)
    for number in range(17):
        cut_out(random).save(packages / "drawings" / "animals" / f"other{number}.png")
    things = scene_things.read_things()["train"][0]
    different = {thing.tobytes() for thing in things}
    assert (len(things), len(different)) == (3 * 7 + 21, 7 + 21)


@pytest.mark.parametrize("change", [lambda thing: thing, ImageOps.mirror])
def test_a_drawing_that_the_test_shows_is_not_for_training(
    packages: Path, change: Callable[[Image.Image], Image.Image]
) -> None:
    before = scene_things.read_things()
    shown = before["test"][0][0]
    change(shown).resize((90, 90)).save(packages / "drawings" / "animals" / "again.png")
    after = scene_things.read_things()
    assert len(after["train"][0]) == len(before["train"][0])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scene_things, "PACKAGES", {tmp_path / "no": "tuxpaint-stamps-default"})
    with pytest.raises(ValueError, match="tuxpaint-stamps-default; install it with apt"):
        scene_things.read_things()


def test_boxes_hold_the_things_and_masks_their_classes(packages: Path, tmp_path: Path) -> None:
    few = {"train": 6, "val": 3, "test": 3}
    found = scene_data.make_detect(tmp_path / "boxes", few)
    content = json.loads((found / "train.json").read_text())
    assert len(content["images"]) == 6
    for note in content["annotations"]:
        left, top, width, height = note["bbox"]
        assert 0 <= left < left + width <= 96
        assert 0 <= top < top + height <= 96
    masks = scene_data.make_segment(tmp_path / "masks", few)
    for split in ("train", "test"):
        for file in (masks / split / "masks").glob("*.png"):
            shown = np.unique(np.asarray(Image.open(file)))
            assert 1 < len(shown) <= 4
            assert shown.max() <= len(scene_data.CLASSES)


def test_things_of_the_test_are_shown_as_they_are_and_those_of_training_are_not(
    packages: Path,
) -> None:
    for split, cast in scene_data._splits():
        assert cast.is_varied == (split == "train")
    thing = cut_out(np.random.default_rng(1))
    one, other = (scene_data._varied(thing, np.random.default_rng(seed)) for seed in (0, 1))
    assert one.mode == "RGBA"
    assert one.size != other.size
