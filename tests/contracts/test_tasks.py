"""What every registered task promises: its metrics, its loss, its scores, its pipeline in C."""

import json
import shutil
import subprocess
from dataclasses import fields, is_dataclass, replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from support.boxed import write_coco
from support.drawn import write_drawn
from support.recordings import write_recordings
from support.scenes import write_scenes
from support.spoken import write_spoken, write_wake_word
from support.texts import write_texts

import hwkd
from hwkd.core.box_targets import wanted_outputs
from hwkd.core.boxes import CELL_PIXELS
from hwkd.core.catalog import TASKS
from hwkd.core.errors import ConfigError, DataError, UnknownNameError
from hwkd.core.head import OUTPUT_KINDS, OutputForm
from hwkd.core.reading import Reading
from hwkd.deploy.student_facts import METADATA_KEY
from hwkd.io.discovery import discover
from hwkd.signals.pipeline import Pipeline
from hwkd.tasks.class_numbers import numbered_as
from hwkd.tasks.raw import RawSplit

discover("hwkd.tasks")
EXAMPLES = 40
# Recordings of hours would tell a rarer false accept.
THINGS = ("boxes", "points")
OFTEN = {"wake-word": Reading(max_false_accepts_per_hour=600)}


@pytest.fixture(scope="module", params=TASKS.names())
def task(request):
    return TASKS.get(request.param)


@pytest.fixture(scope="module")
def source(task, tmp_path_factory):
    """Data of the user where none comes with a task."""
    if task.name == "gesture":
        return write_recordings(tmp_path_factory.mktemp("source") / "recordings.csv")
    if task.name == "keyword":
        return write_spoken(tmp_path_factory.mktemp("source") / "words")
    if task.name == "segment":
        return write_scenes(tmp_path_factory.mktemp("source") / "scenes", examples=200)
    if task.name == "draw":
        return write_drawn(tmp_path_factory.mktemp("source") / "drawn", examples=200)
    if task.kind in THINGS:
        return write_coco(tmp_path_factory.mktemp("source") / "boxed", examples=200)
    if task.name == "wake-word":
        return write_wake_word(tmp_path_factory.mktemp("source") / "sounds")
    if task.name == "text":
        return write_texts(tmp_path_factory.mktemp("source") / "texts.csv")
    return None


@pytest.fixture(scope="module")
def usual(task):
    return OFTEN.get(task.name, Reading())


@pytest.fixture(scope="module")
def data(task, source, usual):
    return task.data(source, usual, split_seed=3)


def perfect(data, split="test"):
    """Outputs that say what the targets say."""
    labels = data.split(split).labels
    if data.head.kind.name in THINGS:
        height, width = data.input_shape[1:]
        classes, grid = len(data.head.classes), (height // CELL_PIXELS, width // CELL_PIXELS)
        wanted = wanted_outputs(torch.from_numpy(labels), classes=classes, grid=grid)
        maps = [100.0 * (wanted.heat == 1) - 50.0]
        maps += [wanted.edges] if data.num_outputs > classes else []
        return torch.cat(maps, dim=1).numpy()
    if data.head.kind.name == "pictures":
        return labels.copy()
    if data.head.kind.of_maps:
        return 50.0 * np.moveaxis(np.eye(data.num_outputs, dtype=np.float32)[labels], -1, 1)
    if data.head.kind.of_classes:
        return 50.0 * np.eye(data.num_outputs, dtype=np.float32)[labels]
    if labels.shape[1] > data.num_outputs:  # what is repeated, and whether it is an anomaly
        return labels[:, :-1] + 100.0 * labels[:, -1:]
    return labels.copy()


def shuffled(data, split="test"):
    """Outputs of other examples: right in distribution and wrong one by one."""
    return np.roll(perfect(data, split), 11, axis=0)


def test_a_task_names_itself_and_its_metrics(task, data):
    assert data.name == task.name
    assert task.summary
    assert task.metrics
    names = [metric.name for metric in task.metrics]
    assert len(set(names)) == len(names)
    assert tuple(data.head.metrics) == tuple(task.metrics)
    assert list(data.head.scores(perfect(data), data.test.labels)) == names


def test_every_metric_may_come_first(task, source, usual):
    for metric in task.metrics:
        data = task.data(source, usual.model_copy(update={"metric": metric.key}))
        assert data.head.metrics[0] == metric
        assert next(iter(data.head.scores(perfect(data), data.test.labels))) == metric.name
    with pytest.raises(UnknownNameError, match="unknown metric of"):
        task.data(source, Reading(metric="acuracy"))


def test_what_a_task_does_not_read_is_refused(task):
    words = Reading(input_size=(3, 3)) if task.name == "keyword" else Reading(words=("yes",))
    with pytest.raises(ConfigError, match=f"does not apply to {task.name}; leave it out"):
        task.data(None, words)


def test_splits_have_inputs_and_targets_that_the_head_knows(data):
    for name in ("train", "validation", "test"):
        split = data.split(name)
        assert len(split) == len(split.inputs) == len(split.labels) > 1
        assert split.inputs.shape[1:] == data.input_shape
        assert split.inputs.dtype == np.float32
        assert np.isfinite(split.inputs).all()
        assert data.head.is_labelled(split.labels).all()
    assert len(data.head.names) == data.head.size == data.num_outputs


def test_perfect_outputs_score_best_on_every_metric(data):
    labels = data.test.labels
    best, worse = data.head.scores(perfect(data), labels), data.head.scores(shuffled(data), labels)
    for metric in data.head.metrics:
        gain = metric.gain(metric.of(best), metric.of(worse))
        # What is false is held at what is allowed, and a distance of sets knows no order.
        kept = ("false alarms", "false accepts", "Frechet distance")
        assert gain > 0 or metric.name in kept
        assert str(metric.text(metric.of(best)))


def test_the_error_is_zero_at_best_and_about_one_for_knowing_nothing(data):
    labels = data.validation.labels
    errors = data.head.errors(perfect(data, "validation"), labels)
    assert errors.shape == (len(labels),)
    assert np.abs(errors).max() < 1e-6
    assert (data.head.errors(shuffled(data, "validation"), labels) >= 0).all()
    assert 0.5 < data.head.blind_error(labels) < 1.5


def test_knowledge_tells_what_is_right_from_guesses(data):
    labels = data.validation.labels
    assert data.head.knowledge(perfect(data, "validation"), labels).is_enough
    assert not data.head.knowledge(shuffled(data, "validation"), labels).is_enough
    constant = np.zeros_like(perfect(data, "validation"))
    assert not data.head.knowledge(constant, labels).is_enough


def test_the_loss_has_a_gradient_and_vanishes_at_perfection(data):
    labels = torch.from_numpy(np.array(data.test.labels[:EXAMPLES]))
    outputs = torch.zeros(EXAMPLES, *perfect(data).shape[1:], requires_grad=True)
    loss = data.head.loss(outputs, labels)
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0
    best = data.head.loss(torch.from_numpy(perfect(data)[:EXAMPLES]), labels)
    assert 0 <= float(best) < 1e-3 < float(loss.detach())
    assert float(data.head.loss(outputs.detach(), labels, smoothing=0.1)) > 0


def test_samples_without_a_target_add_nothing_to_the_loss(data):
    known = np.array(data.test.labels[:EXAMPLES])
    half = known.copy()
    half[EXAMPLES // 2 :] = data.head.unlabelled(EXAMPLES - EXAMPLES // 2)
    assert data.head.is_labelled(half).tolist() == [True] * 20 + [False] * 20
    outputs = torch.from_numpy(shuffled(data)[:EXAMPLES] * 0.01).requires_grad_()
    some = data.head.loss(outputs, torch.from_numpy(half), some_unlabelled=True)
    alone = data.head.loss(outputs[:20], torch.from_numpy(known[:20]))
    assert float(some.detach()) == pytest.approx(float(alone.detach()) / 2, rel=1e-5)
    (gradient,) = torch.autograd.grad(some, outputs)
    assert not gradient[20:].any()


def test_a_teacher_is_no_divergence_from_itself(data):
    ours, other = perfect(data)[:EXAMPLES] * 0.1, shuffled(data)[:EXAMPLES] * 0.1
    assert data.head.divergence(ours, ours, temperature=2.0) == pytest.approx(0.0, abs=1e-9)
    assert data.head.divergence(ours, other, temperature=2.0) > 0
    with pytest.raises(ValueError, match="shapes differ"):
        data.head.divergence(ours, other[:-1], temperature=2.0)


def test_data_follows_from_the_seed(task, source, usual, data):
    again, other = (task.data(source, usual, split_seed=seed) for seed in (3, 4))
    assert again.fingerprint == data.fingerprint != other.fingerprint
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(again.split(name).inputs, data.split(name).inputs)
        np.testing.assert_array_equal(again.split(name).labels, data.split(name).labels)


def raw_inputs(pipeline, count=9):
    """Raw values over the whole range, of the raw type."""
    low, high = pipeline.raw_low, pipeline.raw_high
    values = np.random.default_rng(0).uniform(low, high, (count, *pipeline.raw_shape))
    return values.astype(pipeline.raw_dtype)


def test_a_pipeline_survives_its_record(data):
    pipeline = data.pipeline
    again = Pipeline.of(
        type(pipeline.record()).model_validate_json(pipeline.record().model_dump_json())
    )
    assert again == pipeline
    raw = raw_inputs(pipeline)
    np.testing.assert_array_equal(again.apply(raw), pipeline.apply(raw))
    assert pipeline.apply(raw).shape == (len(raw), *data.input_shape)


def test_every_number_of_a_step_is_in_the_fingerprint(data):
    pipeline = data.pipeline
    known = {pipeline.fingerprint}
    for number, step in enumerate(pipeline.steps):
        assert is_dataclass(step)
        assert not isinstance(step, type)
        for field in fields(step):
            value = getattr(step, field.name)
            if not isinstance(value, tuple):
                continue
            changed = replace(step, **{field.name: (value[0] + 1e-9, *value[1:])})
            steps = (*pipeline.steps[:number], changed, *pipeline.steps[number + 1 :])
            known.add(replace(pipeline, steps=steps).fingerprint)
    known.add(replace(pipeline, raw_shape=(1, *pipeline.raw_shape)).fingerprint)
    assert len(known) >= 3


def write_network(path, data, task):
    """Write a network that multiplies the mean of its input, and what hwkd exports of it beside.

    Returns the factor of each output.
    """
    shape = perfect(data)[:1].shape if task.kind != "repeated values" else (1, data.num_outputs)
    factors = np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["one"]),
        helper.make_node("Mul", ["one", "factors"], ["y"]),
    ]
    stored = [
        numpy_helper.from_array(np.arange(1, 1 + len(data.input_shape)), "axes"),
        numpy_helper.from_array(np.array([-1, *[1] * (factors.ndim - 1)]), "shape"),
        numpy_helper.from_array(factors, "factors"),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *data.input_shape])
    graph = helper.make_graph(
        nodes, "g", [given], [helper.make_empty_tensor_value_info("y")], stored
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    head = data.head
    said = {
        "preprocessing": data.pipeline.record().model_dump(mode="json"),
        "data": {"task": task.name},
        "answer": {"kind": head.kind.name, "labels": head.names, "mean": head.answer_mean,
                   "std": head.answer_std},
    }  # fmt: skip
    helper.set_model_props(model, {METADATA_KEY: json.dumps(said)})
    onnx.save(model, path)
    return factors


def write_examples(path, data):
    """Write examples of a task that brings its own data."""
    count = 60
    labels = np.random.default_rng(0).normal(size=count).astype(np.float32)
    if data.head.kind.name != "values":
        labels = np.array(data.head.kind.answers or data.head.names)[np.arange(count) % 2]
    inputs = raw_inputs(data.pipeline, count)
    np.savez(path, x_train=inputs, y_train=labels, x_test=inputs, y_test=labels)
    return path


def test_a_file_with_outputs_of_every_kind_is_evaluated(task, source, data, tmp_path):
    factors = write_network(tmp_path / "m.onnx", data, task)
    given = source or write_examples(tmp_path / "d.npz", data)
    found = hwkd.evaluate(tmp_path / "m.onnx", data=given)
    judged = task.labelled(given, Reading(), raw_shape=data.pipeline.raw_shape)
    prepared = data.pipeline.apply(judged.inputs.reshape(-1, *data.pipeline.raw_shape))
    mean = prepared.mean(axis=tuple(range(1, prepared.ndim)))
    outputs = mean.reshape(-1, *[1] * (factors.ndim - 1)) * factors
    head = data.head.at(None)
    expected = head.scores(outputs, head.targets(judged.labels, prepared), judged.wholes)
    # Scores at a wanted rate are the data's alone.
    same = expected.keys() & found.scores.keys()
    assert found.examples == len(outputs)
    assert same
    for name in same:
        assert found.scores[name] == pytest.approx(expected[name], rel=1e-3, abs=0.02)


@pytest.mark.parametrize("task", ["segment", "detect", "count"])
def test_classes_of_other_data_are_found_by_their_names(task):
    names, seen = ("a", "b", "c"), ("c", "a", "d")
    head = OUTPUT_KINDS.get(TASKS.get(task).kind).head(
        OutputForm(names=(*names, *["edge"] * 4) if task == "detect" else names)
    )
    masks = [np.array([numbers], np.int16) for numbers in ([[0, 1], [1, -1]], [[2, 0], [0, -1]])]
    boxes = [np.array([[[n, 1, 1, 5, 5] for n in mask.reshape(-1)]], np.float32) for mask in masks]
    labels, wanted = masks if task == "segment" else boxes
    split = RawSplit(inputs=np.zeros((1, 1, 2, 2)), labels=labels, names=seen)
    np.testing.assert_array_equal(numbered_as(head, split), wanted)
    by_number = replace(split, names=("0", "1", "2"))
    np.testing.assert_array_equal(numbered_as(head, by_number), labels)
    with pytest.raises(DataError, match="has the class d, the network knows a, b, c; give"):
        numbered_as(head, replace(split, labels=np.abs(labels) * 2))


def test_every_kind_of_output_has_a_task():
    assert {task.kind for task in map(TASKS.get, TASKS.names())} == set(OUTPUT_KINDS.names())


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_c_of_a_pipeline_gives_the_same_numbers(data, tmp_path):
    pipeline = data.pipeline
    source = pipeline.to_c("prepare", put="put")
    raw, expected = raw_inputs(pipeline), pipeline.apply(raw_inputs(pipeline))
    for name, text in source.headers.items():
        (tmp_path / name).write_text(text)
    put = "int32_t value) { input[i] = (float)value / 256.0f; }"
    if not source.is_whole:
        put = "float value) { input[i] = value; }"
    (tmp_path / "main.c").write_text(
        f"""#include <stdio.h>
#include <stdint.h>
static float input[{expected[0].size}];
static void put(int32_t i, {put}
{source.text}
int main(void)
{{
    static {source.c_type} raw[{raw[0].size}];
    while (fread(raw, sizeof raw[0], {raw[0].size}, stdin) == {raw[0].size}) {{
        prepare(raw);
        fwrite(input, sizeof input[0], {expected[0].size}, stdout);
    }}
    return 0;
}}
"""
    )
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2", "-o", "run"]
    subprocess.run([*command, "main.c"], cwd=tmp_path, check=True)
    done = subprocess.run(
        [tmp_path / "run"],
        input=np.ascontiguousarray(raw).tobytes(),
        capture_output=True,
        check=True,
    )
    found = np.frombuffer(done.stdout, dtype=np.float32).reshape(expected.shape)
    np.testing.assert_array_equal(found, expected)
