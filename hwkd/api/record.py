"""Plain data of the records that functions return: what `--json` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any


def plain_data(record: Any) -> Any:
    """Return lists, objects, texts, numbers and None of a record, of records or of a part of one.

    A record may say itself what it is as data (`as_dict`); else its fields are taken, and of a
    stored record those that are known.
    """
    if hasattr(record, "as_dict"):
        return record.as_dict()
    if hasattr(record, "model_dump"):
        return record.model_dump(mode="json", exclude_none=True)
    if is_dataclass(record):
        return {entry.name: plain_data(getattr(record, entry.name)) for entry in fields(record)}
    if isinstance(record, Mapping):
        return {str(name): plain_data(value) for name, value in record.items()}
    if isinstance(record, Sequence) and not isinstance(record, str):
        return [plain_data(item) for item in record]
    return str(record) if isinstance(record, Path) else record
