"""Things with outlines for scenes, each in one split only: cut-outs of Tux Paint, drawings, emoji.

What validation and test show are cut-outs of the Debian package tuxpaint-stamps-default (GPL-2; for
tests alone). Of some classes only 27 of them are left for training, too few to tell what others
look like, so training has drawings of openclipart-png (public domain) and signs of
fonts-noto-color-emoji (OFL; their kinds are said by unicode-data) and of Fluent Emoji (MIT; shaded
as if they were solid; from npm) beside them. Half of what is drawn of a class is cut-outs still, as
they look like those of validation and test. What looks nearly like one of these, mirrored or not,
is not for training.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from tools.npm_package import NpmPackage

STAMPS = Path("/usr/share/tuxpaint/stamps")
DRAWINGS = Path("/usr/share/openclipart/png")
SIGNS = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
SIGN_KINDS = Path("/usr/share/unicode/emoji/emoji-test.txt")
PACKAGES = {
    STAMPS: "tuxpaint-stamps-default",
    DRAWINGS: "openclipart-png",
    SIGNS: "fonts-noto-color-emoji",
    SIGN_KINDS: "unicode-data",
}
_SOLID_SIGNS = NpmPackage(
    name="@lobehub/fluent-emoji-3d@1.1.0",
    sha256="c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
    brings="things of scenes",
)
_SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}  # of the cut-outs of each class
_SOLID = 128  # alpha from which on a pixel is the thing's
_MOST_SIDE = 160  # pixels of a thing that is kept; scenes show it smaller
_MOST_PIXELS = 1_500_000  # of a drawing; a few have hundreds of millions
_SIGN_SIDE = 109  # the one size that the font has, in pixels
# A drawing that fills its rectangle has no outline; one of hardly any pixels is nothing to see.
_FILLED_RATIO, _EMPTY_RATIO = 0.97, 0.08
_LIKENESS_SIDE, _SAME_FROM = 16, 0.88


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A class, and where its things are found.

    Attributes:
        stamps: folders of cut-outs; each splits its own files.
        drawings: folders of drawings, for training alone.
        signs: groups of emoji, for training alone.
    """

    name: str
    stamps: str
    drawings: tuple[str, ...]
    signs: tuple[str, ...]


KINDS = (
    Kind(name="animals", stamps="animals", drawings=("animals",), signs=("animal-",)),
    Kind(name="food", stamps="food", drawings=("food",), signs=("food-",)),
    Kind(name="plants", stamps="plants", drawings=("plants",), signs=("plant-",)),
    Kind(
        name="town",
        stamps="town",
        drawings=("buildings/homes", "transportation/roadsigns"),
        signs=("place-building", "place-religious"),
    ),
    Kind(
        name="vehicles",
        stamps="vehicles",
        drawings=("transportation/vehicles", "transportation/boating"),
        signs=("transport-",),
    ),
)


def read_things() -> dict[str, list[list[Image.Image]]]:
    """Return the things of each split and class, RGBA, of which no edge is empty.

    Raises:
        ValueError: if a package is not installed, or that of npm is another.
    """
    for path, package in PACKAGES.items():
        if not path.exists():
            raise ValueError(f"scenes need the package {package}; install it with apt")
    solid = _solid_signs()
    found = _stamps(np.random.default_rng(0))
    unseen = np.stack([_likeness(t) for s in ("val", "test") for kind in found[s] for t in kind])
    known = unseen.reshape(len(unseen), -1)
    for kind, things in zip(KINDS, found["train"], strict=True):
        others = [*_drawings(kind), *_signs(kind), *solid[kind.name]]
        own, others = (
            [thing for thing in some if not _is_known(thing, known)] for some in (things, others)
        )
        things[:] = [*as_often(own, others), *others]
    return found


def as_often(few: Sequence[Image.Image], many: Sequence[Image.Image]) -> list[Image.Image]:
    """Return few things so many times that they are drawn about as often as many others."""
    return list(few) * max(1, round(len(many) / max(1, len(few))))


def _stamps(random: np.random.Generator) -> dict[str, list[list[Image.Image]]]:
    """Return the cut-outs of each split and class."""
    found: dict[str, list[list[Image.Image]]] = {split: [] for split in _SHARES}
    for kind in KINDS:
        opened = (_opened(file) for file in sorted((STAMPS / kind.stamps).rglob("*.png")))
        things = [thing for thing in opened if thing is not None]
        order = random.permutation(len(things))
        start = 0.0
        for split, share in _SHARES.items():
            first, start = round(start * len(things)), start + share
            found[split].append([things[at] for at in order[first : round(start * len(things))]])
    return found


def _drawings(kind: Kind) -> Iterator[Image.Image]:
    for folder in kind.drawings:
        for file in sorted((DRAWINGS / folder).rglob("*.png")):
            thing = _opened(file) if _pixels(file) <= _MOST_PIXELS else None
            if thing is not None and _has_outline(thing):
                yield thing


def _signs(kind: Kind) -> Iterator[Image.Image]:
    font = ImageFont.truetype(SIGNS, _SIGN_SIDE)
    for codes in _codes(kind):
        page = Image.new("RGBA", (2 * _SIGN_SIDE, 2 * _SIGN_SIDE))
        sign = chr(int(codes[0], 16))
        ImageDraw.Draw(page).text((20, 20), sign, font=font, embedded_color=True)
        if page.getchannel("A").getbbox():
            yield _cropped(page)


def _solid_signs() -> dict[str, list[Image.Image]]:
    """Return the signs of each kind, by its name, that look solid."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = _SOLID_SIGNS.unpacked(Path(folder)) / "assets"
        return {
            kind.name: [
                sign
                for codes in _codes(kind)
                for file in [drawn / f"{'-'.join(codes)}.webp".lower()]
                if file.is_file() and (sign := _opened(file)) is not None
            ]
            for kind in KINDS
        }


def _codes(kind: Kind) -> Iterator[list[str]]:
    """Yield the code of each sign of a kind, and the one that asks for colour where it has one.

    Signs of several codes need shaping of text.
    """
    group = ""
    for line in SIGN_KINDS.read_text(encoding="utf-8").splitlines():
        if line.startswith("# subgroup: "):
            group = line.removeprefix("# subgroup: ")
        codes, _, rest = line.partition(";")
        if group.startswith(kind.signs) and rest.strip().startswith("fully-qualified"):
            found = codes.split()
            if len(found) <= 2:
                yield found


def _opened(file: Path) -> Image.Image | None:
    """Return a cut-out; None if it is no picture, or has no transparent parts."""
    try:
        with Image.open(file) as image:
            return _cropped(image.convert("RGBA")) if image.has_transparency_data else None
    except UnidentifiedImageError:
        return None


def _pixels(file: Path) -> int:
    """Return the width times the height that a PNG file says in its first chunk."""
    with file.open("rb") as stream:
        head = stream.read(24)
    return int.from_bytes(head[16:20]) * int.from_bytes(head[20:24])


def _cropped(thing: Image.Image) -> Image.Image:
    thing = thing.crop(thing.getchannel("A").getbbox())
    thing.thumbnail((_MOST_SIDE, _MOST_SIDE), Image.Resampling.BILINEAR)
    return thing


def _has_outline(thing: Image.Image) -> bool:
    solid = float((np.asarray(thing.getchannel("A")) >= _SOLID).mean())
    return _EMPTY_RATIO < solid < _FILLED_RATIO


def _likeness(thing: Image.Image) -> NDArray[np.float64]:
    """Return what a thing looks like in little and its mirror image, each of length 1, [2, n]."""
    rows = []
    for view in (thing, ImageOps.mirror(thing)):
        little = np.asarray(view.resize((_LIKENESS_SIDE, _LIKENESS_SIDE)), float) / 255
        seen = (little[..., :3] - 0.5) * little[..., 3:]
        values = np.concatenate([seen.ravel(), little[..., 3].ravel() - little[..., 3].mean()])
        rows.append(values / max(1e-9, float(np.linalg.norm(values))))
    return np.stack(rows)


def _is_known(thing: Image.Image, known: NDArray[np.float64]) -> bool:
    """Tell whether a thing looks nearly like one of `known`, [things, 2 n]."""
    views = known.reshape(2 * len(known), -1)
    return bool((views @ _likeness(thing)[0]).max() >= _SAME_FROM)
