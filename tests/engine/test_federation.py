"""A server and two clients: over gRPC between processes, and beside what is simulated in one."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from support.federated import run_clients
from support.staged import config, data, state_equal, student

from hwkd.core.errors import ConfigError
from hwkd.distill.scheme_spec import parse_scheme
from hwkd.distill.schemes.federated import FedAvg, FederatedScheme
from hwkd.engine.arms.recipes import Arm
from hwkd.engine.arms.scheme_course import train_scheme
from hwkd.engine.arms.scheme_stages import SchemeData
from hwkd.engine.distill.federation import (
    Ask,
    Averages,
    Said,
    Server,
    joined,
    packed,
    take_part,
    unpacked,
)
from hwkd.engine.distill.federation_public import (
    Consensus,
    PublicSamples,
    serving,
    take_part_by_logits,
)
from hwkd.io.calls import answering, asking
from hwkd.nn.build import StudentModule, build_module

pytestmark = pytest.mark.slow
ROUNDS, CLIENTS = 2, 2
TEXT = f"fedavg:clients={CLIENTS},rounds={ROUNDS},alpha=50,public=0.1"
TESTS = Path(__file__).parents[1]

CLIENT = f"""
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, {str(TESTS)!r})
from support.staged import config, data, student
from hwkd.distill.scheme_spec import parse_scheme
from hwkd.engine.distill.federation import take_part
from hwkd.io.calls import asking
from hwkd.distill.shards import Part
from hwkd.engine.arms.evaluation import save_student
from pathlib import Path
number, port, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
part = Part(shards=parse_scheme({TEXT!r}).shards, number=number)
own = data().of_rows(part.rows(data().training.labels))
with asking(f"127.0.0.1:{{port}}", timeout_s=120.0) as ask:
    save_student(take_part(student(), own, ask, config()), Path(out))
"""


def server(**changes) -> Averages:
    plan = Said(layers=student().key, rounds=ROUNDS, epochs=2, seed=config().seed)
    module = build_module(student(), seed=config().seed)
    given = {"clients": CLIENTS, "plan": plan, "wait_s": 120.0, **changes}
    return Averages(module=module, **given)


def _scheme() -> FedAvg:
    scheme = parse_scheme(TEXT)
    assert isinstance(scheme, FedAvg)
    return scheme


def simulated():
    arm = Arm(name="scheme", scheme=_scheme())
    return train_scheme(student(), data(), config(epochs=2 * ROUNDS), arm=arm)[0]


def _end_of(client: subprocess.Popen[bytes]) -> int:
    try:
        return client.wait(60)
    except subprocess.TimeoutExpired:
        client.kill()
        return client.wait()


def test_two_processes_and_a_server_come_to_what_is_simulated(tmp_path: Path) -> None:
    pytest.importorskip("grpc", reason="the extra hwkd[federated]")
    averages = server()
    with answering(averages.answers(), host="127.0.0.1", port=0, callers=CLIENTS) as port:
        files = [tmp_path / f"client{n}.safetensors" for n in range(CLIENTS)]
        clients = [
            subprocess.Popen([sys.executable, "-c", textwrap.dedent(CLIENT), str(n), str(port), f])
            for n, f in enumerate(files)
        ]
        try:
            averages.wait(lambda *_: None)
        finally:
            ended = [_end_of(client) for client in clients]
        assert ended == [0, 0]
    wanted = simulated()
    pairs = zip(averages.module.state_dict().values(), wanted.state_dict().values(), strict=True)
    # Who joined first is client 0, so that the sum may be in another order.
    assert all(torch.allclose(ours, theirs, atol=1e-6) for ours, theirs in pairs)
    one_way = averages.bytes_received
    numbers = sum(t.numel() * t.element_size() for t in wanted.state_dict().values())
    assert CLIENTS * ROUNDS * numbers < one_way < 2 * CLIENTS * ROUNDS * numbers
    assert averages.bytes_sent == one_way // ROUNDS * (ROUNDS + 1)


def test_rounds_over_functions_alone_are_the_simulated_ones_bit_for_bit() -> None:
    averages, shards = server(), _scheme().shards
    rows = shards.rows(data().training.labels)
    calls = averages.answers()
    turns = threading.Barrier(CLIENTS)

    def client(number: int) -> None:
        def ask(name: str, message: bytes) -> bytes:
            return calls[name](message)

        for each in range(CLIENTS):  # they join in their order
            if each == number:
                joined = ask("Join", packed(Said(layers=student().key)))
            turns.wait()
        own = data().of_rows(rows[number])
        take_part(student(), own, lambda n, m: joined if n == "Join" else ask(n, m), config())

    threads = [threading.Thread(target=client, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    averages.wait(lambda *_: None)
    for thread in threads:
        thread.join()
    assert state_equal(averages.module, simulated())


def _scheme_of(name: str) -> FederatedScheme:
    scheme = parse_scheme(f"{name}:clients={CLIENTS},rounds={ROUNDS},alpha=50,public=0.3")
    assert isinstance(scheme, FederatedScheme)
    return scheme


def _shared(name: str, whole: SchemeData) -> tuple[PublicSamples, list[SchemeData]]:
    """Return the public samples of a scheme, and those of each client."""
    *private, public = _scheme_of(name).shards.rows(whole.training.labels)
    inputs = whole.training.copies[0].index_select(0, public)
    return PublicSamples.of(inputs.numpy()), [whole.of_rows(rows) for rows in private]


def _served(name: str, public: PublicSamples, monkeypatch: pytest.MonkeyPatch) -> Server:
    for place in ("federation", "federation_public"):
        monkeypatch.setattr(f"hwkd.engine.distill.{place}.TRAINING", config())
        monkeypatch.setattr("hwkd.engine.distill.federation.derive_seed", lambda seed, _: seed)
    return serving(
        student(), by=name, public=public, head=data().training.head, clients=CLIENTS,
        rounds=ROUNDS, epochs=2, seed=config().seed, wait_s=60.0,
    )  # fmt: skip


def test_a_server_of_feddf_comes_to_what_is_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    public, parts = _shared("feddf", data())
    found = _served("feddf", public, monkeypatch)
    run_clients(found, lambda n, plan, ask: take_part(student(), parts[n], ask, config(), plan))
    arm = Arm(name="scheme", scheme=_scheme_of("feddf"))
    wanted = train_scheme(student(), data(), config(epochs=2 * ROUNDS), arm=arm)[0]
    pairs = zip(found.result().state_dict().values(), wanted.state_dict().values(), strict=True)
    assert all(torch.allclose(ours, theirs, atol=1e-4) for ours, theirs in pairs)


def test_clients_of_fedmd_send_logits_alone_and_a_student_learns_from_their_mean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    public, parts = _shared("fedmd", data())
    found = _served("fedmd", public, monkeypatch)
    assert isinstance(found, Consensus)
    said: list[torch.Tensor] = []

    def client(number: int, plan: Said, ask: Ask) -> StudentModule:
        def heard(name: str, message: bytes) -> bytes:
            if name == "Say" and unpacked(message)[0].round == ROUNDS - 1:
                said.append(load(unpacked(message)[1])["logits"].float())
            return ask(name, message)

        return take_part_by_logits(student(), parts[number], public, plan, heard, config())

    clients = run_clients(found, client)
    assert found.mean is not None
    torch.testing.assert_close(found.mean, sum(said) / CLIENTS)
    classes = data().training.head.size
    one = 2 * len(public.inputs) * classes  # float16
    assert CLIENTS * ROUNDS * one < found.bytes_received < CLIENTS * ROUNDS * (one + 200)
    assert found.bytes_sent == found.bytes_received
    weights = sum(t.numel() * 4 for t in student_state().values())
    assert found.bytes_received < CLIENTS * ROUNDS * weights  # here logits are fewer
    # Two that learned from the same mean are nearer to it than one that did not.
    fresh = build_module(student(), seed=0).eval()
    far = (public.said_by(fresh) - found.mean).abs().mean()
    for module in (*clients, found.result()):
        assert (public.said_by(module) - found.mean).abs().mean() < far


def student_state() -> dict[str, torch.Tensor]:
    return build_module(student(), seed=0).state_dict()


def test_public_samples_that_are_missing_or_others_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    public, parts = _shared("fedmd", data())
    found = _served("fedmd", public, monkeypatch)
    other = PublicSamples.of(public.inputs.numpy() + 1)
    plan = joined(student(), lambda name, message: found.answers()[name](message))
    for given, what in ((None, "none"), (other, "other ones")):
        with pytest.raises(ConfigError, match=f"{what} were given here; give the server's file"):
            take_part_by_logits(student(), parts[0], given, plan, lambda *_: b"")
    assert isinstance(found, Consensus)
    classes = data().training.head.size
    for logits, what in (
        (torch.zeros(1, classes, dtype=torch.float16), "expected float16 of shape"),
        (torch.zeros(len(public.inputs), classes), "expected float16 of shape"),
        (torch.full((len(public.inputs), classes), float("nan"), dtype=torch.float16), "no number"),
    ):
        with pytest.raises(ValueError, match=what):
            found.say(packed(Said(client=0, round=0), save({"logits": logits})))
    with pytest.raises(ValueError, match="logits of client 0: not readable"):
        found.say(packed(Said(client=0, round=0), b"nothing"))
    with pytest.raises(ValueError, match="client 1 sent round 0 out of turn"):
        found.say(packed(Said(client=1, round=0)))


def test_what_is_no_message_or_out_of_turn_is_refused() -> None:
    averages = server()
    with pytest.raises(ValueError, match="no message of hwkd"):
        averages.join(b"\0\0\0\5hello")
    with pytest.raises(ValueError, match="another student"):
        averages.join(packed(Said(layers="other")))
    for _ in range(CLIENTS):
        averages.join(packed(Said(layers=student().key)))
    with pytest.raises(ValueError, match="2 clients are there already"):
        averages.join(packed(Said(layers=student().key)))
    with pytest.raises(ValueError, match="client 0 sent round 1 out of turn"):
        averages.send(packed(Said(client=0, round=1)))
    with pytest.raises(ValueError, match="weights of client 0: not a readable safetensors file"):
        averages.send(packed(Said(client=0, round=0), b"nothing"))
    said, blob = unpacked(averages.weights(packed(Said(round=0))))
    assert (said.round, len(blob)) == (0, averages.bytes_sent)


def test_clients_that_do_not_come_end_the_wait_in_one_line() -> None:
    with pytest.raises(ConfigError, match="0 of 2 clients joined"):
        server(wait_s=0.05).wait(lambda *_: None)


def test_a_server_that_refuses_or_is_not_there_is_said() -> None:
    pytest.importorskip("grpc", reason="the extra hwkd[federated]")

    def refuse(message: bytes) -> bytes:
        raise ValueError("no more clients")

    with (
        answering({"Join": refuse}, host="127.0.0.1", port=0, callers=1) as port,
        asking(f"127.0.0.1:{port}", timeout_s=20.0) as ask,
        pytest.raises(ConfigError, match="refused: no more clients"),
    ):
        ask("Join", b"")
    with (
        asking(f"127.0.0.1:{port}", timeout_s=0.2) as ask,
        pytest.raises(ConfigError, match=r"no answer in 0\.2 s"),
    ):
        ask("Join", b"")
