"""A file of a teacher's answers: what it keeps, how small it is, and what it is refused for."""

import csv
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from support.teachers import CPU, make_data, write_onnx
from support.texts import topic_texts

from hwkd.core.errors import ConfigError, DataError, TeacherError
from hwkd.core.reading import Reading
from hwkd.engine.setup.annotators import load_annotators
from hwkd.engine.setup.made import with_made
from hwkd.engine.setup.transfer import read_unlabelled
from hwkd.signals.texts import as_bytes
from hwkd.tasks.classification import ClassifyTask
from hwkd.tasks.text import TextTask
from hwkd.train.teacher_answers import load_answers, write_answers
from hwkd.train.teacher_open import open_teacher
from hwkd.train.teacher_paired import PairedTeacher
from hwkd.train.teacher_replayed import replay
from hwkd.train.top_answers import TopAnswers


@pytest.fixture
def written(tmp_path):
    data = make_data()
    teacher = open_teacher(str(write_onnx(tmp_path / "t.onnx")), data, device=CPU)
    write_answers(tmp_path / "all.safetensors", teacher, data, top=None)
    return tmp_path / "all.safetensors", teacher, data


def softmax(logits):
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def test_a_file_answers_as_its_teacher_in_any_order(written):
    path, teacher, data = written
    kept = open_teacher(str(path), data, device=CPU)
    inputs = np.concatenate([data.test.inputs[::-1], data.train.inputs[:7]])
    np.testing.assert_allclose(
        softmax(kept.logits(inputs)), softmax(teacher.logits(inputs)), atol=2e-3
    )
    assert kept.kind == "answers"
    assert kept.identity != teacher.identity


def test_a_file_is_refused_for_other_data_and_has_no_answer_for_other_inputs(written):
    path, _, data = written
    with pytest.raises(TeacherError, match="answers about other data"):
        load_answers(path, make_data(count=90))
    with pytest.raises(TeacherError, match="input 1 of 2 is none of them"):
        other = data.train.inputs[:2] * np.array([1, 2], np.float32)[:, None, None, None]
        load_answers(path, data).logits(other)


def test_a_damaged_or_foreign_file_is_refused(written, tmp_path):
    path, _, data = written
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(TeacherError, match="other answers than were written"):
        load_answers(path, data)
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "weights.safetensors")
    with pytest.raises(TeacherError, match="holds no answers of a teacher"):
        load_answers(tmp_path / "weights.safetensors", data)
    (tmp_path / "cut.safetensors").write_bytes(content[:20])
    with pytest.raises(TeacherError, match="no readable file of answers"):
        load_answers(tmp_path / "cut.safetensors", data)


def test_what_cannot_be_written_is_refused(written, tmp_path):
    path, teacher, data = written
    for out, top, message in (
        (path, None, "name of a new .safetensors file"),
        (tmp_path / "b.npz", None, "name of a new .safetensors file"),
        (tmp_path / "b.safetensors", 4, "the data has 3 classes; give 1 to 3"),
    ):
        with pytest.raises(ConfigError, match=message):
            write_answers(out, teacher, data, top=top)


def test_the_likeliest_classes_stay_and_the_others_share_what_is_left():
    generator = np.random.default_rng(0)
    logits = (3 * generator.normal(size=(50, 300))).astype(np.float32)
    top = TopAnswers.of(logits, 5)
    found = softmax(top.logits(np.arange(50), 300))
    wanted = softmax(logits)
    rows = np.arange(50)[:, None]
    best = np.argsort(-logits, axis=1)[:, :5]
    np.testing.assert_allclose(found[rows, best], wanted[rows, best], rtol=5e-3)
    rest = np.sort(found, axis=1)[:, :-5]
    np.testing.assert_allclose(rest.min(axis=1), rest.max(axis=1))
    np.testing.assert_allclose(
        rest.sum(axis=1), 1 - wanted[rows, best].sum(axis=1), rtol=2e-2, atol=1e-4
    )
    assert (top.values.nbytes + top.classes.nbytes) * 8 < 2 * logits.size


def _pairs(path, **changes):
    generator = np.random.default_rng(1)
    labels = np.arange(60) % 3
    wide = generator.normal(size=(60, 1, 4, 3)).astype(np.float32)
    wide[np.arange(60), 0, labels] += 4
    arrays = {"x_train": wide[:, :, :2], "y_train": labels, "teacher_x_train": wide, **changes}
    np.savez(path, **arrays)
    task = ClassifyTask()
    return [task.data(path, Reading(half=half, layout="nchw")) for half in ("student", "teacher")]


def test_a_teacher_of_pairs_looks_at_the_other_half(tmp_path):
    ours, theirs = _pairs(tmp_path / "pairs.npz")
    network = open_teacher(str(write_onnx(tmp_path / "t.onnx")), theirs, device=CPU)
    paired = PairedTeacher.of([network], theirs, ours)
    chosen = np.array([5, 0, 3])
    np.testing.assert_array_equal(
        paired.logits(ours.test.inputs[chosen]), network.logits(theirs.test.inputs[chosen])
    )
    assert ours.input_shape != theirs.input_shape
    assert paired.identity != network.identity
    write_answers(tmp_path / "a.safetensors", paired, ours, top=None)
    kept = load_answers(tmp_path / "a.safetensors", ours)
    found, wanted = (t.logits(ours.train.inputs) for t in (kept, paired))
    np.testing.assert_allclose(softmax(found), softmax(wanted), atol=2e-3)


def test_pairs_without_labels_are_answered_by_their_other_half(tmp_path):
    ours, theirs = _pairs(tmp_path / "pairs.npz")
    network = open_teacher(str(write_onnx(tmp_path / "t.onnx")), theirs, device=CPU)
    more = np.random.default_rng(5).normal(size=(7, 1, 4, 3)).astype(np.float32)
    np.savez(tmp_path / "more.npz", x=more[:, :, :2], teacher_x=more)
    own = read_unlabelled(tmp_path / "more.npz", ours.pipeline)
    seen = read_unlabelled(tmp_path / "more.npz", theirs.pipeline, half="teacher")
    assert own.shape[1:] == ours.input_shape
    paired = PairedTeacher.of([network], theirs, ours, further=(seen, own))
    both = np.concatenate([ours.train.inputs[:2], own[[4, 1]]])
    wanted = np.concatenate([theirs.train.inputs[:2], seen[[4, 1]]])
    np.testing.assert_array_equal(paired.logits(both), network.logits(wanted))
    assert paired.identity != PairedTeacher.of([network], theirs, ours).identity
    np.savez(tmp_path / "alone.npz", x=more[:, :, :2])
    np.save(tmp_path / "alone.npy", more)
    (tmp_path / "folder").mkdir()
    for name in ("alone.npz", "alone.npy", "folder"):
        with pytest.raises(DataError, match="holds no pairs"):
            read_unlabelled(tmp_path / name, theirs.pipeline, half="teacher")


def test_annotators_teach_what_they_disagreed_on(tmp_path):
    generator = np.random.default_rng(2)
    labels = np.arange(60) % 3
    inputs = generator.normal(size=(60, 1, 4, 3)).astype(np.float32)
    inputs[np.arange(60), 0, labels] += 4
    votes = 6 * np.eye(3, dtype=np.int64)[labels] + generator.integers(0, 3, (60, 3))
    path = tmp_path / "voted.npz"
    np.savez(path, x_train=inputs, y_train=labels, y_soft_train=votes)
    data = ClassifyTask().data(path, Reading(layout="nchw"))
    teacher = load_annotators(path, data)
    found = softmax(teacher.logits(data.validation.inputs))
    raw = votes / votes.sum(axis=1, keepdims=True)
    wanted = [
        raw[np.flatnonzero((data.pipeline.apply(inputs) == x).all(axis=(1, 2, 3)))[0]]
        for x in data.validation.inputs
    ]
    np.testing.assert_allclose(found, wanted, atol=4e-3)
    np.savez(path, x_train=inputs, y_soft_train=votes[:, :2])
    with pytest.raises(TeacherError, match=r"expected the inputs of the data, and \[n, 3\]"):
        load_annotators(path, data)
    np.savez(path, x_train=inputs, y_soft_train=votes * 0)
    with pytest.raises(TeacherError, match="nobody chose a class"):
        load_annotators(path, data)
    np.savez(path, x_train=inputs, y_soft_train=votes.astype("S"))
    with pytest.raises(TeacherError, match=r"shares of type \|S21; expected numbers from 0"):
        load_annotators(path, data)
    named = np.array(["2", "1", "0"])
    np.savez(path, x_train=inputs, y_soft_train=votes, class_names=named)
    with pytest.raises(DataError, match="its classes are 2, 1, 0; those of the data are 0, 1, 2"):
        load_annotators(path, data)
    np.savez(path, x_train=inputs, y_train=labels, class_names=named)
    with pytest.raises(DataError, match=r"--made .*its classes are 2, 1, 0"):
        with_made(data, path)
    np.savez(path, x_train=inputs)
    with pytest.raises(TeacherError, match="expected x_train and y_soft_train"):
        load_annotators(path, data)


def test_annotators_in_columns_of_a_table_teach_the_shares_of_their_votes(tmp_path):
    path = tmp_path / "judged.csv"
    said = [("xyz"[at % 3], "xyz"[at % 3], "zx"[at % 2]) for at in range(60)]
    rows = [f"{at},{at * at % 7},{','.join(three)}" for at, three in enumerate(said)]
    path.write_text("\n".join(["size,weight,anna,ben,carla", *rows]) + "\n")
    asked = "anna,ben,carla"
    data = ClassifyTask().data(path, Reading(label=asked))
    teacher = load_annotators(path, data, label=asked)
    sizes = data.pipeline.apply(np.array([[[at], [at * at % 7]] for at in range(60)], np.float32))
    found = softmax(teacher.logits(sizes))
    shares = [[three.count(name) / 3 for name in "xyz"] for three in said]
    np.testing.assert_allclose(found, shares, atol=4e-3)
    np.testing.assert_array_equal(
        teacher.logits(data.validation.inputs).argmax(1), data.validation.labels
    )
    alone = tmp_path / "alone.csv"
    alone.write_text("\n".join(["size,weight,anna", "1,2,x", "2,3,y"]))
    with pytest.raises(TeacherError, match="one column of labels, anna; name those of several"):
        load_annotators(alone, data, label="anna")
    path.write_text(path.read_text().replace("x", "u").replace("y", "v").replace(",z", ",w"))
    with pytest.raises(TeacherError, match=r"annotators named u, v, w, and the classes .* x, y, z"):
        load_annotators(path, data, label=asked)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_annotators_of_texts_teach_the_shares_of_their_votes(tmp_path, ending):
    path, asked = tmp_path / f"judged.{ending}", "anna,ben,carla"
    texts = topic_texts(60)
    topics = ("grain", "ship", "trade")
    said = [(label, label, topics[at % 2] if at % 5 else "") for at, (_, label) in enumerate(texts)]
    rows = [
        {"text": text, "anna": a, "ben": b, "carla": c}
        for (text, _), (a, b, c) in zip(texts, said, strict=True)
    ]
    if ending == "csv":
        with path.open("w", newline="") as stream:
            table = csv.DictWriter(stream, rows[0])
            table.writeheader()
            table.writerows(rows)
    else:
        lines = (json.dumps({k: v or None for k, v in row.items()}) for row in rows)
        path.write_text("\n".join(lines))
    data = TextTask().data(path, Reading(label=asked))
    assert data.class_names == topics
    assert any("the class is what most of anna,ben,carla say" in note for note in data.notes)
    teacher = load_annotators(path, data, label=asked)
    raw = as_bytes([text for text, _ in texts], data.pipeline.raw_shape[-1])
    shares = [[of.count(name) / len(list(filter(None, of))) for name in topics] for of in said]
    np.testing.assert_allclose(softmax(teacher.logits(data.pipeline.apply(raw))), shares, atol=4e-3)
    np.testing.assert_array_equal(
        teacher.logits(data.validation.inputs).argmax(1), data.validation.labels
    )
    with pytest.raises(TeacherError, match="one column of labels; name those of several"):
        load_annotators(path, data, label="anna")
    with pytest.raises(DataError, match=r"line [12]: no class in column 'anna', 'ben', 'carla'"):
        emptied = path.with_stem("emptied")
        emptied.write_text(path.read_text().replace("grain", ""))
        TextTask().data(emptied, Reading(label=asked))


def test_pairs_without_a_partner_are_refused(tmp_path):
    with pytest.raises(DataError, match="give one label per input"):
        _pairs(tmp_path / "p.npz", teacher_x_train=np.zeros((59, 1, 4, 3), np.float32))
    labels = np.arange(30) % 3
    np.savez(tmp_path / "q.npz", x_train=np.ones((30, 4, 3)) * labels[:, None, None],
             y_train=labels)  # fmt: skip
    with pytest.raises(DataError, match="holds no pairs"):
        ClassifyTask().data(tmp_path / "q.npz", Reading(half="teacher"))


def test_a_file_holds_numbers_and_nothing_that_runs(written):
    path, *_ = written
    assert set(load_file(path)) == {"values", "classes", "keys"}


def _grown(tmp_path, count):
    """Data whose raw examples begin with those of fewer; splits and scaling are made anew."""
    generator = np.random.default_rng(3)
    labels = np.arange(120) % 3
    inputs = generator.normal(size=(120, 1, 4, 3)).astype(np.float32)
    inputs[np.arange(120), 0, labels] += 4
    path = tmp_path / f"{count}.npz"
    np.savez(path, x_train=inputs[:count], y_train=labels[:count])
    return ClassifyTask().data(path, Reading(layout="nchw"))


class Counting:
    """A teacher that remembers how many examples it was asked about."""

    def __init__(self, teacher):
        self.teacher, self.count = teacher, 0

    def __getattr__(self, name):
        return getattr(self.teacher, name)

    def logits(self, inputs):
        self.count += len(inputs)
        return self.teacher.logits(inputs)


@pytest.mark.parametrize("top", [None, 1])
def test_data_that_grew_keep_their_answers_and_the_teacher_is_asked_about_new_ones(tmp_path, top):
    before, after = _grown(tmp_path, 90), _grown(tmp_path, 120)
    model = str(write_onnx(tmp_path / "t.onnx"))
    first = open_teacher(model, before, device=CPU)
    written = write_answers(tmp_path / "a.safetensors", first, before, top=top)
    asked = Counting(open_teacher(model, after, device=CPU))
    grown = replay(tmp_path / "a.safetensors", after, top=None, ask=lambda: asked)
    write_answers(tmp_path / "b.safetensors", grown, after, top=written.top)
    assert (grown.replayed, asked.count) == (90, 30)
    old, new = (
        load_answers(tmp_path / f"{n}.safetensors", d)
        for n, d in zip("ab", (before, after), strict=True)
    )
    raw = np.load(tmp_path / "120.npz")["x_train"]
    seen_before, seen_after = (d.pipeline.apply(raw) for d in (before, after))
    assert not np.array_equal(seen_before, seen_after)  # other examples, other means
    np.testing.assert_allclose(new.logits(seen_after[:90]), old.logits(seen_before[:90]), atol=2e-3)
    fresh = TopAnswers.of(after.head.centred(asked.logits(seen_after[90:])), top)
    np.testing.assert_allclose(
        new.logits(seen_after[90:]), fresh.logits(np.arange(30), 3), atol=2e-3
    )
    # Nothing is new: who answered need not be there.
    again = replay(tmp_path / "b.safetensors", after, top=None, ask=lambda: pytest.fail("asked"))
    assert (again.replayed, again.content) == (120, first.content)


def test_a_file_that_cannot_be_extended_is_refused(tmp_path):
    before, after = _grown(tmp_path, 90), _grown(tmp_path, 120)
    teacher = open_teacher(str(write_onnx(tmp_path / "t.onnx")), before, device=CPU)
    path = tmp_path / "a.safetensors"
    write_answers(path, teacher, before, top=1)
    other = open_teacher(str(write_onnx(tmp_path / "u.onnx", softmax=True)), after, device=CPU)

    def extended(data, *, top=None, asked=teacher):
        return replay(path, data, top=top, ask=lambda: asked)

    with pytest.raises(TeacherError, match=r"--extend .*: holds answers of another teacher"):
        extended(after, asked=other)
    with pytest.raises(TeacherError, match="1 of the outputs are kept; leave --top 2 out"):
        extended(after, top=2)
    with pytest.raises(TeacherError, match="knows none of the 120 examples"):
        extended(_changed(after, after.head))
    with pytest.raises(TeacherError, match="its answers are of 0, 1, 2; the data has a, b, c"):
        extended(_changed(after, make_data().head))
    written = load_file(path)
    with safe_open(path, framework="np") as content:
        metadata = json.loads(content.metadata()["hwkd.answers"])
    values, classes = written["values"], written["classes"]
    metadata["sha256"] = hashlib.sha256(values.tobytes() + classes.tobytes()).hexdigest()
    for name in ("classes", "network"):
        del metadata[name]
    save_file({"values": values, "classes": classes}, path, {"hwkd.answers": json.dumps(metadata)})
    assert load_answers(path, before).num_outputs == 3  # files of older versions are read
    with pytest.raises(TeacherError, match="did not note which example each answer is about"):
        extended(after)


def _changed(data, head):
    keys = {name: keys ^ 255 for name, keys in data.row_keys.items()}
    return replace(data, head=head, row_keys=keys)
