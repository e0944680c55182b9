"""Whatever a damaged record says, it is read or refused in one line."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

import hwkd
from hwkd.core.errors import RunFolderError
from hwkd.core.run_record import FeasibilityRecord
from hwkd.core.strict_model import StrictModel, read_record

for _module in pkgutil.walk_packages(hwkd.__path__, "hwkd."):
    if not _module.name.endswith("__main__") and "search_spaces" not in _module.name:
        importlib.import_module(_module.name)


def records(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for record in kind.__subclasses__():
        if record.__module__.startswith("hwkd."):
            yield record
        yield from records(record)


def unbounded(schema: Any, place: str = "") -> Iterator[str]:
    if isinstance(schema, dict):
        bounds = {"maximum", "exclusiveMaximum", "const", "enum"}
        if schema.get("type") == "integer" and not bounds & set(schema):
            yield place
        for key, value in schema.items():
            yield from unbounded(value, f"{place}/{key}")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from unbounded(value, f"{place}/{index}")


@pytest.mark.parametrize("kind", sorted(records(StrictModel), key=str), ids=lambda k: k.__name__)
def test_every_integer_of_a_record_has_bounds(kind: type[BaseModel]) -> None:
    assert not list(unbounded(kind.model_json_schema())), "use StoredInt"


_RECORD = '{"space": "plain", "sampled": 200, "feasible": %s, "median_ratios": {}, "binding": {}}'


@pytest.mark.parametrize("number", ["1" + "0" * 60, "NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("as_bytes", [True, False])
def test_what_is_no_number_of_json_is_damage(number: str, as_bytes: bool) -> None:
    text = _RECORD % number
    with pytest.raises(RunFolderError, match=r"^run\.json: not a share: .*"):
        read_record(
            FeasibilityRecord, text.encode() if as_bytes else text, where="run.json", what="share"
        )


def test_a_text_may_say_nan() -> None:
    class Named(StrictModel):
        name: str

    assert read_record(Named, '{"name": "NaN"}', where="f", what="name").name == "NaN"
