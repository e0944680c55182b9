"""Texts inside an ONNX file, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def put_metadata(model: onnx.ModelProto, texts: Mapping[str, str]) -> None:
    """Write texts into a model, in place of those of the same names; others stay."""
    others = [entry for entry in model.metadata_props if entry.key not in texts]
    del model.metadata_props[:]
    model.metadata_props.extend(others)
    for name, text in texts.items():
        model.metadata_props.add(key=name, value=text)
