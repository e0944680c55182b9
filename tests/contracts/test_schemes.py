"""Every registered scheme: what learns, what is exported, and that a killed one ends alike."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.staged import CLASSES, config, data, state_equal, student

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Trained
from hwkd.core.cohort_sources import Average
from hwkd.core.errors import ConfigError, HwkdError
from hwkd.core.student import Layer
from hwkd.deploy.to_onnx import folded_weights
from hwkd.distill.scheme import edge_terms, label_edge
from hwkd.distill.scheme_sources import AverageSource
from hwkd.distill.scheme_spec import control_of, parse_scheme, require_sound
from hwkd.distill.stage_weights import teaches_stages, weighed_by_stage
from hwkd.engine.arms.evaluation import student_bytes
from hwkd.engine.arms.recipes import Arm
from hwkd.engine.arms.scheme_course import require_possible, train_scheme
from hwkd.engine.setup.config import SearchConfig
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.nn.cohort import Cohort
from hwkd.nn.fake_quant import FakeQuantStudent
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.values_head import ValuesHead
from hwkd.train.checkpoint import Checkpoints
from hwkd.train.loop import predict_logits

discover("hwkd.distill.schemes")
NAMES = SCHEMES.names()


def arm_of(name: str, *, is_control: bool = False) -> Arm:
    return Arm(name="scheme", scheme=SCHEMES.get(name)(), is_control=is_control)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", NAMES)
def test_scheme_says_what_it_is_and_is_sound(name: str) -> None:
    scheme = SCHEMES.get(name)()
    require_sound(scheme)
    assert scheme.name == name
    assert scheme.cost_factor >= 1.0
    assert scheme.__doc__
    assert scheme.paper
    assert scheme.control
    assert parse_scheme(scheme.describe()) == parse_scheme(scheme.table()) == scheme


@pytest.mark.parametrize("name", NAMES)
def test_gradient_reaches_exactly_the_roles_that_edges_name(name: str) -> None:
    for phase in SCHEMES.get(name)().phases():
        signals = _random_signals(phase)
        for edge in (*phase.edges, *(e for turn in phase.turns for e in turn.edges)):
            if edge.weight == 0.0:
                continue
            read = (*edge.predictions, *edge.reads)
            value = edge(signals, torch.arange(6) % CLASSES)
            found = torch.autograd.grad(
                value, [signals[n] for n in read], allow_unused=True, retain_graph=True
            )
            for signal, gradient in zip(read, found, strict=True):
                learns = signal in edge.predictions or edge.attached
                is_pulled = gradient is not None and bool(gradient.any())
                assert is_pulled == learns, (phase.name, edge.name, signal)


def _random_signals(phase) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    learns = [role for role in phase.roles if isinstance(role, Trained)]
    cohort = Cohort(learns, student(), seed=0)
    shown = cohort.signals(torch.randn(6, 1, 6, 6), torch.randn(6, 1, 6, 6))
    for edge in (*phase.edges, *(e for turn in phase.turns for e in turn.edges)):
        for signal in (*edge.predictions, *edge.reads):
            maps = ".stage" in signal and isinstance(edge.prediction, str)
            like = shown[edge.prediction] if maps else torch.zeros(6, CLASSES)
            shown.setdefault(signal, torch.zeros_like(like))
    for role in phase.roles:
        if type(role).__name__ == "HeldOut":
            shown[f"{role.name}.weights"] = torch.full((len(role.members),), 0.3)
    return {
        signal: torch.randn(value.shape, generator=generator).requires_grad_()
        for signal, value in shown.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_scheme_trains_and_exports_a_plain_student(name: str) -> None:
    arm = arm_of(name)
    # As the command line trains: what ships has averaged weights.
    averaged = config(epochs=2, averaging_decay=0.9)
    exported, course = train_scheme(student(), data(), averaged, arm=arm)
    last = course.finished[-1].student
    plain = build_module(student(), seed=0)
    assert len(student_bytes(exported)) == len(student_bytes(plain))
    assert list(exported.state_dict()) == list(plain.state_dict())
    inputs = data().held_inputs
    last.eval()
    with torch.no_grad():
        shown = last.signals(inputs, plain=True)
    ours = predict_logits(exported, inputs)
    part = last.network(STUDENT)
    if isinstance(part, FakeQuantStudent):  # what ships is rounded when it is quantised
        folded = part.folded_weights()
        for layer in (la for la in student().layers if la.name in folded):
            kept = folded_weights(exported, layer)
            for theirs, mine in zip(folded[layer.name], kept, strict=True):
                np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-6)
        return
    in_run = [shown[f"{role}.logits"] for role in arm.scheme.exported]
    if STUDENT in last.parts:
        assert any(torch.equal(ours, each) for each in in_run)
    else:  # networks side by side add in another order
        assert any(torch.allclose(ours, each, atol=1e-5) for each in in_run)
    assert all(torch.isfinite(p).all() for p in last.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_control_has_no_edge_that_distils_and_trains(name: str) -> None:
    scheme = SCHEMES.get(name)()
    for phase in control_of(scheme):
        assert phase.edges
        assert not any(edge.teaches for edge in phase.edges)
    exported, _ = train_scheme(
        student(), data(), config(epochs=1), arm=arm_of(name, is_control=True)
    )
    assert list(exported.state_dict()) == list(build_module(student(), seed=0).state_dict())


class _KilledError(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_killed_scheme_goes_on_to_the_same_bits(name: str, tmp_path) -> None:
    arm, said = arm_of(name), list[str]()

    def trained(check=lambda: None, checkpoints=None):
        return train_scheme(
            student(), data(64), config(epochs=3), arm=arm, check=check, checkpoints=checkpoints
        )[0]

    undisturbed = trained()

    def checkpoints() -> Checkpoints:
        return Checkpoints(tmp_path, identity=name, say=said.append, period_s=0.0, share=1e9)

    asked = 0

    def kill() -> None:
        nonlocal asked
        asked += 1
        if asked > 5:  # in the second epoch, or in a later phase
            raise _KilledError

    with pytest.raises(_KilledError):
        trained(kill, checkpoints())
    assert list(tmp_path.glob("*.safetensors"))
    assert state_equal(trained(checkpoints=checkpoints()), undisturbed)
    assert not said


def test_peers_permuted_lose_permuted() -> None:
    (phase,) = SCHEMES.get("dml")(peers=3).phases()
    generator = torch.Generator().manual_seed(2)
    z = [torch.randn(5, CLASSES, generator=generator) for _ in range(3)]
    names, labels = ("student", "peer1", "peer2"), torch.arange(5) % CLASSES

    def terms(values) -> list[float]:
        signals = {f"{n}.logits": v for n, v in zip(names, values, strict=True)}
        found = edge_terms(phase.edges, signals, labels)
        return [float(found[f"labels {n}"] + found[f"peers {n}"]) for n in names]

    assert terms([z[2], z[0], z[1]]) == pytest.approx([terms(z)[i] for i in (2, 0, 1)])


@pytest.mark.parametrize(
    "way",
    [
        "loss",
        "probability",
        "logit",
        "select",
        "confidence",
        "min_norm",
        "learned",
        "learned_graph",
    ],
)
def test_equal_teachers_equal_one(way: str) -> None:
    phase = SCHEMES.get("multi_teacher")(way=way, teachers=3).phases()[1]
    generator = torch.Generator().manual_seed(2)
    zs, zt = (torch.randn(5, CLASSES, generator=generator) for _ in range(2))
    signals = {"student.logits": zs} | {f"teacher{k}.logits": zt for k in range(3)}
    free = [0.3, -1.0, 2.0] * (3 if way == "learned_graph" else 1)
    signals["free.values"] = torch.tensor(free)
    found = edge_terms(phase.edges, signals, torch.arange(5) % CLASSES)["teachers"]
    t = 4.0
    theirs = torch.softmax(zt / t, 1)
    kl = theirs * (torch.log_softmax(zt / t, 1) - torch.log_softmax(zs / t, 1))
    assert float(found) == pytest.approx(float(t * t * kl.sum(1).mean()), rel=1e-5)


@pytest.mark.parametrize(
    "options",
    ["dml:weight=0,peers=2", "mean_teacher:weight=0", "fedgkt:weight=0,clients=2,rounds=2",
     "sla:weight=0", "combined:offline=0,online=0,own=0",
     "class_embeddings:weight=0"],
)  # fmt: skip
def test_weight_0_is_cross_entropy_bit_for_bit(options: str) -> None:
    scheme = parse_scheme(options)
    with_scheme = Arm(name="scheme", scheme=scheme)
    control = Arm(name="scheme", scheme=scheme, is_control=True)
    first, _ = train_scheme(student(), data(), config(epochs=1), arm=with_scheme)
    second, _ = train_scheme(student(), data(), config(epochs=1), arm=control)
    assert state_equal(first, second)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dmll", "did you mean dml"),
        ("dml:peer=3", "did you mean peers"),
        ("dml:peers=1", "peers=1 must be >= 2"),
        ("dml:peers=two", "peers=two is not a number"),
        ("multi_teacher:teachers=1", "teachers=1 must be >= 2"),
        ("kdcl:variant=mean", "must be one of naive, minlogit"),
        ("netaug:plain=0.9", "plain=0.9 must be >= 0 and <= 0.5"),
        ("dml:peers", "'peers' is not option=value"),
    ],
)
def test_bad_text_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(HwkdError) as caught:
        parse_scheme(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


class _Changed:
    """A scheme whose last phase is another one."""

    def __init__(self, of: str, **changes) -> None:
        self._scheme = SCHEMES.get(of)()
        self._changes = changes
        self.name, self.exported = of, self._scheme.exported

    def phases(self):
        *first, last = self._scheme.phases()
        changed = {k: v(last) if callable(v) else v for k, v in self._changes.items()}
        return (*first, replace(last, **changed))


def _off(phase):
    return tuple(
        replace(e, ramp=lambda done: float(done > 0.9)) if e.teaches else e for e in phase.edges
    )


def _attached(phase):
    return tuple(replace(edge, attached=edge.teaches) for edge in phase.edges)


def _ungated(phase):
    return tuple(edge for edge in phase.edges if isinstance(edge.prediction, str))


def _leaderless(phase):
    nobody = lambda edge: replace(edge, target=replace(edge.target, members=()))  # noqa: E731
    return tuple(nobody(edge) if edge.teaches else edge for edge in phase.edges)


def _detached(phase):
    return tuple(replace(edge, attached=False) for edge in phase.edges)


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        (_Changed("dml", edges=_off), "is 0 in 90% of the steps"),
        (_Changed("okddip", edges=_detached), "no edge reaches the parameters of attention"),
        (_Changed("dml", roles=lambda p: p.roles[:2]), "there is no such role"),
        (_Changed("takd", name="link0"), "two phases have one name"),
        (_Changed("born_again", roles=lambda p: (p.roles[0], replace(p.roles[1], phase="none"))),
         "of phase none, which is not before it"),
        (_Changed("pskd", edges=(label_edge("student"),), roles=()), "there is no such role"),
        (_Changed("early_exit", edges=(label_edge("student"),)), "reaches the parameters of exit1"),
        (_Changed("one", edges=_ungated), "no edge reaches the parameters of gate"),
        (_Changed("takd", edges=_attached), "attaches a target that is stored"),
        (_Changed("multi_teacher", edges=_leaderless), "has nobody to learn from"),
    ],
)  # fmt: skip
def test_what_would_teach_nothing_is_refused(scheme, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        require_sound(scheme)


def _run_of(scheme: str, **changes):
    """Return what a run says of its data, as far as a scheme asks."""
    config = SearchConfig(device="host", scheme={"scheme": scheme}, **changes)
    return SimpleNamespace(config=config, data=SimpleNamespace(head=ClassesHead.numbered(CLASSES)))


def test_what_a_scheme_cannot_do_with_the_data_is_refused_before_training() -> None:
    arm = arm_of("early_exit")
    with_more = _run_of("early_exit", transfer={"unlabelled": "more.npy"})
    with pytest.raises(ConfigError, match="leave --unlabelled out"):
        require_possible(arm, student(), with_more)
    numbers = _run_of("early_exit")
    numbers.data.head = ValuesHead.fitted(np.arange(4.0)[:, None], names=("size",))
    with pytest.raises(ConfigError, match="softens and compares classes; this task has"):
        require_possible(arm, student(), numbers)


def test_an_exit_that_is_larger_than_the_student_is_refused() -> None:
    def many(layer: Layer) -> Layer:
        is_deep = layer.name in ("first", "second")
        groups = 64 if is_deep else 1
        return replace(layer, shape=(64, *layer.shape[1:]), groups=groups)

    *body, logits = student().layers
    layers = replace(student(), layers=(*map(many, body), logits))
    with pytest.raises(ConfigError, match="exit1 has 4420 parameters, the student 2372"):
        require_possible(arm_of("early_exit"), layers, _run_of("early_exit"))


def test_frozen_roles_have_nothing_that_an_optimizer_could_change() -> None:
    arm = arm_of("mean_teacher")
    cohort = Cohort([r for r in arm.phases()[0].roles if isinstance(r, Trained)], student(), seed=0)
    source = AverageSource(
        [r for r in arm.phases()[0].roles if isinstance(r, Average)], cohort, lambda *_: {}
    )
    assert not {name for name in cohort.state_dict() if "average" in name}
    assert all(not value.requires_grad for value in source.state().values())


def test_an_exit_that_the_student_does_not_have_is_refused() -> None:
    (phase,) = SCHEMES.get("byot")(exits=3).phases()
    with pytest.raises(ConfigError, match="an exit on stage 3; the student has 2 stages"):
        Cohort([role for role in phase.roles if isinstance(role, Trained)], student(), seed=0)


def test_what_stages_are_taught_counts_as_much_as_they_cost() -> None:
    scheme = parse_scheme("dna:blocks=2")
    before, after = scheme.phases(), weighed_by_stage(scheme.phases(), (0.5, 1.5))
    factors = {
        edge.name: edge.weight / old.weight
        for phase, was in zip(after, before, strict=True)
        for edge, old in zip(phase.edges, was.edges, strict=True)
    }
    assert factors == {"labels student": 1.0, "block1": 0.5, "block2": 1.5}
    exits = weighed_by_stage(parse_scheme("byot:exits=2,alpha=0.1,beta=0").phases(), (0.5, 1.5))
    weights = {edge.name: edge.weight for edge in exits[0].edges}
    assert (weights["last exit1"], weights["last exit2"]) == pytest.approx((0.05, 0.15))
    assert weights["labels exit1"] == weights["labels student"] == 0.9
    assert weighed_by_stage(before, None) == before
    assert not teaches_stages(parse_scheme("dml").phases())
