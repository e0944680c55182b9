"""What every kind of answer promises of its C: the exported folder verifies, names where given."""

import shutil
from dataclasses import replace

import pytest

import hwkd
from benchmarks.lib.c_networks import NetworkBuilder, quantise
from hwkd.core.head import OUTPUT_KINDS, OutputForm, value_names
from hwkd.deploy.output_folder import write_folder
from hwkd.deploy.to_c.export import build_project, project_contents
from hwkd.deploy.to_c.flash import constant_bytes
from hwkd.deploy.toolchain import INSTALL_COMMAND
from hwkd.engine.arms.export import raw_input
from hwkd.io.discovery import discover
from hwkd.signals.pipeline import Pipeline
from hwkd.signals.steps.normalise import Normalise

discover("hwkd.tasks")
TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm", "cc")
SHAPE = (2, 16, 16)
NAMES = ("left", "right", "top")
KINDS = [OUTPUT_KINDS.get(name) for name in OUTPUT_KINDS.names()]
# Classes and maps have names, which somebody gave.
OF_VALUES = [kind.name for kind in KINDS if not kind.of_classes and not kind.of_maps]


@pytest.fixture(params=OUTPUT_KINDS.names())
def kind(request):
    return OUTPUT_KINDS.get(request.param)


def exported(kind, names, folder):
    """Write the C of a small network with answers of a kind; return its project."""
    count = len(names)
    net = NetworkBuilder((count, 4, 4) if kind.answers else SHAPE)
    if kind.answers:  # inputs rebuilt
        count = count * 16
        net.reshape(1, count)
        net.linear(count)
    elif kind.of_maps:
        cells = kind.cell_pixels
        net.conv(4, (cells, cells), stride=(cells, cells), pads=(0, 0, 0, 0))
        net.conv(count + (kind.edges or 0), relu="")
    else:
        net.conv(4, (3, 3))
        net.classifier(count)
    pipeline = Pipeline(
        steps=(Normalise(mean=(1.0,) * net.input_shape[0], std=(2.0,) * net.input_shape[0]),),
        raw_shape=net.input_shape, raw_dtype="float32", raw_low=-9.0, raw_high=9.0,
    )  # fmt: skip
    outputs = value_names(count) if kind.answers else names
    ends = (0.0,) * len(outputs), (1.0,) * len(outputs)
    form = OutputForm(names=outputs, mean=ends[0], std=ends[1])
    project = build_project(
        quantise(net, folder, "net"), labels=kind.told(outputs) if not kind.edges else (),
        answer=kind.answer(form), raw=raw_input(pipeline.record()),
    )  # fmt: skip
    facts = {
        "preprocessing": pipeline.record().model_dump(mode="json"),
        "answer": {"kind": kind.name, "labels": list(outputs), "mean": list(ends[0]),
                   "std": list(ends[1]), "decision": None},
    }  # fmt: skip
    project = replace(project, facts=facts)
    write_folder(project_contents(project), folder / "c")
    return project


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"no emulator or compiler; {INSTALL_COMMAND}"
)
def test_an_exported_folder_of_every_kind_of_answer_verifies(kind, tmp_path):
    exported(kind, NAMES, tmp_path)
    found = hwkd.verify(tmp_path / "c", device="cortex-m4", inputs=2)
    assert found.passed, found.verification.faults
    built, predicted = found.verification.flash_bytes, found.verification.flash_predicted_bytes
    assert predicted == pytest.approx(built, rel=0.03)


@pytest.mark.parametrize("name", OF_VALUES)
def test_names_that_nobody_gave_are_not_in_the_c(name, tmp_path):
    kind = OUTPUT_KINDS.get(name)
    project = exported(kind, value_names(3), tmp_path)
    texts = "".join(path.read_text() for path in (tmp_path / "c").glob("*.[ch]"))
    assert "value 1" not in texts
    assert "model_labels" not in texts
    assert constant_bytes(project) == sum(step.constants.size_bytes for step in project.steps)
