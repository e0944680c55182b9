"""Data of a test split alone judges a network as it does beside a train split, and teaches none."""

import gzip
import shutil

import numpy as np
import pytest
from PIL import Image
from support.boxed import SIZE, write_coco, write_yolo
from support.drawn import write_drawn
from support.scenes import write_scenes
from support.texts import topic_texts, write_texts

from hwkd.core.catalog import TASKS
from hwkd.core.errors import DataError
from hwkd.io.discovery import discover

discover("hwkd.tasks")


def write_classes(folder):
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 3)):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    return folder


def write_idx(folder):
    random = np.random.default_rng(0)
    folder.mkdir()
    for split, count in (("train", 6), ("t10k", 4)):
        images = random.integers(0, 255, (count, 8, 8), dtype=np.uint8)
        labels = (np.arange(count) % 2).astype(np.uint8)
        for kind, array, head in (("images", images, 0x803), ("labels", labels, 0x801)):
            sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
            content = head.to_bytes(4, "big") + sizes + array.tobytes()
            name = f"{split}-{kind}-idx{array.ndim}-ubyte.gz"
            (folder / name).write_bytes(gzip.compress(content))
    return folder


def write_boxes(folder):
    for split, seed in (("train", 1), ("test", 2)):
        write_coco(folder, examples=6, seed=seed, split=split)
    return folder


def write_listed(folder):
    for split, seed in (("train", 1), ("test", 2)):
        write_yolo(folder / split, examples=6, seed=seed, split=split)
    whole = folder / "whole"
    for split in ("train", "test"):
        shutil.copytree(folder / split, whole, dirs_exist_ok=True)
    return whole


def write_pairs(write):
    def written(folder):
        for split, seed in (("train", 1), ("test", 2)):
            write(folder / split, examples=6, seed=seed)
        if (folder / "train" / "classes.txt").exists():
            shutil.copy(folder / "train" / "classes.txt", folder)
        return folder

    return written


def write_tables(folder):
    folder.mkdir()
    write_texts(folder / "train.csv", 30)
    write_texts(folder / "test.csv", 12)
    return folder


def write_files(folder):
    for split, count in (("train", 30), ("test", 9)):
        for number, (text, label) in enumerate(topic_texts(count)):
            (folder / split / label).mkdir(parents=True, exist_ok=True)
            (folder / split / label / f"{number}.txt").write_text(text)
    return folder


CASES = {
    "classify": ("classify", write_classes, (3, 8, 8)),
    "idx": ("classify", write_idx, (1, 8, 8)),
    "detect": ("detect", write_boxes, (1, SIZE, SIZE)),
    "yolo": ("count", write_listed, (1, SIZE, SIZE)),
    "segment": ("segment", write_pairs(write_scenes), (1, 16, 16)),
    "draw": ("draw", write_pairs(write_drawn), (1, 16, 16)),
    "tables": ("text", write_tables, (1, 1, 64)),
    "text files": ("text", write_files, (1, 1, 64)),
}


def without_train(folder):
    for path in sorted(folder.rglob("*train*"), reverse=True):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
    return folder


@pytest.mark.parametrize("case", CASES)
def test_a_test_split_alone_is_read_as_it_is_beside_a_train_split(case, tmp_path):
    name, write, shape = CASES[case]
    task, folder = TASKS.get(name), write(tmp_path / "whole")
    whole = task.labelled(folder, raw_shape=shape)
    alone = task.labelled(without_train(folder), raw_shape=shape)
    np.testing.assert_array_equal(alone.inputs, whole.inputs)
    np.testing.assert_array_equal(alone.labels, whole.labels)
    assert len(alone.inputs)
    assert alone.names == whole.names
    with pytest.raises(DataError, match="train"):
        task.data(folder)


def test_texts_of_one_class_are_judged_though_nothing_could_learn_from_them(tmp_path):
    (tmp_path / "spam.csv").write_text("text,label\nbuy now,spam\nbuy more,spam\n")
    task = TASKS.get("text")
    read = task.labelled(tmp_path / "spam.csv", raw_shape=(1, 1, 64))
    assert read.labels.tolist() == ["spam", "spam"]
    with pytest.raises(DataError, match="at least two classes"):
        task.data(tmp_path / "spam.csv")
