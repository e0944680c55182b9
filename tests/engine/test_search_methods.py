"""What a search distills with: named methods, the default, controls, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.tiny_search import make_config, make_run, silent

from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import ConfigError, HwkdError, UnknownNameError
from hwkd.core.verdict_record import ArmRecord, ArmScores
from hwkd.distill.losses.soft_targets import SoftTargets
from hwkd.engine.arms.evaluation import STEPS_BETWEEN_NORMS, train_student
from hwkd.engine.arms.recipes import arms_of
from hwkd.engine.arms.verdict import gain_over_controls
from hwkd.engine.run.loaded_context import load_context
from hwkd.engine.run.proposal import Proposal
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.methods import configured_methods, scheme_of_search
from hwkd.engine.setup.new_search import prepare_new_search
from hwkd.engine.setup.trainings import full_training
from hwkd.io.discovery import output_kind


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([{"method": "kdd"}], "'kdd'.*kd"),
        ([{"method": "kd", "temprature": 2}], "unknown option 'temprature'; did you mean temper"),
        ([{"method": "kd", "temperature": -1}], "temperature=-1.0 must be > 0"),
        ([{"method": "kd"}, {"method": "kd"}], "given 2 times"),
        ([{"method": "none"}, {"method": "kd"}], "labels alone; give nothing beside it"),
        ([{"method": "at"}], "needs features, .* `hwkd distill --student RUN --method at`"),
        ([{"method": "jacobian"}], "needs inputs, and a search keeps only the teacher's logits"),
        ([{"method": "pkt"}], "needs embedding"),
    ],
)
def test_a_wrong_method_is_one_line_before_any_training(
    tmp_path: Path, tables: list[dict[str, object]], message: str
) -> None:
    config = make_config(tmp_path, distill=tables)
    with pytest.raises(HwkdError, match=message) as caught:
        prepare_new_search(config, progress=silent)
    assert isinstance(caught.value, ConfigError | UnknownNameError)
    assert "\n" not in str(caught.value)


def test_methods_survive_their_toml_file(tmp_path: Path) -> None:
    tables = [{"method": "kd", "temperature": 4.0, "weight": 0.9, "warmup": 0.1}]
    config = make_config(tmp_path, distill=tables)
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml())
    read = SearchConfig.from_toml(path)
    assert read == config
    (entry,) = configured_methods(read) or ()
    assert entry.method == SoftTargets(temperature=4.0)
    assert (entry.weight, entry.schedule.warmup) == (0.9, 0.1)
    assert [entry.table()] == tables


def test_a_run_of_two_numbers_becomes_soft_targets() -> None:
    raw = {"device": "host", "training": {"distill_weight": 0.5, "temperature": 3.0, "controls": 2}}
    config = SearchConfig.checked(raw, where="old")
    (entry,) = configured_methods(config) or ()
    assert entry.method == SoftTargets(temperature=3.0)
    assert entry.weight == 1.0
    assert (config.objective.temperature, config.training.controls) == (3.0, 2)


@pytest.mark.parametrize(
    ("scheme", "teachers", "message"),
    [
        ("takd", (), "costs 21.0 trainings of the student, and a search takes schemes of 8 at"),
        ("dml", ("teacher.onnx",), "scheme dml trains all that take part"),
        ("takd", ("a.onnx", "b.onnx"), "scheme takd begins with one"),
        ("multi_teacher:way=confidence", ("a.onnx",), "weighs several teachers, and one was given"),
        ("multi_teacher:given=2", (), "leave given out, .* there is no --teacher"),
        ("takd:given=2", ("a.onnx",), "leave given out, .* there is 1 --teacher"),
    ],
)
def test_a_scheme_that_a_search_cannot_end_with_is_one_line(
    scheme: str, teachers: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        scheme_of_search(scheme, (), teachers)
    assert "\n" not in str(caught.value)


def test_a_chain_that_begins_with_the_users_teacher_costs_what_is_left_of_it() -> None:
    assert scheme_of_search("takd", (), ("a.onnx",)) == {
        "scheme": "takd", "given": 1, "assistants": 1, "width": 4.0, "lam": 0.5, "temperature": 5.0
    }  # fmt: skip


@pytest.mark.slow
def test_every_arm_trains_with_terms_of_its_own(tmp_path: Path) -> None:
    run = make_run(tmp_path, distill=[{"method": "kd", "temperature": 4, "weight": 0.9}])
    context = load_context(run.store)
    space = context.screen.spaces["narrow_deep"]
    spec = space.suggest(RandomChooser(0), input_shape=(1, 8, 8), num_outputs=3)
    layers = space.layers(spec)
    seen = {}
    for arm in arms_of(context.methods, output_kind("classes")):
        config = full_training(context, layers, repetition=0, epochs=1)
        result = train_student(layers, context, config, arm=arm).result
        seen[arm.name] = set(result.epochs[0].losses)
        norms = result.epochs[0].grad_norms
        assert set(norms) == seen[arm.name] - {"cross_entropy"}
        assert all(norm > 0 for norm in norms.values())
    assert seen == {
        "distilled": {"cross_entropy", "kd"},
        "cross-entropy": {"cross_entropy"},
        "label smoothing": {"label_smoothing"},
        "kd-from-labels, no teacher": {"cross_entropy", "kd-from-labels"},
    }


@pytest.mark.slow
def test_gradient_norms_are_in_every_epoch_of_a_full_training_and_rarer_in_a_candidates(
    tmp_path: Path,
) -> None:
    run = make_run(tmp_path, training={"brief_epochs": 3, "full_epochs": 3, "controls": 0})
    context = load_context(run.store)
    space = context.screen.spaces["narrow_deep"]
    layers = space.layers(space.suggest(RandomChooser(0), input_shape=(1, 8, 8), num_outputs=3))
    config = full_training(context, layers, repetition=0, epochs=3)

    arm = arms_of(context.methods, output_kind("classes"))[0]

    def measured(steps_between_norms: int) -> list[bool]:
        result = train_student(
            layers, context, config, arm=arm, steps_between_norms=steps_between_norms
        ).result
        return [bool(epoch.grad_norms) for epoch in result.epochs]

    assert measured(1) == [True, True, True]
    assert measured(STEPS_BETWEEN_NORMS) == [True, False, False]


def test_a_term_without_gradient_fails_the_trial_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, distill=[{"method": "kd"}], training={"brief_epochs": 3})
    runner = run.runner()
    monkeypatch.setattr(SoftTargets, "__call__", lambda *_: {"kd": torch.zeros(())})
    space = runner.context.screen.spaces["narrow_deep"]
    spec = space.suggest(RandomChooser(0), input_shape=(1, 8, 8), num_outputs=3)
    proposal = Proposal(spec=spec, fidelity=runner.context.fidelity)
    record = runner.run(proposal, lambda _: None, number=0)
    assert record.state == "failed"
    assert "term kd: its gradient at the student was 0" in (record.reason or "")


def test_labels_alone_have_no_control(tmp_path: Path) -> None:
    config = make_config(tmp_path, distill=[{"method": "none"}])
    assert configured_methods(config) == ()
    (arm,) = arms_of((), output_kind("classes"))
    assert (arm.name, arm.methods) == ("labels alone", ())


def test_a_gain_is_over_the_control_that_is_best_on_validation() -> None:
    def arm(name: str, validation: list[float], test: float) -> ArmRecord:
        scores = (
            ArmScores(seed=seed, validation_int8=value, test_int8=test)
            for seed, value in enumerate(validation)
        )
        return ArmRecord(name=name, scores=tuple(scores))

    arms = [
        arm("distilled", [0.875, 0.75], 0.8),
        arm("cross-entropy", [0.8125, 0.8125], 0.7),
        arm("label smoothing", [0.5, 0.5], 0.9),
    ]
    gain = gain_over_controls(arms)
    assert gain is not None
    assert (gain.over, gain.seeds) == ("cross-entropy", 2)
    assert gain.mean == pytest.approx(0.1)
    assert gain_over_controls(arms[:1]) is None
