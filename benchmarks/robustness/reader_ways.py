"""How each file that hwkd reads is read, for benches that damage it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hwkd.core.errors import HwkdError
from hwkd.core.student_record import StudentRecord

if TYPE_CHECKING:
    from hwkd.tasks.base import TaskData


@dataclass(frozen=True, kw_only=True)
class Way:
    """Files that are read together.

    Attributes:
        files: patterns of what is damaged, within the folder.
        read: reads the folder as the product does.
        covers: functions that do it.
    """

    files: tuple[str, ...]
    read: Callable[[Path], object]
    covers: tuple[str, ...]


def _log(folder: Path) -> object:
    from hwkd.io.run_log import read_log, read_stage

    return read_log(folder / "run"), read_stage(folder / "run")


def _run(folder: Path) -> object:
    from hwkd.report.build import build_report
    from hwkd.report.read import read_run

    return build_report(*read_run(folder / "run"))


def _resumed(folder: Path) -> object:
    from hwkd.engine.run.prepared import named_teacher, teacher_is_settled
    from hwkd.engine.run.run_folder import RunFolder
    from hwkd.engine.setup.config import SearchConfig

    run = RunFolder(folder / "run")
    run.check_journal()
    return (
        SearchConfig.from_toml(run.config_path),
        named_teacher(run),
        teacher_is_settled(run),
        run.trials.records(),
    )


def _trainings(folder: Path) -> object:
    from hwkd.engine.arms.orders import finished_orders, result_history

    histories = [result_history(path) for path in (folder / "run" / "final").iterdir()]
    return [*finished_orders(folder / "run"), histories]


def _student(folder: Path) -> object:
    from hwkd.io.student_folder import WEIGHTS_FILE, read_student

    student = read_student(folder / "run")
    return _filled(student.record, student.file(WEIGHTS_FILE))


def _weights(folder: Path) -> object:
    from hwkd.io.student_folder import WEIGHTS_FILE, read_record_file

    best = folder / "run" / "best"
    return _filled(read_record_file(best / "student.json"), best / WEIGHTS_FILE)


def _filled(record: StudentRecord, weights: Path) -> object:
    from hwkd.nn.build import build_module
    from hwkd.train.weights_file import WeightsError, fill_module

    module = build_module(record.network, seed=0)
    try:
        fill_module(module, weights)
    except WeightsError as error:
        raise HwkdError(str(error)) from error
    return module


def _message(folder: Path) -> object:
    from hwkd.engine.distill.federation import unpacked
    from hwkd.io.student_folder import read_record_file
    from hwkd.nn.build import build_module
    from hwkd.train.weights_file import WeightsError, fill_module_from

    try:
        said, blob = unpacked((folder / "message.bin").read_bytes())
        network = read_record_file(folder / "run" / "best" / "student.json").network
        fill_module_from(build_module(network, seed=0), blob)
    except (ValueError, WeightsError) as error:  # as the server tells a client
        raise HwkdError(str(error)) from error
    return said


def _exported(folder: Path) -> object:
    from hwkd.deploy.to_c.exported import read_exported
    from hwkd.engine.arms.export import raw_input

    found = read_exported(folder / "firmware", raw_input)
    return None if found is None else found.project()


def _own_model(folder: Path) -> object:
    from hwkd.trace.onnx_student import read_onnx_student

    return read_onnx_student(folder / "own" / "student.onnx")


def _described(folder: Path) -> object:
    import numpy as np

    from hwkd.api.subject import subject_of

    (path,) = (folder / "onnx").glob("*.onnx")
    subject = subject_of(path)
    prepared = subject.prepare(np.zeros((1, 1, 8, 8), np.float32))
    return subject.head(np.zeros(1, np.int64), 10), prepared, subject.rate_hz


def _old_student(folder: Path) -> object:
    from hwkd.io.student_folder import read_student

    return read_student(folder / "old")


def _options(folder: Path) -> object:
    import hwkd
    from hwkd.api.option import declared
    from hwkd.cli.config_file import with_config

    return with_config(folder / "search.toml", {}, declared(hwkd.search))


def _device(folder: Path) -> object:
    from hwkd.io.device_catalog import load_device

    return load_device(str(folder / "device.toml"))


def _adapter(folder: Path) -> object:
    from hwkd.train.detector_adapter import open_adapter

    adapter = open_adapter(folder / "detector.toml")
    return adapter.expected(folder / "detector.toml")


def _runtime(folder: Path) -> object:
    from hwkd.io.runtime_files import load_runtime

    return load_runtime(str(folder / "runtime.toml"))


def _core(folder: Path) -> object:
    from hwkd.io.core_files import load_core_file

    return load_core_file(str(folder / "core.toml"))


def _measurements(folder: Path) -> object:
    from hwkd.cost.fit.rows import read_measurements

    return read_measurements(folder / "measured.csv")


def _array(folder: Path) -> object:
    from hwkd.io.cached_array import ArrayFacts, open_array

    return open_array(folder / "array", ArrayFacts)


@cache
def _data(folder: Path) -> TaskData:
    from hwkd.tasks.classification import ClassifyTask

    return ClassifyTask().data(folder / "set.npz")


def _unlabelled(folder: Path) -> object:
    from hwkd.engine.setup.transfer import read_unlabelled

    return read_unlabelled(folder / "unlabelled.npy", _data(folder).pipeline)


def _made(folder: Path) -> object:
    from hwkd.engine.setup.made import with_made

    return with_made(_data(folder), folder / "made.npz")


def _annotators(folder: Path) -> object:
    from hwkd.engine.setup.annotators import load_annotators

    data = _data(folder)
    return load_annotators(folder / "labels.npz", data).logits(data.train.inputs)


def _answers(folder: Path) -> object:
    from hwkd.engine.setup.annotators import load_annotators
    from hwkd.train.teacher_answers import load_answers
    from hwkd.train.teacher_replayed import replay

    data, path = _data(folder), folder / "answers.safetensors"
    people = load_annotators(folder / "labels.npz", data)
    old = replay(path, data, top=None, ask=lambda: people)
    return [each.logits(data.test.inputs) for each in (load_answers(path, data), old)]


def _pipelines(folder: Path) -> object:
    import numpy as np

    from hwkd.core.pipeline_record import PipelineRecord
    from hwkd.core.strict_model import read_record
    from hwkd.engine.arms.export import raw_input
    from hwkd.signals.pipeline import Pipeline

    found = []
    for path in (folder / "pipelines").iterdir():
        record = read_record(
            PipelineRecord, path.read_bytes(), where=path.name, what="preprocessing"
        )
        raw_input(record)
        raw = np.zeros((1, *record.raw_shape), record.raw_dtype)
        found.append(Pipeline.of(record).apply(raw))
    return found


def _table(folder: Path) -> object:
    from hwkd.tasks.csv_table import read_csv

    path = folder / "table.csv"
    return read_csv(path, of_classes=True), read_csv(path, of_classes=False)


def _texts(folder: Path) -> object:
    from hwkd.tasks.text_source import read_texts

    return [read_texts(folder / f"texts.{kind}") for kind in ("csv", "jsonl")]


def _pieces(folder: Path) -> object:
    from hwkd.signals.piece_vocabulary import read_vocabulary

    return read_vocabulary(folder / "pieces.json")


def _decoder(folder: Path) -> object:
    from hwkd.language.corpus import open_tokenizer, read_corpus
    from hwkd.language.decoder_folder import open_decoder

    decoder = open_decoder(folder / "decoder")
    tokenizer = open_tokenizer(folder / "decoder" / "tokenizer.json", decoder.words)
    return read_corpus(folder / "speech.txt", tokenizer, length=8)


def _captions(folder: Path) -> object:
    from hwkd.language.captions import read_captions
    from hwkd.language.corpus import open_tokenizer
    from hwkd.language.decoder_folder import open_decoder

    decoder = open_decoder(folder / "seer", "encoder")
    tokenizer = open_tokenizer(folder / "seer" / "tokenizer.json", decoder.words)
    return read_captions(folder / "captions", tokenizer, decoder, length=16)


def _recordings(folder: Path) -> object:
    from hwkd.core.reading import AS_USUAL
    from hwkd.tasks.recordings import read_recordings, read_signal

    read_signal(folder / "recordings.csv", 1)
    return [read_recordings(folder / f"recordings.{kind}", AS_USUAL) for kind in ("csv", "npz")]


def _clip(folder: Path) -> object:
    from hwkd.tasks.wav import read_wav

    return read_wav(folder / "clip.wav")


def _masks(folder: Path) -> object:
    from hwkd.tasks.mask_folder import read_mask_folder

    return read_mask_folder(folder / "scenes")


def _pairs(folder: Path) -> object:
    from hwkd.tasks.picture_pairs import read_picture_pairs

    return read_picture_pairs(folder / "drawn")


def _boxes(folder: Path) -> object:
    from hwkd.tasks.box_folder import read_box_folder

    return [read_box_folder(folder / "boxes" / kind) for kind in ("coco", "yolo", "voc")]


WAYS: dict[str, Way] = {
    "run": Way(
        files=("run/run.json", "run/trials.jsonl"),
        read=_run,
        covers=("read_run", "read_run_record", "read_trials"),
    ),
    "resumed run": Way(
        files=("run/config.toml", "run/prepared.json", "run/journal.log"),
        read=_resumed,
        covers=("load_study", "open_storage"),
    ),
    "log": Way(
        files=("run/log.jsonl", "run/progress.json"), read=_log, covers=("read_log", "read_stage"),
    ),
    "trainings": Way(
        files=("run/final/*/*.json",), read=_trainings, covers=("finished_orders", "read_result"),
    ),
    "student": Way(
        files=("run/best/*.json",), read=_student, covers=("read_student", "read_record_file"),
    ),
    "weights": Way(
        files=("run/best/*.safetensors",), read=_weights, covers=("fill_module",),
    ),
    "message": Way(
        files=("message.bin",), read=_message, covers=("unpacked", "fill_module_from"),
    ),
    "exported C": Way(
        files=("firmware/model.json",), read=_exported, covers=("read_exported",),
    ),
    "described ONNX": Way(files=("onnx/*.onnx",), read=_described, covers=("subject_of",)),
    "a user's model": Way(
        files=("own/student.onnx",), read=_own_model, covers=("read_onnx_student",)
    ),
    "old student": Way(
        files=("old/run.json", "old/best/*.json"), read=_old_student,
        covers=("read_old_record",),
    ),
    "options in a file": Way(files=("search.toml",), read=_options, covers=("with_config",)),
    "device": Way(
        files=("device.toml",), read=_device, covers=("load_device", "read_toml"),
    ),
    "adapter": Way(files=("detector.toml",), read=_adapter, covers=("open_adapter",)),
    "runtime": Way(files=("runtime.toml",), read=_runtime, covers=("load_runtime",)),
    "core": Way(
        files=("core.toml",), read=_core, covers=("load_core", "load_npu", "load_core_file"),
    ),
    "measurements": Way(
        files=("measured.csv",), read=_measurements, covers=("read_measurements",),
    ),
    "table": Way(files=("table.csv",), read=_table, covers=("read_csv", "read_table")),
    "texts": Way(files=("texts.csv", "texts.jsonl"), read=_texts, covers=("read_texts",)),
    "pieces": Way(files=("pieces.json",), read=_pieces, covers=("read_vocabulary",)),
    "decoder": Way(
        files=("decoder/*", "speech.txt"), read=_decoder,
        covers=("open_decoder", "open_tokenizer", "read_corpus"),
    ),
    "captions": Way(
        files=("captions/*/*", "seer/*.json"), read=_captions, covers=("read_captions",)
    ),
    "recordings": Way(
        files=("recordings.csv", "recordings.npz"), read=_recordings,
        covers=("read_recordings", "read_signal", "read_arrays"),
    ),
    "clip": Way(files=("clip.wav",), read=_clip, covers=("read_wav",)),
    "masks": Way(
        files=("scenes/*/*.png", "scenes/classes.txt"), read=_masks, covers=("read_mask_folder",)
    ),
    "pairs": Way(files=("drawn/*/*.png",), read=_pairs, covers=("read_picture_pairs",)),
    "boxes": Way(
        files=("boxes/*/*.json", "boxes/*/*.txt", "boxes/*/*.xml", "boxes/*/*.yaml"), read=_boxes,
        covers=("read_box_folder", "read_coco", "read_yolo", "read_voc", "read_names"),
    ),
    "cached array": Way(files=("array/*",), read=_array, covers=("open_array",)),
    "unlabelled": Way(
        files=("unlabelled.npy",), read=_unlabelled,
        covers=("read_npy_file", "read_one_array", "read_unlabelled"),
    ),
    "made samples": Way(files=("made.npz",), read=_made, covers=("with_made",)),
    "annotators": Way(files=("labels.npz",), read=_annotators, covers=("load_annotators",)),
    "file of answers": Way(
        files=("answers.safetensors",), read=_answers, covers=("load_answers", "read_answers"),
    ),
    "preprocessing": Way(files=("pipelines/*.json",), read=_pipelines, covers=("step_of",)),
}  # fmt: skip
