"""`hwkd distill` end to end on small data: student, teacher, controls and files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.numpy import load_file
from support.bars import final_of, request_of
from support.synthetic_run import make_run
from typer.testing import CliRunner

import hwkd
from hwkd.cli.app import app
from hwkd.core import catalog
from hwkd.core.errors import TeacherError
from hwkd.core.progress import silent
from hwkd.deploy.exit_rule import read_exit_rule
from hwkd.deploy.sessions import open_session, predict
from hwkd.distill.spec import parse_methods
from hwkd.engine.arms.recipes import arms_of
from hwkd.engine.distill.answers import write_teacher_answers
from hwkd.engine.distill.generate import generate_samples
from hwkd.engine.distill.resolve import learned_without, resolve_student
from hwkd.engine.distill.run import run_distillation
from hwkd.engine.run.listener import SilentListener
from hwkd.engine.setup.config import SearchConfig, TeacherConfig
from hwkd.engine.setup.context import make_context
from hwkd.engine.setup.teacher import open_teachers
from hwkd.engine.setup.trainings import full_training
from hwkd.engine.setup.transfer import configured_transfer
from hwkd.io import discovery
from hwkd.io.discovery import output_kind
from hwkd.io.student_folder import (
    DESCRIPTION_FILE,
    EXITS_FILE,
    FLOAT_FILE,
    INT8_FILE,
    WEIGHTS_FILE,
    read_student,
)
from hwkd.tasks.base import Split
from hwkd.train.teacher import Teacher


@pytest.mark.slow
def test_student_is_written_with_its_history(place: Path) -> None:
    final = final_of(place, methods=("kd:temperature=2", "at:weight=10"))
    names = {path.name for path in (place / "out").iterdir()}
    assert names == {FLOAT_FILE, INT8_FILE, WEIGHTS_FILE, DESCRIPTION_FILE}
    stored = read_student(place / "out").record
    assert stored.run is not None
    assert stored.run.final == final
    assert (stored.run.made_by, stored.labels) == ("distill", ("0", "1", "2"))
    assert stored.run.teacher is not None
    assert stored.run.teacher.description
    assert {"cross_entropy", "kd", "at.1"} <= set(final.history[0].losses)
    assert final.history[0].grad_norms["kd"] > 0
    assert [pair.method for pair in final.pairs] == ["at"] * len(final.pairs)
    weights = load_file(place / "out" / "student.safetensors")
    assert all(name.startswith("steps.") for name in weights)
    assert "unknown" in final.verdict.sentences[0]
    assert not list(place.glob(".out*"))


@pytest.mark.slow
def test_adapters_add_no_byte_to_what_is_exported(place: Path) -> None:
    for name, methods in (("plain", ("none",)), ("adapted", ("fitnet", "vid", "crd:negatives=8"))):
        run_distillation(request_of(place, methods=methods, epochs=1, out=place / name))
    plain, adapted = (place / name for name in ("plain", "adapted"))
    weights = [(folder / "student.safetensors").stat().st_size for folder in (plain, adapted)]
    assert weights[0] == weights[1]
    networks = [onnx.load(folder / "student.onnx") for folder in (plain, adapted)]
    for network in networks:
        # Its scores have more or fewer digits.
        del network.metadata_props[:]
    assert networks[0].ByteSize() == networks[1].ByteSize()


def test_default_method_follows_the_teacher(place: Path) -> None:
    (method,) = final_of(place, epochs=1).verdict.methods
    assert method.startswith(("kd:temperature=2", "lskd:temperature=2"))


@pytest.mark.slow
def test_attribution_trains_every_control_and_never_ships_a_worse_student(place: Path) -> None:
    verdict = final_of(place, methods=("lskd",), with_controls=True, seeds=(0, 1)).verdict
    assert [arm.name for arm in verdict.arms] == [
        "distilled", "cross-entropy", "label smoothing", "ce_standardised, no teacher"
    ]  # fmt: skip
    assert all(len(arm.scores) == 2 for arm in verdict.arms)
    means = {arm.name: arm.mean("validation_int8") or 0.0 for arm in verdict.arms}
    assert means[verdict.ships] == max(means.values())
    assert verdict.gain is not None
    assert verdict.gain.seeds == 2
    assert "points" in verdict.sentences[0]


def test_arms_of_a_seed_begin_with_the_same_weights(place: Path) -> None:
    resolved = resolve_student(request_of(place, methods=("kd",)), progress=silent)
    transfer = configured_transfer(resolved.config, resolved.data)
    context = make_context(resolved.config, resolved.task, transfer, None)
    layers = resolved.layers
    seeds = [
        full_training(context, layers, repetition=seed, epochs=1, methods=arm.methods).config.seed
        for seed in (0, 1)
        for arm in arms_of(parse_methods(("kd",)), output_kind("classes"))
    ]
    assert len(set(seeds[:4])) == len(set(seeds[4:])) == 1
    assert seeds[0] != seeds[4]


@pytest.mark.slow
def test_arms_are_judged_by_the_int8_file_that_would_ship(place: Path) -> None:
    request = request_of(place, methods=("kd",), calibration="mse")
    (scores,) = final_of(place, methods=("kd",), calibration="mse").verdict.arms[0].scores
    data = resolve_student(request, progress=silent).data

    def accuracy(name: str, split: Split) -> float:
        outputs = predict(open_session(request.out / name), split.inputs)
        return data.head.scores(outputs, split.labels)["accuracy"]

    assert scores.validation_int8 == pytest.approx(accuracy(INT8_FILE, data.validation))
    assert scores.test_int8 == pytest.approx(accuracy(INT8_FILE, data.test))
    assert scores.validation_float == pytest.approx(accuracy(FLOAT_FILE, data.validation))
    assert scores.test_float == pytest.approx(accuracy(FLOAT_FILE, data.test))


@pytest.mark.slow
def test_unlabelled_pictures_join_and_controls_get_as_many_steps(place: Path) -> None:
    verdict = final_of(
        place, methods=("kd",), unlabelled=place / "more.npy", with_controls=True
    ).verdict
    assert len(verdict.arms) == 4
    assert verdict.gain is not None
    assert verdict.gain.low is None  # one seed has no interval


@pytest.mark.slow
def test_what_was_made_stands_in_for_the_train_split_and_arms_are_attacked(place: Path) -> None:
    request = request_of(place, out=place / "made.npz")
    made = generate_samples(request, by="boundary:share=0.5,steps=2", seed=0, progress=silent)
    (arm,) = final_of(
        place, methods=("kd",), made=made.path, epochs=1, robustness="pgd:eps=0.5,steps=2"
    ).verdict.arms
    data = resolve_student(request_of(place, methods=("kd",), made=made.path), progress=silent).data
    assert len(data.train) == sum(made.samples_of_class)
    plain = resolve_student(request_of(place), progress=silent).data
    # What was not moved comes back as it was, in the values that students see.
    assert np.array_equal(data.train.inputs[: len(plain.train)], plain.train.inputs)
    assert data.fingerprint != plain.fingerprint
    assert np.array_equal(data.test.inputs, plain.test.inputs)
    (score,) = arm.scores
    assert score.attacked_float is not None
    assert score.test_float is not None
    assert score.attacked_float <= score.test_float


@pytest.mark.slow
def test_a_file_of_answers_teaches_in_place_of_its_teacher(place: Path) -> None:
    written = write_teacher_answers(
        request_of(place, out=place / "a.safetensors"), top=1, progress=silent
    )
    assert written.said is not None
    assert 1 <= len(written.said.samples) <= 10
    assert written.agreement is None  # a description has no int8 file that could agree
    more = request_of(place, out=place / "more.safetensors", teachers=("gone.onnx",))
    again = write_teacher_answers(
        more, top=None, extends=place / "a.safetensors", progress=silent
    )  # nothing is new, so no teacher is opened
    assert (again.replayed, again.top) == (written.examples, 1)
    final = final_of(place, methods=("kd",), teachers=("a.safetensors",), epochs=1)
    assert final.verdict.is_taught
    taught = replace(request_of(place, out=place / "c.safetensors"), student="out")
    agreement = write_teacher_answers(taught, top=1, progress=silent).agreement
    assert agreement is not None
    assert 0.0 <= agreement <= 1.0
    with pytest.raises(TeacherError, match=r"is none of them; leave --copies and --unlabelled out"):
        final_of(place, methods=("kd",), teachers=("a.safetensors",), copies=2, out=place / "b")


@pytest.mark.slow
def test_views_are_seen_by_teacher_and_student(place: Path) -> None:
    assert len(final_of(place, methods=("kd",), copies=2, epochs=2).history) == 2


@pytest.mark.slow
def test_same_request_gives_the_same_student(place: Path) -> None:
    for name in ("one", "two"):
        run_distillation(request_of(place, methods=("fitnet", "kd"), out=place / name))
    first, second = (load_file(place / n / "student.safetensors") for n in ("one", "two"))
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_command_prints_arms_and_draws_the_history(place: Path) -> None:
    arguments = "distill --student bars.json --data bars.npz --teacher bars_teacher:make --epochs 1"
    chosen = "--method kd --method at:weight=10 --accelerator cpu"
    runner = CliRunner()
    result = runner.invoke(app, [*f"{arguments} {chosen}".split(), "--out", "out"])
    assert result.exception is None, result.exception
    assert "Layer pairs" in result.stdout
    assert "distilled (ships)" in result.stdout
    page = (place / "out" / "report.html").read_text()
    assert "Loss terms during the final training, " in page
    assert 'id="front"' not in page
    assert (place / "out" / "MODEL_CARD.md").read_text().startswith("#")
    assert hwkd.report(place / "out").page.run.made_by == "distill"
    result = runner.invoke(app, [*f"{arguments} {chosen}".split(), "--out", "b", "--json"])
    found = json.loads(result.stdout)
    assert found["best"]["verdict"]["ships"] == "distilled"
    assert found["history"][0]["losses"]["kd"] > 0


@pytest.mark.slow
def test_no_method_is_training_on_the_labels_alone(place: Path) -> None:
    final = final_of(place, methods=("none",), teachers=("nowhere.onnx",))
    assert set(final.history[0].losses) == {"cross_entropy"}
    assert final.verdict.ships == "labels alone"
    assert final.verdict.sentences == ("Trained on labels alone.",)


@pytest.mark.slow
def test_a_student_that_learns_from_its_past_asks_for_no_teacher(place: Path) -> None:
    final = final_of(place, methods=("pskd",), teachers=("nowhere.onnx",))
    assert set(final.history[0].losses) == {"pskd"}
    assert "what the methods added is unknown" in final.verdict.sentences[0]


@pytest.mark.slow
def test_several_teachers_speak_with_their_mean_probability(place: Path) -> None:
    discovery.discover("hwkd.tasks")
    data = catalog.TASKS.get("classify").data(place / "bars.npz", split_seed=0)
    names = ("bars_teacher:make", "bars_teacher:make_soft")

    def opened(*sources: str) -> Teacher:
        config = SearchConfig(device="host", teacher=TeacherConfig(sources=sources))
        return open_teachers(config, data, device=torch.device("cpu"), progress=silent)

    several, members = opened(*names), [opened(name) for name in names]
    probabilities = [
        torch.from_numpy(m.logits(data.test.inputs)).softmax(1).numpy() for m in (*members, several)
    ]
    np.testing.assert_allclose(
        probabilities[2], (probabilities[0] + probabilities[1]) / 2, rtol=1e-5, atol=1e-7
    )
    assert several.identity not in {member.identity for member in members}
    final = final_of(place, methods=("kd",), teachers=names, epochs=1)
    assert final.history[0].grad_norms["kd"] > 0


@pytest.mark.parametrize(
    ("scheme", "count"), [("takd:assistants=0", 1), ("multi_teacher:way=confidence", 2)]
)
def test_a_scheme_learns_from_the_users_teachers(place: Path, scheme: str, count: int) -> None:
    names = ("bars_teacher:make", "bars_teacher:make_soft")[:count]
    final = final_of(place, scheme=scheme, teachers=names, epochs=1)
    assert f"given={count}" in final.verdict.methods[0]
    assert final.verdict.is_taught
    assert len(final.history) == 1  # of the student: nobody else is trained
    assert {"link", "teachers"} & set(final.history[0].losses)


@pytest.mark.slow
def test_a_student_with_exits_has_a_file_that_stops_by_its_rule(place: Path) -> None:
    final = final_of(place, scheme="early_exit", teachers=(), epochs=12)
    exits = final.exits
    assert exits is not None
    assert exits.outputs == ("exit1", "logits")
    path = read_student(place / "out").file(EXITS_FILE)
    assert read_exit_rule(path) == pytest.approx(exits.validation.threshold, rel=1e-6)
    assert exits.validation.accuracy_ratio >= exits.front[0].accuracy_ratio - 0.003
    assert exits.validation.cost_ratio <= exits.front[0].cost_ratio == 1.0
    assert exits.cost_ratios[-1] == 1.0 > exits.cost_ratios[0]


@pytest.mark.slow
def test_simulated_rounding_goes_on_with_the_methods_and_their_adapters(place: Path) -> None:
    told: dict[str, list[str]] = {}

    class Hearing(SilentListener):
        def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
            told.setdefault(stage, []).append(note)

    run = run_distillation(
        request_of(place, methods=("fitnet", "kd:stop=0.5", "lskd"), qat="on"), listener=Hearing()
    ).record.run
    assert run is not None
    assert run.final is not None
    notes, history = told["train with simulated int8 rounding"], run.final.history
    assert run.final.quantisation_choice is not None
    assert len(notes) == run.final.quantisation_choice.qat_epochs
    assert all("fitnet.1" in note and "lskd" in note and "kd 0" not in note for note in notes)
    # New adapters would begin where those of the float training began.
    first, last = history[0].losses["fitnet.1"], history[-1].losses["fitnet.1"]
    rounded = float(notes[0].partition("fitnet.1 ")[2].split()[0])
    assert abs(rounded - last) < abs(rounded - first)


def test_a_teacher_that_the_run_left_out_is_spoken_of() -> None:
    run, _ = make_run()
    assert learned_without(run) is None
    alone = "Students learned from labels alone: its share of the time limit is 0.4 s."
    without = run.model_copy(update={"teacher": None, "events": ("Estimates.", alone)})
    assert learned_without(without) == alone.rstrip(".")
    assert run.teacher is not None
    beaten = run.teacher.model_copy(update={"left_out": "candidate 3 was better"})
    said = learned_without(run.model_copy(update={"teacher": beaten}))
    assert said == "The run left its teacher out: candidate 3 was better"
