"""Feeds damaged NPZ files, IDX files and image folders to the reader of users' data.

usage: python -m benchmarks.robustness.data_mutants [--count 10000] [--seed 0]
    [--format npz|idx|images] [--json]

Every mutant must be read, or refused in one line, within 5 s of processor time and 256 MiB beside
a bomb's allowance. Mutants that are not are kept under --keep. Exit code 1 when there is one.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import random
import resource
import shutil
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.lib.verdict import Target, report
from hwkd.core.errors import HwkdError
from hwkd.tasks.classification import ClassifyTask

MOST_S, MOST_GROWTH_BYTES = 5.0, 256 * 1024**2
NUMBERS = (0, 1, 2, 3, 7, 24, 127, 255, 256, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1)
FOLDERS = (
    "a", "b", "c", "train", "test", "val", "dev", "unlabeled", "train_set", "Test1", "images",
    "raw", "caf\udce9", "x\ny", "[/0]", "__MACOSX", "\u202eabc", "seg_train", "eval",
)  # fmt: skip
MODES = ("L", "RGB", "RGBA", "P", "1", "LA", "I;16", "CMYK")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="mutants of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=sorted(MAKERS))
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    results, targets = {}, []
    for kind in [args.format] if args.format else sorted(MAKERS):
        result = results[kind] = run(kind, count=args.count, seed=args.seed, keep=args.keep)
        print(f"{kind}: {result}", flush=True)
        faults = sum(result.faults.values())
        what = f"faults of {args.count:,} damaged {kind} files"
        targets.append(Target(what, faults, 0, scale=1, unit=""))
    return report(targets, {kind: asdict(result) for kind, result in results.items()})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How many mutants were read and refused, and fault -> how often."""

    read: int
    refused: int
    faults: dict[str, int]


def run(kind: str, *, count: int, seed: int, keep: Path | None = None) -> Outcome:
    """Make mutants of one format and read each."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        os.environ["HWKD_CACHE_DIR"] = str(Path(temporary) / "cache")
        for number in range(count):
            folder = Path(temporary) / f"mutant{number}"
            folder.mkdir()
            source = MAKERS[kind](folder, rng)
            outcome, fault = judged(source)
            outcomes[outcome] += 1
            if fault:
                faults[fault] += 1
                if keep is not None:
                    shutil.copytree(folder, keep / f"{kind}-{seed}-{number}", symlinks=True)
            shutil.rmtree(folder)
            shutil.rmtree(Path(temporary) / "cache", ignore_errors=True)
    return Outcome(read=outcomes["read"], refused=outcomes["refused"], faults=dict(faults))


def judged(source: Path) -> tuple[str, str]:
    """Return "read" or "refused", and what was wrong with that, if anything."""
    growth, started = peak_bytes(), time.process_time()
    fault = ""
    try:
        data = ClassifyTask().data(source)
        outcome = "read"
        texts = (data.source, *data.notes, *data.class_names)
        splits = (data.train, data.validation, data.test)
        if not all(len(split) and np.isfinite(split.inputs).all() for split in splits):
            fault = "a split is empty or not finite"
    except HwkdError as error:
        outcome, texts = "refused", (str(error),)
    except Exception as error:
        outcome, texts = "failed", ()
        fault = f"{type(error).__name__}: {error}"
    if any("\n" in text or any("\ud800" <= c <= "\udfff" for c in text) for text in texts):
        fault = fault or "text of several lines, or that UTF-8 does not hold"
    if time.process_time() - started > MOST_S:
        fault = fault or "slow"
    if peak_bytes() - growth > MOST_GROWTH_BYTES:
        fault = fault or "memory"
    return outcome, fault


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Flip, cut, insert, repeat or overwrite a few places, more often near the start."""
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if not out:
            break
        at = rng.randrange(len(out) if rng.random() < 0.5 else min(len(out), 160))
        size = rng.choice((1, 2, 4, 16, 200))
        width = rng.choice((2, 4, 8))
        little = rng.choice((True, False))
        number = rng.choice(NUMBERS) % (1 << 8 * width)
        change = rng.choice(("flip", "cut", "insert", "end", "overwrite", "repeat"))
        if change == "flip":
            out[at] ^= 1 << rng.randrange(8)
        elif change == "cut":
            del out[at : at + size]
        elif change == "insert":
            out[at:at] = rng.randbytes(size)
        elif change == "end":
            del out[at:]
        elif change == "overwrite":
            out[at : at + width] = number.to_bytes(width, "little" if little else "big")
        else:
            out.extend(out[at : at + size])
    return bytes(out)


def npz(folder: Path, rng: random.Random) -> Path:
    generator = np.random.default_rng(rng.randrange(2**32))
    count = rng.choice((24,) * 9 + (3, 1, 0))
    members = {"x_train": inputs(count, rng, generator), "y_train": labels(count, rng)}
    for split in ("val", "test", "dev", "unlabeled"):
        if rng.random() < 0.1:
            members[f"x_{split}"] = inputs(6, rng, generator)
            members[f"y_{split}"] = labels(6, rng)
    stored = {}
    for key, array in members.items():
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=True)
        stored[key] = stream.getvalue()
    broken = rng.choice(list(stored))
    if rng.random() < 0.3:
        stored[broken] = with_header(rng)
    elif rng.random() < 0.4:
        stored[broken] = damaged(stored[broken], rng)
    path = folder / "set.npz"
    method = rng.choice((zipfile.ZIP_STORED, *(zipfile.ZIP_DEFLATED,) * 4, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(path, "w", method) as archive:
        for key, content in stored.items():
            archive.writestr(f"{key}{'' if rng.random() < 0.02 else '.npy'}", content)
    if rng.random() < 0.3:
        path.write_bytes(damaged(path.read_bytes(), rng))
    return path


def inputs(count: int, rng: random.Random, generator: np.random.Generator) -> np.ndarray:
    shapes = ((4, 4), (4, 4), (4, 4), (4, 4, 3), (3, 4, 4), (2, 64), (64, 2), (), (0, 4), (1, 1))
    values: NDArray[Any] = generator.integers(0, 200, (count, *rng.choice(shapes)))
    if rng.random() < 0.2:
        values = values * rng.choice((1e-320, 1e300, 1e38, np.nan, -1.0, 0.0))
    kinds = ("u1", "u1", "u1", "i1", ">u2", "i4", ">i8", "u8", "f2", "f4", ">f8", "?", "c8", "O")
    with np.errstate(all="ignore"):
        return values.astype(rng.choice(kinds), casting="unsafe")


def labels(count: int, rng: random.Random) -> np.ndarray:
    plain = np.arange(count) % 3
    if rng.random() < 0.8:
        return plain
    return rng.choice(
        (
            plain + 1, plain * 1.5, plain.reshape(-1, 1), plain.astype("u8") + 2**63, plain * 1e300,
            plain * np.nan, plain.astype("S"), np.eye(3)[plain], plain[:-1], plain * 2**53,
            plain.astype("?"), (plain > 1).astype(">i2"), plain.astype("O"),
        )
    )  # fmt: skip


def with_header(rng: random.Random) -> bytes:
    """Return an array of NumPy's format whose header claims something odd."""
    kind = rng.choice(
        ("'<f8'", "'|O'", "'|S0'", "[('a', '<f8')]", "'<f8,<f8'", "'3<f8'", "'none'", "'<U9999999'")
    )
    shape = rng.choice((f"({rng.choice(NUMBERS)}, {rng.choice(NUMBERS)})", "(-1,)", "(True,)"))
    whole = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}"
    deep = rng.choice(("[" * 4000 + "]" * 4000, "9" * 6000, "-" * 6000 + "1", "{'descr': (("))
    header = (whole if rng.random() < 0.7 else deep).encode() + b"\n"
    version = rng.choice((1, 1, 1, 2, 9))
    size = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + bytes(rng.choice((0, 24, 192)))


def idx(folder: Path, rng: random.Random) -> Path:
    count = rng.choice((24,) * 9 + (3, 1, 0))
    for split in ("train", *(name for name in ("t10k", "val") if rng.random() < 0.2)):
        pixels = np.frombuffer(rng.randbytes(count * 25), np.uint8).reshape(count, 5, 5)
        for what, array in (("images", pixels), ("labels", np.arange(count, dtype=np.uint8) % 3)):
            sizes = struct.pack(f">{array.ndim}I", *array.shape)
            content = bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()
            if rng.random() < 0.1:
                axes = rng.choice((0, 1, 3, 4, 255))
                claims = [rng.choice(NUMBERS) % 2**32 for _ in range(rng.choice((1, 3, 4)))]
                head = bytes([0, 0, rng.choice((8, 9, 13, 14, 77)), axes])
                content = head + struct.pack(f">{len(claims)}I", *claims) + content[16:]
            elif rng.random() < 0.2:
                content = damaged(content, rng)
            name = f"{split}-{what}-idx{array.ndim}-ubyte"
            if rng.random() < 0.4:
                name += ".gz"
                content = gzip.compress(content + bytes(rng.choice((0,) * 20 + (10**7,))), 1)
                content = damaged(content, rng) if rng.random() < 0.2 else content
            place = folder / name if rng.random() < 0.1 else folder
            place.mkdir(exist_ok=True)
            (place / name).write_bytes(content)
    return folder


def images(folder: Path, rng: random.Random) -> Path:
    places = [folder / name for name in "abc"]
    if rng.random() < 0.4:
        places = [
            folder.joinpath(*rng.choices(FOLDERS, k=rng.choice((1, 1, 2, 2, 3))))
            for _ in range(rng.randrange(1, 7))
        ]
    files = []
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        for number in range(rng.choice((3, 4, 6))):
            content, suffix = picture(rng)
            files.append(place / f"{number}{suffix}")
            files[-1].write_bytes(content)
    for file in rng.choices(files, k=rng.choice((0, 1, 1, 2))):
        change = damaged_chunks if rng.random() < 0.5 else damaged
        file.write_bytes(change(file.read_bytes(), rng))
    if rng.random() < 0.1:
        link = rng.choice(places) / "link"
        link.unlink(missing_ok=True)
        link.symlink_to(rng.choice((folder, link, *places, Path("/nowhere"))))
    return folder


def picture(rng: random.Random) -> tuple[bytes, str]:
    mode = rng.choice(MODES)
    height, width = rng.choice(((6, 6), (6, 6), (6, 6), (1, 1), (8, 5), (40, 3)))
    size = height * width
    if mode == "I;16":
        made = Image.fromarray(
            np.frombuffer(rng.randbytes(2 * size), np.uint16).reshape(height, width)
        )
    else:
        made = Image.frombytes("RGB", (width, height), rng.randbytes(3 * size)).convert(mode)
    suffix = ".jpg" if mode in ("L", "RGB", "CMYK") and rng.random() < 0.5 else ".png"
    exif = Image.Exif()
    exif[0x0112] = rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 65_535))
    stored = damaged(exif.tobytes(), rng) if rng.random() < 0.1 else exif.tobytes()
    stream = io.BytesIO()
    shown = made.convert("RGB") if mode == "CMYK" and suffix == ".png" else made
    shown.save(stream, "JPEG" if suffix == ".jpg" else "PNG", exif=stored)
    return stream.getvalue(), suffix


def damaged_chunks(content: bytes, rng: random.Random) -> bytes:
    """Change chunks of a PNG and set their checksums right, so that decoders go on."""
    if content[:4] != b"\x89PNG":
        return damaged(content, rng)
    chunks, at = [], 8
    while at + 8 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return damaged(content, rng)
    where = rng.randrange(len(chunks))
    kind, body = chunks[where]
    if kind == b"IHDR":
        sides = [rng.choice((1, 6, 9000, 60_000, 2**31 - 1, 0)) for _ in range(2)]
        form = bytes([rng.choice((1, 2, 4, 8, 16, 3)), rng.choice((0, 2, 3, 4, 6, 1)), 0, 0, 0])
        body = struct.pack(">II", *sides) + body[8:] if rng.random() < 0.5 else body[:8] + form
    elif rng.random() < 0.5:
        body = damaged(body, rng)
    else:
        extra = rng.choice((b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"PLTE", b"tRNS", b"acTL", b"fdAT"))
        bomb = b"a\0\0" + zlib.compress(bytes(10**6))
        chunks.insert(
            where, (extra, bomb if extra == b"zTXt" else rng.randbytes(rng.randrange(40)))
        )
        where += 1
    chunks[where] = (kind, body)
    return content[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


MAKERS: dict[str, Callable[[Path, random.Random], Path]] = {
    "npz": npz, "idx": idx, "images": images,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
