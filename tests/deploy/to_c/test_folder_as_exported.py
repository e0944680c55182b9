"""A folder from others is compared file by file before anything in it is compiled or run."""

import json

import pytest
from support.exported_c import export_c
from support.op_networks import OP_NETWORKS

from benchmarks.lib.c_networks import quantise
from hwkd.core.errors import ExportError
from hwkd.deploy.to_c.exported import read_exported
from hwkd.engine.arms.export import raw_input


@pytest.fixture(scope="module")
def exported_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    export_c(quantise(OP_NETWORKS["flatten_before_linear"](), folder, "net"), folder / "c")
    return folder / "c"


@pytest.fixture
def folder(exported_once, tmp_path):
    out = tmp_path / "c"
    out.mkdir()
    for path in exported_once.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    return out


def test_the_network_of_this_file_has_no_average(exported_once):
    """Whose float sum another processor may round otherwise, so that a sample is not compared."""
    assert "average" not in (exported_once / "model.json").read_text().lower()


def check(folder):
    read_exported(folder, raw_input).project()


@pytest.mark.slow
def test_every_file_that_an_export_writes_is_compared(folder):
    check(folder)
    for path in sorted(folder.iterdir()):
        if path.suffix == ".onnx":
            continue
        kept = path.read_bytes()
        path.write_bytes(kept + b"\n")
        with pytest.raises(ExportError, match=path.name):
            check(folder)
        path.write_bytes(kept)


def test_edited_numbers_of_the_description_are_refused(folder):
    facts = json.loads((folder / "model.json").read_text())
    facts["macs"] += 1
    (folder / "model.json").write_text(json.dumps(facts, indent=2) + "\n")
    with pytest.raises(ExportError, match=r"model\.json: not what"):
        check(folder)


def test_an_edited_output_of_the_recorded_sample_is_refused(folder):
    path = folder / "model_sample.h"
    head, output = path.read_text().split("model_sample_output")
    values = output.split("{\n    ")[1].split(",")[0]
    other = -int(values) if abs(int(values)) > 1 else 99
    path.write_text(f"{head}model_sample_output{output.replace(f'    {values},', f'    {other},')}")
    with pytest.raises(ExportError, match=r"model_sample\.h"):
        check(folder)


@pytest.mark.parametrize("name", ["extra.c", "GNUmakefile", "RCS"])
def test_a_further_file_is_named(name, folder):
    (folder / name).write_text("")
    with pytest.raises(ExportError, match=f"holds {name}, which"):
        check(folder)


def test_what_a_build_left_is_to_be_cleaned_away(folder):
    for name in ("main.o", "libmodel.a", "model"):
        (folder / name).write_bytes(b"")
    with pytest.raises(ExportError, match="clean` and verify again"):
        check(folder)
    for name in ("main.o", "libmodel.a", "model"):
        (folder / name).unlink()
    (folder / ".gitignore").write_text("*.o\n")
    check(folder)
