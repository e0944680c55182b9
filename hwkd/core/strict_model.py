"""What our files are read into: unknown keys are errors, and nothing changes after reading."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from hwkd.core.errors import RunFolderError

__all__ = ["StrictModel", "read_record"]

_Model = TypeVar("_Model", bound="StrictModel")


class StrictModel(BaseModel):
    """A frozen pydantic model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_record(kind: type[_Model], text: str | bytes, *, where: str, what: str) -> _Model:
    """Read JSON that hwkd wrote.

    Args:
        kind: of record.
        text: JSON.
        where: file and line for the message.
        what: it should be, for the message.

    Raises:
        RunFolderError: if the text is not a record of a known schema version.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "text"
        raise RunFolderError(
            f"{where}: not a {what}: {place}: {first['msg']}; "
            "the file was cut or written by another version of hwkd"
        ) from None
