"""A server that trains the rest of a network on the maps that its clients send."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load, save
from support.federated import run_clients
from support.staged import CLASSES, config, data, state_equal, student

from hwkd.core.errors import ConfigError
from hwkd.distill.scheme_spec import parse_scheme
from hwkd.distill.shards import Shards
from hwkd.engine.arms.recipes import Arm
from hwkd.engine.arms.scheme_course import train_scheme
from hwkd.engine.arms.scheme_stages import SchemeData
from hwkd.engine.distill.federation import Ask, Said, joined, packed, unpacked
from hwkd.engine.distill.federation_maps import Relay, relay, take_part_by_maps
from hwkd.nn.build import StudentModule, build_module
from hwkd.nn.cut import head_state

pytestmark = pytest.mark.slow
ROUNDS, CLIENTS = 2, 2


def _halves(whole: SchemeData) -> list[SchemeData]:
    count = len(whole.training.labels)
    return [whole.of_rows(rows) for rows in torch.arange(count).split(count // CLIENTS)]


def _relay(stage: int = 1) -> Relay:
    plan = Said(
        layers=student().key, rounds=ROUNDS, epochs=2, seed=config().seed, by="fedgkt", stage=stage
    )
    found = relay(student(), plan, clients=CLIENTS, wait_s=60.0)
    found.config = config(epochs=2)
    return found


@pytest.mark.parametrize(("stage", "maps"), [(1, (4, 3, 3)), (2, (8, 3, 3))])
def test_clients_with_the_first_stages_alone_come_to_what_is_simulated(
    monkeypatch: pytest.MonkeyPatch, stage: int, maps: tuple[int, int, int]
) -> None:
    whole, found = data(), _relay(stage)
    parts = _halves(whole)
    shown: list[dict[str, torch.Tensor]] = []

    def client(number: int, plan: Said, ask: Ask) -> StudentModule:
        def heard(name: str, message: bytes) -> bytes:
            if name == "Send":
                shown.append(load(unpacked(message)[1]))
            return ask(name, message)

        return take_part_by_maps(student(), parts[number], plan, heard, config())

    clients = run_clients(found, client)
    # What is simulated divides the samples alike, in the order of the clients.
    count = len(whole.training.labels)
    rows = (*torch.arange(count).split(count // CLIENTS), torch.arange(0))
    monkeypatch.setattr(Shards, "rows", lambda *_: rows)
    scheme = parse_scheme(f"fedgkt:clients={CLIENTS},rounds={ROUNDS},stage={stage}")
    arm = Arm(name="scheme", scheme=scheme)
    wanted = train_scheme(student(), whole, config(epochs=2 * ROUNDS), arm=arm)[0]
    pairs = zip(found.result().state_dict().values(), wanted.state_dict().values(), strict=True)
    # Maps and logits travel as float16.
    assert all(torch.allclose(ours, theirs, atol=2e-2) for ours, theirs in pairs)
    assert all(state_equal(each, found.result()) for each in clients)
    own = count // CLIENTS
    sizes = {tuple(each["maps"].shape) for each in shown}
    assert sizes == {(own, *maps)}  # of the last stage of a client; inputs are (1, 6, 6)
    assert not any(value.shape[-2:] == (6, 6) for each in shown for value in each.values())
    edge = sum(t.numel() * t.element_size() for t in head_state(wanted, stage).values())
    one = own * (2 * math.prod(maps) + 2 * CLASSES + 4) + edge
    assert CLIENTS * ROUNDS * one < found.bytes_received < CLIENTS * ROUNDS * (one + 4000)


def test_a_stage_that_the_student_has_not_is_refused_before_any_training() -> None:
    with pytest.raises(ConfigError, match="stage 3 of a student with 2"):
        _relay(stage=3)
    plan = _relay().plan.model_copy(update={"stage": 3})
    with pytest.raises(ConfigError, match="stage 3 of a student with 2"):
        take_part_by_maps(student(), data(), plan, lambda *_: b"", config())


def test_what_is_not_of_the_first_stage_is_refused() -> None:
    found = _relay()
    for _ in range(CLIENTS):
        found.join(packed(Said(layers=student().key)))
    edge = {
        f"edge.{n}": t.contiguous()
        for n, t in head_state(build_module(student(), seed=0), 1).items()
    }
    half, labels = torch.float16, torch.zeros(3, dtype=torch.int32)
    good = {
        "maps": torch.zeros(3, 4, 3, 3, dtype=half),
        "logits": torch.zeros(3, CLASSES, dtype=half), "labels": labels, **edge,
    }  # fmt: skip
    name = next(n for n, t in edge.items() if t.dtype == torch.float32)
    for changed, what in (
        ({"labels": labels.long()}, "labels of client 0: expected int32"),
        ({"labels": labels + CLASSES}, "labels of client 0: outside the 4 classes"),
        ({"maps": torch.zeros(3, 1, 6, 6, dtype=half)}, r"maps .* shape \(3, 4, 3, 3\)"),
        ({"maps": good["maps"].float()}, "maps of client 0: expected float16"),
        ({"logits": good["logits"] * float("nan")}, "logits of client 0: hold values that are no"),
        ({"edge.more": labels.clone()}, "weights of client 0: expected"),
        ({name: edge[name] * float("inf")}, "weights of client 0: .*finite"),
    ):
        with pytest.raises(ValueError, match=what):
            found.send(packed(Said(client=0, round=0), save({**good, **changed})))
    with pytest.raises(ValueError, match="message of client 0: not readable"):
        found.send(packed(Said(client=0, round=0), b"nothing"))
    found.send(packed(Said(client=0, round=0), save(good)))
    found.wait_s = 0.01
    with pytest.raises(ValueError, match="not all clients sent what they have"):
        found.reply(packed(Said(client=0, round=0)))


def test_more_samples_than_a_message_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwkd.engine.distill.federation_maps._MOST_BYTES", 1000)
    found = _relay()
    plan = joined(student(), lambda name, message: found.answers()[name](message))
    with pytest.raises(ConfigError, match="a message holds 1,000; give this client 13 samples"):
        take_part_by_maps(student(), _halves(data())[0], plan, lambda *_: b"", config())
