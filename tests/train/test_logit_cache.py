import json
from dataclasses import replace

import numpy as np
import pytest

from hwkd.core.errors import ConfigError, TeacherError
from hwkd.tasks.classification import ClassifyTask
from hwkd.train.augment import Augmentation, augment
from hwkd.train.logit_cache import cached_logits


class CountingTeacher:
    """Logits that depend on the pixels, so another view has other logits."""

    kind = "onnx"
    name = "counting"
    description = "linear"
    num_outputs = 10
    is_from_cache = False

    def __init__(self, identity="1" * 64, scale=1.0):
        self.identity = identity
        self.calls = 0
        self.weight = np.random.default_rng(0).normal(size=(64, 10)).astype(np.float32) * scale

    def logits(self, inputs):
        self.calls += 1
        return inputs.reshape(len(inputs), -1) @ self.weight


@pytest.fixture(scope="module")
def data():
    return ClassifyTask().data(None)


def entry_files(cache_dir):
    (entry,) = cache_dir.iterdir()
    return entry / "values.bin", entry / "facts.json"


def test_the_teacher_runs_once_and_the_values_are_its_softmax(data, tmp_path):
    teacher = CountingTeacher()
    first = cached_logits(teacher, data, split="validation", cache_dir=tmp_path)
    calls = teacher.calls
    second = cached_logits(teacher, data, split="validation", cache_dir=tmp_path)
    assert teacher.calls == calls
    assert isinstance(second, np.memmap)
    assert second.dtype == np.float16
    assert not second.flags.writeable
    np.testing.assert_array_equal(first, second)
    exact = teacher.logits(data.validation.inputs)
    exact -= exact.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(second, exact, rtol=1e-3, atol=1e-3)


def test_each_teacher_split_view_and_data_set_has_its_own_entry(data, tmp_path):
    policy = Augmentation(shift=(1, 1))
    teacher = CountingTeacher()

    def ask(teacher=teacher, data=data, **options):
        return cached_logits(teacher, data, cache_dir=tmp_path, **options)

    plain = ask(split="train")
    view = ask(split="train", copy_seed=4, augmentation=policy)
    ask(split="train", copy_seed=5, augmentation=policy)
    ask(split="train", copy_seed=5, augmentation=Augmentation(mirror=True))
    ask(split="validation")
    ask(teacher=CountingTeacher("2" * 64), split="train")
    ask(data=replace(data, fingerprint="f" * 64), split="train")
    assert len(list(tmp_path.iterdir())) == 7
    assert not np.array_equal(plain, view)
    exact = teacher.logits(augment(data.train.inputs, 4, policy))
    exact -= exact.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(view, exact, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("field", "value"),
    [("teacher", "9" * 64), ("data", "9" * 64), ("examples", 3), ("view_seed", 1)],
)
def test_an_entry_that_belongs_to_something_else_is_refused(data, tmp_path, field, value):
    cached_logits(CountingTeacher(), data, split="validation", cache_dir=tmp_path)
    _, sidecar = entry_files(tmp_path)
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), field: value}))
    with pytest.raises(TeacherError, match=rf"belongs to another {field} .*delete this folder"):
        cached_logits(CountingTeacher(), data, split="validation", cache_dir=tmp_path)


def test_a_truncated_altered_or_incomplete_entry_is_refused(data, tmp_path):
    teacher = CountingTeacher()
    cached_logits(teacher, data, split="validation", cache_dir=tmp_path)
    values, sidecar = entry_files(tmp_path)
    whole, text = values.read_bytes(), sidecar.read_text()

    def refused(match):
        with pytest.raises(TeacherError, match=match) as caught:
            cached_logits(teacher, data, split="validation", cache_dir=tmp_path)
        assert str(values.parent) in str(caught.value)

    values.write_bytes(whole[:-50])
    refused(r"has \d[\d,]* bytes, expected")
    values.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused("holds other values than were written")
    values.write_bytes(whole)
    sidecar.write_text(text[:-10])
    refused("cannot be read")
    sidecar.unlink()
    refused("cannot be read")


DAMAGE = [
    b"",
    b"[" * 100_000,
    b'{"shape": [' + b"9" * 5000 + b"]}",
    b"\xff\xfe{}",
    b"null",
    b'{"dtype": "float16", "shape": [[1]]}',
]


@pytest.mark.parametrize("text", DAMAGE, ids=range(len(DAMAGE)))
def test_facts_that_are_no_facts_are_one_line(data, tmp_path, text):
    cached_logits(CountingTeacher(), data, split="validation", cache_dir=tmp_path)
    _, sidecar = entry_files(tmp_path)
    sidecar.write_bytes(text)
    with pytest.raises(TeacherError, match=r"cannot be read .*delete this folder") as caught:
        cached_logits(CountingTeacher(), data, split="validation", cache_dir=tmp_path)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("change", [{"dtype": "object"}, {"shape": []}, {"shape": [-1, 10]}])
def test_facts_of_an_array_that_is_never_stored_are_refused(data, tmp_path, change):
    cached_logits(CountingTeacher(), data, split="validation", cache_dir=tmp_path)
    _, sidecar = entry_files(tmp_path)
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), **change}))
    with pytest.raises(TeacherError, match="describes no array that hwkd stores"):
        cached_logits(CountingTeacher(), data, split="validation", cache_dir=tmp_path)


def test_a_cache_that_cannot_be_written_is_refused_before_the_teacher_runs(data, tmp_path):
    teacher = CountingTeacher()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"cannot be written .*HWKD_CACHE_DIR"):
        cached_logits(teacher, data, split="train", cache_dir=tmp_path / "file" / "logits")
    assert teacher.calls == 0


def test_a_failing_teacher_leaves_nothing_behind(data, tmp_path):
    class Failing(CountingTeacher):
        def logits(self, inputs):
            raise TeacherError("no")

    with pytest.raises(TeacherError):
        cached_logits(Failing(), data, split="validation", cache_dir=tmp_path)
    assert not tmp_path.exists() or list(tmp_path.iterdir()) == []


def test_logits_outside_half_precision_are_refused(data, tmp_path):
    with pytest.raises(TeacherError, match="outside float16"):
        cached_logits(CountingTeacher(scale=1e5), data, split="validation", cache_dir=tmp_path)
