"""What our files are read into: unknown keys are errors, and nothing changes after reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    WrapSerializer,
    WrapValidator,
)
from pydantic_core import from_json

from hwkd.core.errors import RunFolderError

_LONGEST_PART = 200

# JSON has integers of any size; one that no float and no 64-bit counter holds is damage.
StoredInt: TypeAlias = Annotated[int, Field(ge=-(2**63), lt=2**64)]

# Of a dataclass that records hold: a key that it does not know is an error there, too.
STORED = ConfigDict(extra="forbid")

# What JSON does not have and its readers take; hwkd writes null for what is no number.
_NO_NUMBERS: Mapping[type, tuple[Any, ...]] = {
    str: ("NaN", "Infinity"), bytes: (b"NaN", b"Infinity"),
}  # fmt: skip

_Model = TypeVar("_Model", bound=BaseModel)


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


def with_key(what: str) -> tuple[WrapValidator, WrapSerializer]:
    """Return what stores the key of a value beside it and refuses the key of another value."""

    def read(raw: Any, handler: Callable[[Any], _Keyed]) -> _Keyed:
        if not isinstance(raw, dict):
            return handler(raw)
        value = handler({name: part for name, part in raw.items() if name != "key"})
        if raw.get("key", value.key) != value.key:
            raise ValueError(f"key {raw['key']!r} is not that of {what}, which were edited")
        return value

    def store(value: _Keyed, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {**handler(value), "key": value.key}

    return WrapValidator(read), WrapSerializer(store)


class StrictModel(BaseModel):
    """A frozen pydantic model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_record(kind: type[_Model], text: str | bytes, *, where: str, what: str) -> _Model:
    """Read JSON that hwkd wrote.

    Args:
        where: file and line for the message.

    Raises:
        RunFolderError: if the text is not a record of a known schema version.
    """
    try:
        found = kind.model_validate_json(text)
        if any(word in text for word in _NO_NUMBERS[type(text)]):  # or a text that says so
            from_json(text, allow_inf_nan=False)
    except ValidationError as error:
        reason = first_problem(error, whole="text")
    except ValueError as error:
        reason = _cut(str(error))
    else:
        return found
    raise RunFolderError(
        f"{where}: not a {what}: {reason}; the file was cut or written by another version of hwkd"
    )


def first_problem(error: ValidationError, *, whole: str, with_input: bool = False) -> str:
    """Describe the first wrong field in a bounded line.

    Args:
        whole: what to call the text when no field is to blame.
        with_input: say what was given, too.
    """
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or whole
    given = first["type"] != "missing" and with_input
    shown = f", given {_cut(repr(first['input']))}" if given else ""
    return f"{_cut(place)}: {_cut(first['msg'].removeprefix('Value error, '))}{shown}"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_PART else f"{line[:_LONGEST_PART]}..."
