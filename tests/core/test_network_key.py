"""Keys of networks: stored students are known by them, so no later field may move one."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path

from hwkd.core.student import Layer, Layers
from hwkd.core.student_record import StudentRecord
from hwkd.io.student_folder import read_record_file

GOLDEN = Path(__file__).parents[1] / "golden" / "student_v1" / "student.json"
FIRST = Layer(
    name="a", kind="conv", inputs=("input",), shape=(2, 8, 8), kernel=(3, 3), pads=(1, 1, 1, 1),
    norm=True, activation="relu",
)  # fmt: skip
JOINED = Layer(name="b", kind="concat", inputs=("a", "a"), shape=(4, 8, 8))
TALL = Layer(name="c", kind="concat", inputs=("b", "b"), shape=(4, 16, 8), axis=1)


@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class WiderLayer(Layer):
    """A layer of a later version, which knows one thing more."""

    phase: tuple[int, int] = (1, 1)


def network(*layers: Layer, outputs: tuple[str, ...] = ()) -> Layers:
    return Layers(input_shape=(1, 8, 8), layers=layers, outputs=outputs)


def wider(layer: Layer, **more: tuple[int, int]) -> WiderLayer:
    return WiderLayer(**{entry.name: getattr(layer, entry.name) for entry in fields(layer)}, **more)


def test_the_keys_of_stored_networks_stay():
    assert network(FIRST, JOINED, TALL, outputs=("c", "a")).key == "15fd328a3c79708a"
    assert replace(network(FIRST), input_shape=(3,)).key == "0b394c77aa02a2d1"


def test_a_field_with_a_default_moves_no_key():
    later = network(*(wider(layer) for layer in (FIRST, JOINED, TALL)), outputs=("c", "a"))
    assert later.key == network(FIRST, JOINED, TALL, outputs=("c", "a")).key


def test_another_value_of_any_field_is_another_network():
    one = network(FIRST, TALL)
    assert network(wider(FIRST, phase=(2, 2)), wider(TALL)).key != one.key
    assert network(FIRST, replace(TALL, axis=0)).key != one.key
    for entry in fields(Layer):
        value = getattr(FIRST, entry.name)
        changed = not value if isinstance(value, bool) else value * 2 if value else (1,)
        other = 1 if entry.name == "axis" else changed
        assert network(replace(FIRST, **{entry.name: other}), TALL).key != one.key, entry.name


def test_a_student_of_the_first_format_reads_and_stores_its_network_once():
    text = GOLDEN.read_text(encoding="utf-8")
    old = json.loads(text)
    read = read_record_file(GOLDEN)
    assert (read.spec.key, read.network.key) == (old["spec"]["key"], old["network"]["key"])
    assert read.run is not None
    assert read.run.final is not None
    shown = [(layer.name, layer.shape) for layer in read.run.final.network.layers]
    assert shown == [(layer.name, layer.shape) for layer in read.network.layers]
    final = read.run.final.model_copy(update={"network": read.network})
    whole = read.model_copy(update={"run": read.run.model_copy(update={"final": final})})
    stored = json.loads(whole.model_dump_json())
    assert "network" not in stored["run"]["final"]
    assert StudentRecord.model_validate(stored) == whole
    # Fields of later versions have their defaults.
    layers, first = stored["network"].pop("layers"), old["network"].pop("layers")
    assert stored["network"] == old["network"] | {"outputs": []}
    assert all(was.items() <= now.items() for was, now in zip(first, layers, strict=True))
