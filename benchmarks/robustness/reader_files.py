"""A valid file of each kind that hwkd reads, and how one is damaged."""

from __future__ import annotations

import json
import random
import shutil
import tomllib
import wave
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tomli_w

from benchmarks.robustness.array_mutants import (
    header_of_safetensors,
    other_npy,
    other_npz,
    with_header,
    with_metadata,
)
from benchmarks.robustness.data_mutants import NUMBERS, damaged

ROOT = Path(__file__).parents[2]
_SIGNALS = (
    ("energies", "log-mel:bins=6,window=8ms,stride=8ms,pcen=yes,picture=yes", (1, 600), 8000.0),
    (
        "cepstra",
        "mfcc:bins=6,coefficients=4,delta=yes,window=8ms,stride=8ms,decimate=2",
        (1, 900),
        16000.0,
    ),
    ("words", "words:known=0,buckets=20", (1, 80), 1.0),
    ("codes", "word-codes:count=6,size=16", (1, 60), 1.0),
    ("motion", "imu:low=0.5Hz,high=20Hz,window=0.5s,stride=0.5s", (3, 150), 50.0),
)


def _write_decoder(folder: Path) -> None:
    """Write an untrained language model of two layers that knows the letters of the alphabet."""
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from transformers import AutoModelForCausalLM, Qwen2Config

    from hwkd.language.model_folder import require_transformers

    require_transformers("the bench")
    letters = "abcdefghijklmnopqrstuvwxyz .\n"
    config = Qwen2Config(
        vocab_size=len(letters), hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=8, max_position_embeddings=32,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    Tokenizer(BPE({c: n for n, c in enumerate(letters)}, [])).save(str(folder / "tokenizer.json"))


def _write_seer(folder: Path) -> None:
    """Write an untrained model that reads pictures of 4x4 and text, with its data."""
    import numpy as np
    from PIL import Image
    from transformers import AutoModelForImageTextToText, CLIPVisionConfig, LlamaConfig, LlavaConfig

    sizes = {
        "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
    }  # fmt: skip
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**sizes, image_size=4, patch_size=2),
        text_config=LlamaConfig(**sizes, vocab_size=30, max_position_embeddings=16),
        image_token_index=29, vision_feature_layer=-1,
    )  # fmt: skip
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder / "seer")
    shutil.copyfile(folder / "decoder" / "tokenizer.json", folder / "seer" / "tokenizer.json")
    scaling = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "seer" / "preprocessor_config.json").write_text(json.dumps(scaling))
    for split in ("train", "validation", "test"):
        place = folder / "captions" / split
        place.mkdir(parents=True)
        (place / "metadata.csv").write_text("file_name,text\n0.png,dark\n1.png,light\n")
        for number in range(2):
            levels = np.full((4, 4), 200 * number, np.uint8)
            Image.fromarray(levels).save(place / f"{number}.png")


def make_run(folder: Path) -> None:
    """Search, so that there is a run with a best student."""
    import hwkd

    hwkd.search(
        "cortex-m4", spaces=["plain"], trials=2, full_epochs=1, brief_epochs=1, workers=1,
        controls=1, teacher_time="2s", out=folder / "run",
    )  # fmt: skip


def fill_folder(folder: Path) -> None:
    """Write one valid file of each kind beside a run in the folder `run`."""
    import numpy as np
    from PIL import Image

    import hwkd
    from hwkd.engine.distill.federation import Said, packed
    from hwkd.io.cached_array import ArrayFacts, store_array
    from hwkd.io.run_log import LogLine, StageAt, note_line, note_stage

    at = "2026-01-01T00:00:00+00:00"
    note_line(folder / "run", LogLine(at=at, text="a candidate"))
    note_stage(folder / "run", StageAt(stage="search", done=1, total=2, note="", since=at))
    hwkd.export(folder / "run", target="c", out=folder / "firmware")
    hwkd.export(folder / "run", target="onnx", out=folder / "onnx")
    weights = (folder / "run" / "best" / "student.safetensors").read_bytes()
    (folder / "message.bin").write_bytes(packed(Said(client=0, round=0), weights))
    (folder / "own").mkdir()
    shutil.copyfile(folder / "run" / "best" / "student.onnx", folder / "own" / "student.onnx")
    shutil.copytree(ROOT / "tests" / "golden" / "run_v2", folder / "old")
    (folder / "search.toml").write_text(
        'device = "cortex-m4"\ntrials = 3\nmax-latency = "2ms"\nspace = ["plain"]\nverify = true\n'
    )
    for kind, name in (("", "cortex-m4"), ("runtimes", "x-cube-ai-8"), ("cores", "cortex-m4")):
        target = {"": "device", "runtimes": "runtime", "cores": "core"}[kind]
        shutil.copyfile(ROOT / "devices" / kind / f"{name}.toml", folder / f"{target}.toml")
    (folder / "detector.toml").write_text(
        'model = "a.onnx"\nboxes = "b"\nscores = "s"\nform = "xyxy"\nunits = "ratio"\n'
        'classes = ["cat", "dog"]\nfirst_label = 1\n'
    )
    (folder / "measured.csv").write_text("model,op,cycles\nkws01,conv_1,12345\nkws01,conv_2,999\n")
    rows = [f"{i},{i % 7 / 3:.2f},{i * 2}" for i in range(40)]
    (folder / "table.csv").write_text("\n".join(["a,b,target", *rows]) + "\n")
    (folder / "speech.txt").write_text("one and one make two.\n" * 60)
    if find_spec("transformers") is not None:
        _write_decoder(folder / "decoder")
        _write_seer(folder)
    pieces = {piece: at for at, piece in enumerate(["[UNK]", "one", "two", "##s", "\u00e9"])}
    model = {"type": "WordPiece", "continuing_subword_prefix": "##", "vocab": pieces}
    made = {"normalizer": {"type": "BertNormalizer", "lowercase": True}, "model": model}
    (folder / "pieces.json").write_text(json.dumps(made))
    texts = [f"{'ab'[i % 2] * 3} words {i}" for i in range(20)]
    lines = [f'"{text}",{"ab"[i % 2]}' for i, text in enumerate(texts)]
    (folder / "texts.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    lines = [json.dumps({"text": text, "label": "ab"[i % 2]}) for i, text in enumerate(texts)]
    (folder / "texts.jsonl").write_text("\n".join(lines) + "\n")
    for part in ("images", "masks"):
        (folder / "scenes" / part).mkdir(parents=True)
        for i in range(4):
            levels = np.arange(64, dtype=np.uint8).reshape(8, 8) * (
                i + 1 if part == "images" else 1
            )
            Image.fromarray(levels if part == "images" else levels // 32).save(
                folder / "scenes" / part / f"{i}.png"
            )
    shutil.copytree(folder / "scenes" / "images", folder / "drawn" / "images")
    shutil.copytree(folder / "scenes" / "masks", folder / "drawn" / "targets")
    (folder / "scenes" / "classes.txt").write_text("ground\nthing\n")
    _fill_boxes(folder / "boxes")
    store_array(folder / "array", np.arange(12, dtype=np.float32).reshape(3, 4), ArrayFacts())
    rows = [f"{i / 10},{i % 5},{'ab'[i // 30]}" for i in range(60)]
    (folder / "recordings.csv").write_text("\n".join(["time,x,label", *rows]) + "\n")
    np.savez(
        folder / "recordings.npz", x=np.zeros((60, 2)), y=np.arange(60) // 30,
        rate=np.array(10.0), recording=np.arange(60) // 15, time=np.arange(60) / 10,
    )  # fmt: skip
    with wave.open(str(folder / "clip.wav"), "wb") as clip:
        clip.setparams((1, 2, 8000, 0, "NONE", ""))
        clip.writeframes(bytes(1600))
    _fill_beside_data(folder)
    _fill_pipelines(folder / "pipelines")


def _fill_boxes(folder: Path) -> None:
    """Write two pictures with a box each in every format."""
    import numpy as np
    from PIL import Image

    for kind in ("coco", "yolo", "voc"):
        (folder / kind).mkdir(parents=True)
        for i in range(2):
            levels = np.arange(64, dtype=np.uint8).reshape(8, 8) * (i + 1)
            Image.fromarray(levels).save(folder / kind / f"{i}.png")
            if kind == "yolo":
                (folder / kind / f"{i}.txt").write_text(f"{i} .5 .5 .25 .5\n")
            if kind == "voc":
                edges = "<xmin>1</xmin><ymin>2</ymin><xmax>6</xmax><ymax>7</ymax>"
                thing = f"<object><name>c{i}</name><bndbox>{edges}</bndbox></object>"
                (folder / kind / f"{i}.xml").write_text(f"<annotation>{thing}</annotation>\n")
    content = {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in range(2)],
        "annotations": [{"image_id": i, "category_id": i, "bbox": [1, 2, 3, 4]} for i in range(2)],
        "categories": [{"id": i, "name": f"c{i}"} for i in range(2)],
    }
    (folder / "coco" / "list.json").write_text(json.dumps(content))
    (folder / "yolo" / "classes.txt").write_text("a\nb\n")
    (folder / "yolo" / "data.yaml").write_text("names: [a, b]\n")


def _fill_beside_data(folder: Path) -> None:
    """Write a data set of 8x8 inputs and what users bring to one."""
    import numpy as np

    from hwkd.engine.setup.annotators import load_annotators
    from hwkd.tasks.classification import ClassifyTask
    from hwkd.train.teacher_answers import write_answers

    generator = np.random.default_rng(0)
    inputs = {
        name: generator.integers(0, 200, (12, 8, 8)).astype(np.uint8)
        for name in ("train", "validation", "test")
    }
    labels = np.arange(12) % 3
    given = {f"x_{name}": values for name, values in inputs.items()}
    names = {f"y_{name}": labels for name in inputs}
    said = {f"y_soft_{name}": generator.integers(1, 9, (12, 3)) for name in inputs}
    np.savez(folder / "set.npz", allow_pickle=False, **given, **names)
    np.savez(folder / "labels.npz", allow_pickle=False, **given, **said)
    np.savez(folder / "made.npz", x_train=inputs["train"][:6], y_train=labels[:6])
    np.save(folder / "unlabelled.npy", inputs["test"])
    data = ClassifyTask().data(folder / "set.npz")
    people = load_annotators(folder / "labels.npz", data)
    write_answers(folder / "answers.safetensors", people, data, top=1)


def _fill_pipelines(folder: Path) -> None:
    """Write preprocessing as a student's record holds it, of steps of every stage."""
    from hwkd.signals.features import features_named
    from hwkd.signals.pipeline import Pipeline, shapes_of
    from hwkd.signals.step import Shape, Step, TextStep
    from hwkd.signals.steps.normalise import Normalise
    from hwkd.signals.steps.standardise import Standardise

    folder.mkdir()
    colours = Normalise.of((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    made: dict[str, tuple[Shape, tuple[Step, ...]]] = {"array": ((3, 4, 4), (colours,))}
    for name, text, shape, rate_hz in _SIGNALS:
        recipe = features_named(text)
        front = recipe.steps(shape, rate_hz)
        channels = shapes_of(front, shape)[-1][0]
        fitted = Standardise.of([1.0] * channels, [2.0] * channels)
        made[name] = (shape, (*front, fitted, *recipe.after(shape)))
    for name, (raw_shape, steps) in made.items():
        kind = "uint8" if isinstance(steps[0], TextStep) else "int16"
        pipeline = Pipeline(
            steps=steps, raw_shape=raw_shape, raw_dtype=kind, raw_low=-9.0, raw_high=9.0
        )
        (folder / f"{name}.json").write_text(pipeline.record().model_dump_json())


_STRUCTURED = {".json", ".jsonl", ".log", ".toml", ".npy", ".npz", ".onnx", ".safetensors"}


def mutate(path: Path, rng: random.Random) -> None:
    """Damage a file: bytes anywhere, or one value of its JSON or TOML, or one of its arrays."""
    content = path.read_bytes()
    if path.suffix in _STRUCTURED and rng.random() < 0.6:
        try:
            content = _restructured(content, path.suffix, rng)
        except (ValueError, TypeError, tomllib.TOMLDecodeError):
            content = damaged(content, rng)
    else:
        content = damaged(content, rng)
    path.write_bytes(content)


def _restructured(content: bytes, suffix: str, rng: random.Random) -> bytes:
    if suffix in (".npy", ".npz"):
        return (other_npz if suffix == ".npz" else other_npy)(content, rng)
    if suffix == ".onnx":
        return with_metadata(content, lambda text: json.dumps(_changed(json.loads(text), rng)))
    if suffix == ".safetensors":
        header, values = header_of_safetensors(content)
        table = json.loads(header)
        for name, record in table.get("__metadata__", {}).items():
            if rng.random() < 0.6:
                changed = _changed(json.loads(record), rng)
                table["__metadata__"][name] = json.dumps(changed)
                return with_header(json.dumps(table).encode(), values)
        return with_header(json.dumps(_changed(table, rng)).encode(), values)
    if suffix == ".toml":
        table = _changed(tomllib.loads(content.decode()), rng)
        if not isinstance(table, dict):
            raise TypeError("TOML is a table")
        return tomli_w.dumps(table).encode()
    if suffix == ".json":
        return json.dumps(_changed(json.loads(content), rng)).encode()
    lines = content.splitlines()
    at = rng.randrange(len(lines))
    lines[at] = json.dumps(_changed(json.loads(lines[at]), rng)).encode()
    return b"\n".join(lines) + b"\n"


def _changed(value: Any, rng: random.Random) -> Any:
    """Return a document with one value, somewhere in it, replaced, left out or repeated."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        at = rng.choice(keys)
        if rng.random() < 0.1:
            if isinstance(value, dict):
                return {key: item for key, item in value.items() if key != at}
            return [item for index, item in enumerate(value) if index != at]
        if rng.random() < 0.03 and isinstance(value, dict):
            return {**value, "unheard of": 1}
        changed = _changed(value[at], rng)
        if isinstance(value, dict):
            return {**value, at: changed}
        return [changed if index == at else item for index, item in enumerate(value)]
    if isinstance(value, str) and rng.random() < 0.5:
        return rng.choice(
            (value[:-1], value + "x", value * 50, "\x00", "[/0]", "../../x", "é\u202e")
        )
    return rng.choice(
        (None, True, "", "x", [], {}, [[]], -1, 0, 1.5, float("nan"), 1e308, *NUMBERS, 10**400)
    )
