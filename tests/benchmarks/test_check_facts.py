"""Facts are compared with the tables they came from row by row, and what differs is named."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from benchmarks.lib.published import FACTS, read_csv
from tools.check_facts import TABLES, differing_lists, differing_rows

_ZOO = next(table for table in TABLES if table.is_whole)
_LIST = {
    "input": [1, 4, 4, 2], "input_id": 0,
    "nodes": [
        {"op": "PAD", "i": [0], "o": 1, "os": [1, 5, 6, 2],
         "pads": [[0, 0], [0, 1], [1, 1], [0, 0]]},
        {"op": "CONV_2D", "i": [1], "o": 2, "os": [1, 3, 4, 8], "kernel": [3, 3],
         "stride": [1, 1], "pads_tblr": [0, 0, 0, 0], "groups": 1},
    ],
}  # fmt: skip
_OURS = {
    "input": [1, 4, 4, 2], "input_id": 0,
    "nodes": [
        {"op": "PAD", "i": [0], "o": 1, "os": [1, 5, 6, 2], "p": [0, 1, 1, 1]},
        {"op": "CONV_2D", "i": [1], "o": 2, "os": [1, 3, 4, 8], "k": [3, 3], "s": [1, 1]},
    ],
}  # fmt: skip


def _hand_over(folder: Path, rows: list[dict[str, str]]) -> None:
    with (folder / _ZOO.handed).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


@pytest.fixture
def handed_rows() -> list[dict[str, str]]:
    """Rows as they are handed over: tool and version apart, boards with a remark."""
    rows = []
    for row in read_csv(_ZOO.ours):
        tool, _, version = row["software"].rpartition(" ")
        board = f"{row['board']} (board not printed)"
        rows.append(row | {"tool": tool, "version": version, "board": board})
    return rows


def test_equal_tables_agree_in_every_field(
    tmp_path: Path, handed_rows: list[dict[str, str]]
) -> None:
    _hand_over(tmp_path, handed_rows)
    wrong, fields = differing_rows(_ZOO, tmp_path)
    assert (wrong, fields > 1000) == ([], True)


@pytest.mark.parametrize("at", [0, 40, 115])
def test_one_changed_number_is_named_with_its_row(
    tmp_path: Path, handed_rows: list[dict[str, str]], at: int
) -> None:
    handed_rows[at] |= {"activation_ram_kib": "1.5"}
    _hand_over(tmp_path, handed_rows)
    wrong, _ = differing_rows(_ZOO, tmp_path)
    assert len(wrong) == 1
    assert f"row {at + 2}, activation_ram_kib" in wrong[0]


def test_rows_without_a_network_are_told_apart_by_their_place(
    tmp_path: Path, handed_rows: list[dict[str, str]]
) -> None:
    unnamed = [i for i, row in enumerate(handed_rows) if not row["model"]]
    one, other = unnamed[0], unnamed[1]
    handed_rows[one], handed_rows[other] = handed_rows[other], handed_rows[one]
    _hand_over(tmp_path, handed_rows)
    assert differing_rows(_ZOO, tmp_path)[0]


def test_layer_lists_are_compared_layer_by_layer(tmp_path: Path) -> None:
    handed, facts = tmp_path / "handed", tmp_path / "facts"
    for folder in (handed, facts):
        folder.mkdir()
    (handed / "models.json").write_text(json.dumps({"net": _LIST}))
    (handed / "models_v2.json").write_text("{}")
    (facts / "models.json").write_text(json.dumps({"net": _OURS}))
    assert differing_lists(handed, facts) == ([], 3)
    changed = json.loads(json.dumps(_OURS))
    changed["nodes"][1]["os"][3] = 9
    (facts / "models.json").write_text(json.dumps({"net": changed}))
    (wrong,) = differing_lists(handed, facts)[0]
    assert "net, layer 2" in wrong


def test_every_table_of_ours_exists() -> None:
    assert all((FACTS / table.ours).is_file() for table in TABLES)
