"""What records of older versions become: their accuracies are scores by name; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwkd.core.basis import ESTIMATED, MEASURED
from hwkd.core.metric import ACCURACY

_FORMULA = "(raw - mean) / std, per channel"
# How sentences begin that older versions kept among the caveats of the search.
_OF_ITS_END = ("Given up: ", "After it was scored on validation, ", "The student guesses: ")
_OF_ITS_TEACHER = ("The teacher was left out ", "Students learned from labels alone: ")


def with_scores(raw: Any, accuracies: Mapping[str, str], *, within: str | None = None) -> Any:
    """Return the fields of a record with its loose accuracies gathered in `scores`.

    Args:
        raw: as stored; what is no mapping, or has scores already, stays.
        accuracies: field of `ScoresRecord` -> field that older versions had.
        within: field that held them as a record of their own; None is the record itself.
    """
    if not isinstance(raw, dict) or "scores" in raw:
        return raw
    holder = raw if within is None else raw.get(within)
    old = {within} if within is not None else set(accuracies.values())
    kept = {name: value for name, value in raw.items() if name not in old}
    if not isinstance(holder, dict):
        return kept
    found = {
        name: {ACCURACY.name: holder[field]}
        for name, field in accuracies.items()
        if holder.get(field) is not None
    }
    return {**kept, "scores": found} if found else kept


def with_network(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a final record whose loose layers are a network that reads unknowns."""
    layers, spec = raw.get("layers"), raw.get("spec")
    if not isinstance(layers, list) or not isinstance(spec, dict):
        return dict(raw)
    whole = [{"inputs": (), **layer} if isinstance(layer, dict) else layer for layer in layers]
    kept = {name: value for name, value in raw.items() if name != "layers"}
    return {**kept, "network": {"input_shape": spec.get("input_shape"), "layers": whole}}


def data_of_older_run(raw: Any) -> Any:
    """Return the fields of a data record whose normalisation is a pipeline of one step."""
    if not isinstance(raw, dict) or not isinstance(raw.get("normalisation"), dict):
        return raw
    scale = raw["normalisation"]
    kept = {name: value for name, value in raw.items() if name != "normalisation"}
    step = {
        "kind": "normalise",
        "formula": _FORMULA,
        "values": {name: scale.get(name) for name in ("mean", "std")},
    }
    pipeline = {name: scale.get(name) for name in ("raw_low", "raw_high", "raw_dtype")}
    return {
        **kept, "pipeline": {"steps": [step], "raw_shape": raw.get("input_shape"), **pipeline}
    }  # fmt: skip


def device_of_older_run(raw: Any) -> Any:
    """Return the fields of a device record that has the word of its latencies alone."""
    if not isinstance(raw, dict) or "latency_basis" not in raw:
        return raw
    kept = {name: value for name, value in raw.items() if name != "latency_basis"}
    named = {basis.name: basis for basis in (ESTIMATED, MEASURED)}
    return {**kept, "basis": named.get(raw["latency_basis"], raw["latency_basis"])}


def cost_of_older_run(raw: Any) -> Any:
    """Return the fields of an estimate whose latency is in one place."""
    loose = {
        "value_s": "latency_s",
        "low_s": "latency_low_s",
        "high_s": "latency_high_s",
        "basis": "latency_basis",
    }
    if not isinstance(raw, dict) or "latency_s" not in raw:
        return raw
    kept = {name: value for name, value in raw.items() if name not in loose.values()}
    latency = {name: raw.get(old) for name, old in loose.items()}
    return {**kept, "latency": None if latency["value_s"] is None else latency}


def caveats_of_older_run(raw: Any) -> Any:
    """Return the fields of a run with what happened, and what is of its end, apart from caveats."""
    if not isinstance(raw, dict) or "events" in raw or not isinstance(raw.get("caveats"), list):
        return raw
    lines = [line for line in raw["caveats"] if isinstance(line, str)]
    remarks = [line for line in lines if line.startswith(_OF_ITS_END)]
    events = [line for line in lines if line.startswith(_OF_ITS_TEACHER)]
    kept = [line for line in raw["caveats"] if line not in (*remarks, *events)]
    final = raw.get("final")
    if not isinstance(final, dict):
        kept, remarks = [*kept, *remarks], []
    return {
        **raw,
        "caveats": kept,
        "events": events,
        "final": {**final, "remarks": remarks} if remarks and final else final,
    }
