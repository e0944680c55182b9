"""Every reader of a file that hwkd wrote: whatever the bytes are, a value or one line."""

import json
from pathlib import Path

import pytest

import hwkd
from hwkd.api.option import declared
from hwkd.cli.config_file import with_config
from hwkd.core.errors import HwkdError
from hwkd.engine.distill.request import DistillRequest, distill_config
from hwkd.engine.run import prepared
from hwkd.engine.run.journal import check_journal_file
from hwkd.engine.setup.config import SearchConfig
from hwkd.io.device_catalog import load_device
from hwkd.io.run_files import PREPARED_FILE, read_run_record
from hwkd.io.student_folder import read_record_file
from hwkd.io.text_files import read_number
from hwkd.io.trials_file import read_trials

DEEP = 50_000


def read_prepared(path):
    return prepared.read_prepared(path.parent)


def read_spec(path):
    return read_record_file(path, option="--student")


def read_device(path):
    return load_device(str(path))


def read_methods(path):
    given = with_config(path, {}, declared(hwkd.distill))
    methods = tuple(given.get("methods", ()))
    request = DistillRequest(student="run", out=Path("out"), methods=methods)
    return distill_config(request, SearchConfig(device="host"))


JSON_READERS = {
    PREPARED_FILE: read_prepared,
    "spec.json": read_spec,
    "student.json": read_spec,
    "run.json": read_run_record,
    "trials.jsonl": read_trials,
    "journal.log": check_journal_file,
}
TOML_READERS = {
    "config.toml": SearchConfig.from_toml,
    "device.toml": read_device,
    "methods.toml": read_methods,
}
JSON_DAMAGE = {
    "deep": b"[" * DEEP + b"]" * DEEP + b"\n",
    "deep object": b'{"a":' * DEEP + b"\n",
    "digits": b'{"schema_version": ' + b"9" * 5000 + b"}\n",
    "not UTF-8": b'{"schema_version": "\xea"}\n',
    "UTF-16": "{}\n".encode("utf-16"),
    "cut": b'{"schema_version": 1, "da\n',
}
WRONG_JSON = {
    "number": b"7\n",
    "null": b"null\n",
    "list": b"[]\n",
    "surrogate": b'{"spec": "\\ud800"}\n',
    "nothing": b"\n",
}
TOML_DAMAGE = {
    "deep": b"device = " + b"[" * DEEP + b"]" * DEEP,
    "digits": b"clock_hz = " + b"9" * 5000,
    "not UTF-8": b'device = "\xea"',
    "cut": b'device = "co',
    "number for a float": b"clock_hz = " + b"9" * 400,
    "null": b'device = "a\\u0000b"\nclock_hz = "x"',
}


def refused(read, path, content):
    path.write_bytes(content)
    with pytest.raises(HwkdError) as caught:
        read(path)
    message = str(caught.value)
    assert len(message) < 1000
    assert "\n" not in message.strip()
    assert path.name in message


@pytest.mark.parametrize("damage", JSON_DAMAGE)
@pytest.mark.parametrize("name", JSON_READERS)
def test_damaged_json_is_one_line_that_names_the_file(tmp_path, name, damage):
    refused(JSON_READERS[name], tmp_path / name, JSON_DAMAGE[damage])


@pytest.mark.parametrize("wrong", WRONG_JSON)
@pytest.mark.parametrize("name", [name for name in JSON_READERS if name != "journal.log"])
def test_json_of_something_else_is_one_line_that_names_the_file(tmp_path, name, wrong):
    refused(JSON_READERS[name], tmp_path / name, WRONG_JSON[wrong])


@pytest.mark.parametrize("damage", TOML_DAMAGE)
@pytest.mark.parametrize("name", TOML_READERS)
def test_damaged_toml_is_one_line_that_names_the_file(tmp_path, name, damage):
    refused(TOML_READERS[name], tmp_path / name, TOML_DAMAGE[damage])


@pytest.mark.parametrize("value", ['"x"', "1" + "0" * 400, "[1]", "true", "nan", "-0.5"])
def test_a_wrong_number_in_a_configuration_of_an_old_form_is_one_line(tmp_path, value):
    text = f'device = "cortex-m7"\n[training]\ndistill_weight = {value}\n'
    refused(SearchConfig.from_toml, tmp_path / "config.toml", text.encode())


SPEC = {
    "space": "depthwise",
    "params": {"width": 8},
    "input_shape": [1, 8, 8],
    "num_outputs": 3,
    "key": "0" * 16,
}


@pytest.mark.parametrize(
    ("field", "value"),
    [("params", []), ("space", 3), ("input_shape", ["a"]), ("num_outputs", "3x")],
)
def test_a_wrong_field_of_a_spec_is_named(tmp_path, field, value):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"spec": {**SPEC, field: value}, "layers": []}))
    with pytest.raises(HwkdError, match=field):
        read_spec(path)


@pytest.mark.parametrize(
    "content", [*JSON_DAMAGE.values(), *WRONG_JSON.values(), b'{"ratio": "x"}']
)
def test_a_damaged_file_of_a_running_process_counts_as_absent(tmp_path, content):
    path = tmp_path / "progress.json"
    assert read_number(path, "ratio") is None
    path.write_bytes(b'{"ratio": 0.5}')
    assert read_number(path, "ratio") == 0.5
    path.write_bytes(content)
    assert read_number(path, "ratio") is None
