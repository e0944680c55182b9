"""A student at several sizes: gates, sizes by cost, the course and the ladder; on tiny data."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.tiny_student import bars_npz, small_layers, student_file

from hwkd.core.errors import ConfigError, HwkdError
from hwkd.core.ladder_record import RungRecord
from hwkd.core.metric import ACCURACY
from hwkd.core.widened import widened
from hwkd.engine.distill.capacity import run_capacity, smallest_within
from hwkd.engine.distill.compression import run_compression
from hwkd.engine.distill.gates import Gates
from hwkd.engine.distill.request import DistillRequest
from hwkd.engine.distill.rungs import require_sizes, run_of
from hwkd.engine.distill.sizes import parse_compression, sized_by_cost
from hwkd.engine.run.listener import SilentListener
from hwkd.io.student_folder import StudentFolder, read_student


def _request(place: Path, **options: object) -> DistillRequest:
    settings: dict[str, object] = {
        "student": str(student_file(place)),
        "data": str(bars_npz(place)),
        "methods": ("none",),
        "device": "cortex-m7",
        "epochs": 8,
        "seeds": (0, 1),
        "accelerator": "cpu",
        "calibration": "minmax",
        "qat": "off",
        "workers": 1,
        "out": place / "out",
        **options,
    }
    return DistillRequest(**settings)


@pytest.fixture(autouse=True)
def _brief_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwkd.engine.distill.run._PROFILE_SECONDS", 0.02)


def _weights(layers) -> SimpleNamespace:
    """Return a cost that is the sum of channels; no device takes part."""
    channels = sum(layer.shape[0] for layer in layers.layers)
    return SimpleNamespace(macs=channels, latency_s=None, device="host")


def test_sizes_are_the_widest_forms_that_are_as_much_cheaper() -> None:
    layers = small_layers()
    whole = _weights(layers).macs
    sizes = sized_by_cost(layers, _weights, of="macs", factors=(1.5, 2.5))
    assert [size.factor for size in sizes] == [1.0, 1.5, 2.5]
    for size in sizes[1:]:
        assert size.cost.macs <= whole / size.factor
        wider = widened(layers, size.width * 1.2)
        assert _weights(wider).macs > whole / size.factor or wider.key == size.layers.key


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latncy:2", "unknown cost 'latncy'; did you mean latency"),
        ("macs:2,2", "ascending factors above 1"),
        ("macs:0.5", "ascending factors above 1"),
        ("macs", "ascending factors above 1"),
        ("latency:2", "host predicts no latency of the student; give --device"),
        ("macs:1000", "with the fewest channels the student costs .* times less, and no more"),
        ("macs:2,2.0001", "2.0001 and 2 give one network"),
    ],
)
def test_a_compression_that_cannot_be_is_one_line(text: str, said: str) -> None:
    with pytest.raises(HwkdError, match=said) as caught:
        of, factors = parse_compression(text)
        sized_by_cost(small_layers(), _weights, of=of, factors=factors)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("ramm:2KiB",), "unknown gate 'ramm'; did you mean ram"),
        (("ram:2",), "2"),
        (("accuracy:2",), "the share that may be lost, as accuracy:2%"),
        (("ram:2KiB", "ram:3KiB"), "ram is given twice"),
    ],
)
def test_a_gate_that_cannot_be_read_is_one_line(texts: tuple[str, ...], said: str) -> None:
    with pytest.raises(HwkdError, match=said):
        Gates.parse(texts)


def test_options_of_sizes_go_together_or_are_refused() -> None:
    for asked, beside, lacking, said in (
        ([], {}, {"--gate": True}, "--gate: goes with --compression"),
        (["--compression", "--capacity"], {}, {}, "are two distillations"),
        (["--capacity"], {"--scheme": True}, {}, "--scheme: does not go with --capacity"),
    ):
        with pytest.raises(ConfigError, match=said):
            require_sizes(asked, beside=beside, lacking=lacking)


def test_a_gate_that_no_size_meets_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no size meets it: the smallest, 2x, has ram"):
        run_compression(
            _request(tmp_path), compression="macs:2", gates=("ram:16B",), listener=SilentListener()
        )
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.slow
def test_stages_teach_each_other_and_a_lost_score_ends_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = _request(tmp_path, methods=("kd",), teachers=())
    first = _request(tmp_path, out=tmp_path / "first")
    from hwkd.engine.distill.run import run_distillation

    teacher = str(run_distillation(first).folder / "student.onnx")
    request = _request(tmp_path, methods=("kd",), teachers=(teacher,))
    made = run_compression(
        request, compression="macs:2,4", gates=("accuracy:99%",), listener=SilentListener()
    )
    record = run_of(read_student(made.folder)).compression
    assert record is not None
    assert [rung.name for rung in record.rungs] == ["1x", "2x", "4x"]
    assert record.rungs[0].macs >= 4 * record.rungs[2].macs
    assert record.direct is not None
    assert record.direct.params == record.rungs[2].params
    assert record.ended_by is None
    assert record.recommended == "direct"  # two seeds of so few pictures show no gain
    assert made.layers.key != read_student(first.out).layers.key
    assert not list(tmp_path.glob(".out*"))

    def scored(trainings: object, name: str, request: DistillRequest) -> StudentFolder:
        asked.append((name, request.width))
        value = 0.2 if name == "4x" else 0.9
        run = run_of(made)
        assert run.final is not None
        arm = run.final.verdict.arms[0]
        scores = tuple(s.model_copy(update={"validation_int8": value}) for s in arm.scores)
        arms = (arm.model_copy(update={"scores": scores}),)
        verdict = run.final.verdict.model_copy(update={"arms": arms})
        final = run.final.model_copy(update={"verdict": verdict})
        changed = run.model_copy(update={"final": final})
        return StudentFolder(
            folder=made.folder, record=made.record.model_copy(update={"run": changed})
        )

    asked: list[tuple[str, object]] = []
    monkeypatch.setattr("hwkd.engine.distill.rungs.Rungs.trained", scored)
    request = _request(tmp_path, out=tmp_path / "ended", teachers=(teacher,), methods=("kd",))
    ended = run_compression(
        request, compression="macs:2,4,6", gates=("accuracy:5%",), listener=SilentListener()
    )
    record = run_of(ended).compression
    assert record is not None
    assert record.ended_by == "accuracy 90.00 % became 20.00 %"
    assert [name for name, _ in asked] == ["1x", "2x", "4x"]  # and never 6x
    assert record.ships == "2x"
    assert record.direct is None  # one stage is direct distillation
    assert "it ended at 4x: accuracy" in record.sentences[0]


def test_a_ladder_ships_the_smallest_within_the_tolerance() -> None:
    rungs = [_rung(name, score) for name, score in (("0.5", 0.7), ("1", 0.88), ("1.4", 0.9))]
    assert smallest_within(ACCURACY, rungs, 0.87) == (1, True)
    assert smallest_within(ACCURACY, rungs, 0.95) == (2, False)


def _rung(name: str, score: float) -> RungRecord:
    return RungRecord(
        name=name, width=float(name), params=10, macs=10, latency_s=None, peak_ram_bytes=1,
        flash_bytes=1, energy_j=None, validation_int8=(score,), test_int8=(score,),
    )  # fmt: skip


@pytest.mark.slow
def test_a_ladder_fits_errors_with_the_teacher_and_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hwkd.engine.distill.run import run_distillation

    monkeypatch.setattr("hwkd.engine.distill.capacity.WIDTHS", (0.25, 0.5, 1.0))
    first = run_distillation(_request(tmp_path, out=tmp_path / "first", seeds=(0,)))
    request = _request(
        tmp_path, methods=("kd",), teachers=(str(first.folder / "student.onnx"),), seeds=(0,)
    )
    made = run_capacity(request, tolerance=0.02, listener=SilentListener())
    record = run_of(read_student(made.folder)).capacity
    assert record is not None
    sizes = [rung.params for rung in record.rungs]
    assert sizes == sorted(set(sizes))
    errors = [1 - np.mean(rung.alone_validation_int8) for rung in record.rungs]
    line = np.polyfit(np.log10(sizes), errors, 1)
    assert (record.alone.slope, record.alone.intercept) == pytest.approx(tuple(line))
    assert record.helped == ()  # one seed shows nothing
    assert len(record.sentences) == 3


def test_a_ladder_without_a_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--method none has none"):
        run_capacity(_request(tmp_path), tolerance=0.02, listener=SilentListener())
