"""Reads texts with their classes: CSV, JSON lines, or a folder of such files or of text files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.io.text_files import MalformedTextError, parse_json
from hwkd.tasks.base import SplitName
from hwkd.tasks.csv_table import label_column
from hwkd.tasks.folder_tree import first_names
from hwkd.tasks.raw import with_train
from hwkd.tasks.sources import reading as opened
from hwkd.tasks.split_names import one_per_split, split_meaning
from hwkd.tasks.text_table import TextTable
from hwkd.tasks.votes import Votes, count_votes, label_columns

TEXT_FORMATS = (
    "a CSV, TSV or JSONL file with a text and a label in each row, a folder of such files called "
    "train, validation and test, or a folder of class folders with .txt files"
)
_TABLES = {".csv": ",", ".tsv": "\t"}
_LINES = frozenset({".jsonl", ".ndjson"})
# A column of such a name is the text, wherever it stands.
_TEXT_NAMES = frozenset(
    {"text", "sentence", "content", "message", "body", "review", "document", "utterance", "tweet"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A text and its class.

    Attributes:
        where: it stands in its file, for messages.
        beside: columns of its row that are not read.
        votes: what each of several annotators says, nothing of one who did not look at it.
    """

    text: str
    label: str
    where: str
    beside: tuple[str, ...] = ()
    votes: tuple[str, ...] = ()


def votes_of(texts: Sequence[Labelled]) -> Votes | None:
    """Return what several annotators say of texts; None where one column names the class."""
    return count_votes([each.votes for each in texts]) if texts[0].votes else None


def read_texts(
    path: Path, label: str | None = None, *, to_judge: bool = False
) -> dict[SplitName, list[Labelled]]:
    """Return split -> texts; what has no name of a split is train.

    Args:
        path: see `TEXT_FORMATS`.
        label: column of the class, or several of annotators with commas between them; None looks.
        to_judge: nothing is learned: see `with_train`; texts of one class will do.

    Raises:
        DataError: names the file and line of what is no UTF-8, or of an empty text or class.
    """
    with opened(path, takes=TEXT_FORMATS):
        found: dict[SplitName, list[Labelled]] = (
            _of_folder(path, label) if path.is_dir() else {"train": _of_file(path, label)}
        )
    found = with_train(found, source=printable(path), to_judge=to_judge)
    if not to_judge:
        _require_classes(found, printable(path))
    return found


def _of_folder(path: Path, label: str | None) -> dict[SplitName, list[Labelled]]:
    entries = [entry for entry in sorted(path.iterdir()) if not entry.name.startswith(".")]
    files = {
        entry.stem: entry
        for entry in entries
        if entry.is_file() and entry.suffix.lower() in (*_TABLES, *_LINES)
    }
    if files:
        return {
            role: _of_file(files[name], label) for name, role in _splits(path, list(files)).items()
        }
    folders = {entry.name: entry for entry in entries if entry.is_dir()}
    are_splits = bool(folders) and all(
        (meaning := split_meaning(name)) is not None and meaning.is_plain for name in folders
    )
    if label is not None:
        raise DataError(f"{printable(path)}: --label names a column; class folders have none")
    if not are_splits:
        return {"train": _of_class_folders(path)}
    splits = _splits(path, list(folders))
    return {role: _of_class_folders(folders[name]) for name, role in splits.items()}


def _splits(path: Path, names: Sequence[str]) -> dict[str, SplitName]:
    """Return the split of each name; of one alone, train."""
    roles, doubled = one_per_split([name for name in names if split_meaning(name) is not None])
    unknown = [name for name in names if name not in roles]
    if len(names) == 1 and unknown:
        return {names[0]: "train"}
    if unknown or doubled:
        shown = first_names([printable(name) for name in (unknown or doubled[0])])
        raise DataError(
            f"{printable(path)}: {shown} {'name no split' if unknown else 'name one split'}; call "
            "the files train, validation and test, one each"
        )
    found: dict[str, SplitName] = {
        name: role for name, role in roles.items() if role != "unlabelled"
    }
    return found


def _of_class_folders(path: Path) -> list[Labelled]:
    found = []
    for folder in sorted(entry for entry in path.iterdir() if entry.is_dir()):
        for file in sorted(folder.glob("*.txt")):
            where = printable(Path(path.name) / folder.name / file.name)
            text = _decoded(file.read_bytes(), where)
            found.append(
                Labelled(text=_text(text, where), label=printable(folder.name), where=where)
            )
    if not found:
        raise DataError(
            f"{printable(path)}: no text in it; --data takes {TEXT_FORMATS}, for example "
            f"{printable(path.name)}/spam/1.txt"
        )
    return found


def _of_file(path: Path, label: str | None) -> list[Labelled]:
    where, suffix = printable(path), path.suffix.lower()
    if suffix not in (*_TABLES, *_LINES):
        raise DataError(f"{where}: unknown format of this file; --data takes {TEXT_FORMATS}")
    content = _decoded(path.read_bytes(), where)
    rows = _json_rows if suffix in _LINES else _table_rows
    numbered = list(rows(content, where))
    if len(numbered) < 2:
        raise DataError(f"{where}: holds no text; --data takes {TEXT_FORMATS}")
    names, *lines = (cells for _, cells in numbered)
    table = TextTable(source=where, names=tuple(names), rows=lines, notes=())
    targets = (
        [label_column(table, None, others=_TEXT_NAMES)]
        if label is None
        else label_columns(table, label)
    )
    source = _text_column(table, targets)
    if label is None and suffix in _TABLES and _is_row(table, targets[0]):
        raise DataError(
            f"{where}: the first line is a row of texts; give the columns a heading, text,label"
        )
    beside = tuple(printable(n) for at, n in enumerate(names) if at not in (source, *targets))
    found = []
    for number, cells in numbered[1:]:
        at = f"{where}: line {number}"
        if len(cells) != len(names):
            raise DataError(
                f"{at} has {len(cells)} cells, the heading {len(names)}; put texts with commas or "
                "line ends in double quotes"
            )
        said = tuple(cells[target].strip() for target in targets)
        if not any(said):
            of = ", ".join(repr(names[target]) for target in targets)
            raise DataError(f"{at}: no class in column {of}; name it or drop the line")
        text, votes = _text(cells[source], at), said if len(said) > 1 else ()
        named = printable(said[0])
        found.append(Labelled(text=text, label=named, where=at, beside=beside, votes=votes))
    counted = votes_of(found)
    if counted is None:
        return found
    return [replace(each, label=name) for each, name in zip(found, counted.chosen, strict=True)]


def _is_row(table: TextTable, target: int) -> bool:
    """Tell whether the first line, which should be a heading, has a class of the rows below."""
    return any(row[target : target + 1] == [table.names[target]] for row in table.rows)


def _table_rows(content: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """Yield rows with the number of the line that each begins in, the heading first."""
    first = content.split("\n", 1)[0]
    rows = csv.reader(io.StringIO(content), delimiter=max(",;\t", key=first.count))
    before = 0
    try:
        for cells in rows:
            if cells:
                yield before + 1, [cell.strip() for cell in cells] if not before else cells
            before = rows.line_num
    except csv.Error as error:
        raise DataError(f"{where}: line {before + 1} is no CSV ({error})") from None


def _json_rows(content: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """Yield rows with their line, the names of the first object before them."""
    names: list[str] = []
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except MalformedTextError as error:
            raise DataError(f"{where}: line {number} is no JSON ({error})") from None
        if not isinstance(row, dict) or (names and set(row) != set(names)):
            raise DataError(
                f"{where}: line {number} is no object with {', '.join(map(printable, names))}; "
                'expected {"text": "...", "label": "..."} in every line'
            )
        if not names:
            names = list(row)
            yield 0, names
        yield number, ["" if row[name] is None else str(row[name]) for name in names]


def _text_column(table: TextTable, targets: Sequence[int]) -> int:
    """Return the column of the texts: one of a usual name, else the only one beside the classes."""
    others = [at for at in range(len(table.names)) if at not in targets]
    named = [at for at in others if table.names[at].lower() in _TEXT_NAMES]
    if len(named) == 1 or len(others) == 1:
        return (named or others)[0]
    raise DataError(
        f"{table.source}: columns {', '.join(map(printable, table.names))}: which is the text? "
        "Call one text and one label, or name the class with --label"
    )


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{where}: line {line} is no UTF-8 (byte 0x{content[error.start]:02x}); save the file "
            "again in UTF-8"
        ) from None


def _text(text: str, where: str) -> str:
    if not text.strip():
        raise DataError(f"{where}: an empty text; write something or drop the line")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise DataError(f"{where}: holds half of a character, which UTF-8 has not; repair the text")
    return text


def _require_classes(found: dict[SplitName, list[Labelled]], source: str) -> None:
    train = found["train"]
    names = {example.label for example in train}
    if len(names) < 2:
        raise DataError(
            f"{source}: from {train[0].where.rpartition(': ')[2]} to "
            f"{train[-1].where.rpartition(': ')[2]} one class, {train[0].label!r}; a classifier "
            "needs at least two classes with examples"
        )
