"""Compares `benchmarks/facts` with the tables that they were taken from, row by row.

usage: python -m tools.check_facts FOLDER     # that holds the tables as they were handed over

Exit code 1 when a row or a layer list of ours is not among those handed over; it is named. Rows are
compared as wholes: a network, board and version do not tell a row apart, since tables print one
network in several rows (other resolutions, notes or files). The model zoo's rows must be all that
were handed over, in their order.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from csv import DictReader
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.lib.published import FACTS

Row = dict[str, str]
# A node of a layer list: our key -> key and default of the tables handed over.
_OF_NODE: dict[str, tuple[str, Any]] = {
    "op": ("op", None), "i": ("i", None), "o": ("o", None), "os": ("os", None),
    "k": ("kernel", None), "s": ("stride", None), "g": ("groups", 1), "z": ("zero_oc", 0),
}  # fmt: skip
_LISTS = ("models.json", "models_v2.json")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A file of ours and the one that it was taken from.

    Attributes:
        ours: its name in `benchmarks/facts`.
        handed: name of the other.
        as_ours: writes a row of the other as ours, or None for one that is never taken.
        is_whole: every row was taken, in the same order.
        own: columns that we write: why a row is no measurement of its own, what we know of it.
    """

    ours: str
    handed: str
    as_ours: Callable[[Row], Row | None] = lambda row: row
    is_whole: bool = False
    own: frozenset[str] = frozenset()


def _zoo(row: Row) -> Row:
    return row | {
        "board": row["board"].partition(" ")[0],
        "software": f"{row['tool']} {row['version']}",
        "source": row["source"].removesuffix(" (read_file, rows typed)"),
    }


def _operator(row: Row) -> Row:
    def pair(stem: str) -> str:
        return f"{row[stem + '_h']}x{row[stem + '_w']}" if row[stem + "_h"] else ""

    folder, _, file = row["source"].rpartition("/")
    # Both inputs of a sum are printed; they are equal.
    shapes = {
        name: row[name].partition("+")[0].removeprefix("1x")
        for name in ("in_shape_nhwc", "out_shape_nhwc")
    }
    source = f"{folder.rpartition('/')[2]}#{file.partition('#')[2]}"
    return row | shapes | {"kernel": pair("kernel"), "stride": pair("stride"), "source": source}


def _other_operator(row: Row) -> Row:
    source = f"{row['source_repo']}:{row['source_path']}:{row['line_or_cell']}"
    note = row["note"].removesuffix("; macs derived from Data info by us")
    return row | {"source": source, "note": note}


def _other_board(row: Row) -> Row:
    core = row["core"].removesuffix(" (Helium)").replace("Xtensa LX", "Xtensa-LX")
    return row | {"model": row["model_key"], "core": core}


def _raspberry(row: Row) -> Row | None:
    """Return a row of one thread; a network without a type of its own is ncnn's float."""
    if row["threads"] != "1":
        return None
    board = next(name for name in ("Zero 2 W", "3", "4", "5") if f"Pi {name} " in row["board"])
    dtype = "int8" if row["dtype"] == "int8" else "float"
    model = row["model"].removesuffix("_int8")
    return row | {"board": f"Raspberry Pi {board}", "dtype": dtype, "model": model,
                  "software": row["software"].partition(" ")[0]}  # fmt: skip


TABLES = (
    Table(
        ours="stm32_model_zoo.csv", handed="stm32_model_zoo_v2.csv", as_ours=_zoo, is_whole=True,
        own=frozenset({"no_latency"}),
    ),
    Table(ours="mlperf_tiny.csv", handed="mlperf_tiny.csv"),
    Table(ours="op_cycles.csv", handed="op_cycles.csv", as_ours=_operator),
    Table(ours="op_cycles_m55.csv", handed="op_cycles_m55.csv"),
    Table(ours="op_cycles_other.csv", handed="op_cycles_other.csv", as_ours=_other_operator),
    Table(
        ours="other_boards.csv", handed="other_boards.csv", as_ours=_other_board,
        own=frozenset({"note"}),
    ),
    Table(ours="raspberry_pi.csv", handed="raspberry_pi.csv", as_ours=_raspberry),
)  # fmt: skip


def _rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(DictReader(file))


def _value(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def differing_rows(table: Table, handed: Path, facts: Path = FACTS) -> tuple[list[str], int]:
    """Return what differs between two tables, in words, and how many fields were compared."""
    ours = _rows(facts / table.ours)
    columns = [name for name in ours[0] if name not in table.own]
    given = [row for row in map(table.as_ours, _rows(handed / table.handed)) if row is not None]
    left, right = (
        [tuple(_value(row[name]) for name in columns) for row in rows] for rows in (ours, given)
    )
    fields = len(left) * len(columns)
    if table.is_whole and len(left) != len(right):
        return [f"{table.ours}: {len(left)} rows, {len(right)} were handed over"], fields
    if table.is_whole:
        pairs = zip(left, right, strict=True)
        wrong = [
            f"{table.ours}: row {number}, {name}: {mine!r}, handed over: {theirs!r}"
            for number, (one, other) in enumerate(pairs, start=2)
            for name, mine, theirs in zip(columns, one, other, strict=True)
            if mine != theirs
        ]
        return wrong, fields
    absent = Counter(left) - Counter(right)
    return [f"{table.ours}: not handed over: {row}" for row in absent.elements()], fields


def _layers(spec: dict[str, Any], *, is_ours: bool) -> Iterator[tuple[Any, ...]]:
    """Yield input and outputs, then each layer of a list, alike for both ways of writing them."""
    yield spec["input"], spec["input_id"], spec.get("outputs")
    for node in spec["nodes"]:
        values = [
            node.get(key if is_ours else other) or default
            for key, (other, default) in _OF_NODE.items()
        ]
        pads = node.get("p") if is_ours else node.get("pads_tblr")
        if not is_ours and "pads" in node:  # a Pad of its own: [[0, 0], [top, bottom], ...]
            pads = [*node["pads"][1], *node["pads"][2]]
        yield *values, pads or [0, 0, 0, 0]


def differing_lists(handed: Path, facts: Path = FACTS) -> tuple[list[str], int]:
    """Return what differs between layer lists, in words, and how many layers were compared."""
    ours = json.loads((facts / _LISTS[0]).read_text(encoding="utf-8"))
    given: dict[str, Any] = {}
    for name in _LISTS:
        given |= json.loads((handed / name).read_text(encoding="utf-8"))
    wrong, count = [f"models.json: no {name}" for name in sorted(set(given) - set(ours))], 0
    for name in sorted(set(given) & set(ours)):
        spec = ours[name]
        one = list(_layers(ours[spec["same_as"]] if "same_as" in spec else spec, is_ours=True))
        other = list(_layers(given[name], is_ours=False))
        count += len(one)
        if len(one) != len(other):
            wrong.append(f"models.json: {name}: {len(one)} layers, {len(other)} were handed over")
        else:
            wrong += [
                f"models.json: {name}, layer {at}: {mine}, handed over: {theirs}"
                for at, (mine, theirs) in enumerate(zip(one, other, strict=True))
                if mine != theirs
            ]
    return wrong, count


def main(arguments: Sequence[str]) -> int:
    """Compare all tables and lists, print what differs."""
    if len(arguments) != 1:
        print("give one folder: that of the tables as they were handed over")
        return 2
    handed = Path(arguments[0])
    wrong = []
    for table in TABLES:
        found, fields = differing_rows(table, handed)
        print(f"{table.ours}: {fields} fields compared, {len(found)} differ")
        wrong += found
    found, layers = differing_lists(handed)
    print(f"models.json: {layers} layers compared, {len(found)} differ")
    wrong += found
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
