from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from support.made_records import SPEC, completed, estimate

from hwkd.core.errors import RunFolderError
from hwkd.core.measure import OpCost, Profile
from hwkd.core.trial import (
    EpochRecord,
    StoredSpec,
    TrialRecord,
    ViolationRecord,
    read_trial_line,
)

PROFILE = Profile(
    median_s=0.002, p90_s=0.003, spread_s=0.0005, runs=50, warmup_runs=10, threads=1,
    file_bytes=1000, file_sha256="0" * 64, provider="CPUExecutionProvider", runtime_version="1",
    host="test",
)  # fmt: skip


def test_a_record_survives_its_line_of_json():
    op = OpCost(
        name="conv", kind="Conv", macs=9, latency_s=None, ram_bytes=1, flash_bytes=1, fused_into="x"
    )
    record = completed(3).model_copy(
        update={
            "violations": (ViolationRecord(limit_name="ram", needed=2.0, limit=1.0),),
            "cost": replace(estimate(), per_op=(op,), unsupported_ops={"X": 2}),
            "profile": PROFILE,
            "epochs": (EpochRecord(epoch=1, learning_rate=0.1, losses={"kd": 0.2}),),
            "reason": 'line\nbreak and "quotes"',
        }
    )
    line = record.model_dump_json()
    assert "\n" not in line
    assert read_trial_line(line, where="here") == record


@pytest.mark.parametrize("latency", [None, (0.5, 1.0, 2.0)])
def test_a_latency_in_loose_fields_of_an_older_version_is_read(latency):
    record = completed(3).model_copy(update={"cost": estimate(latency=latency)})
    older = record.model_dump(mode="json")
    found = older["cost"].pop("latency") or {}
    for name, field in {
        "latency": "value_s",
        "latency_low": "low_s",
        "latency_high": "high_s",
    }.items():
        older["cost"][f"{name}_s"] = found.get(field)
    older["cost"]["latency_basis"] = found.get("basis")
    assert read_trial_line(json.dumps(older), where="here") == record


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5),
        st.one_of(st.booleans(), st.integers(-9, 9), st.floats(-1, 1), st.text(max_size=4)),
        max_size=4,
    )
)
def test_a_spec_keeps_its_key_and_the_types_of_its_choices(params):
    spec = SPEC.__class__(space="s", params=params, input_shape=(1, 4), num_outputs=2)
    stored = TypeAdapter(StoredSpec)
    text = stored.dump_json(spec)
    read = stored.validate_json(text)
    assert read == spec
    assert json.loads(text)["key"] == spec.key
    assert {k: type(v) for k, v in read.params.items()} == {k: type(v) for k, v in params.items()}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"schema_version": 99}, "schema_version"),
        ({"state": "lost"}, "state"),
        ({"surprise": 1}, "surprise"),
        ({"number": None}, "number"),
    ],
)
def test_a_line_of_another_kind_is_one_error_that_names_the_place(change, place):
    raw = {**json.loads(completed(0).model_dump_json()), **change}
    with pytest.raises(RunFolderError, match=f"trials.jsonl line 4: not a trial record: {place}"):
        read_trial_line(json.dumps(raw), where="trials.jsonl line 4")


def test_a_cut_line_is_one_error():
    with pytest.raises(RunFolderError, match="the file was cut"):
        read_trial_line(completed(0).model_dump_json()[:40], where="x")


def test_latency_is_the_estimate_and_for_the_host_the_measurement():
    estimated = completed(0, latency_s=0.5).model_copy(update={"profile": PROFILE})
    measured = completed(0, latency_s=None).model_copy(update={"profile": PROFILE})
    unknown = TrialRecord(number=0, state="failed", seed=0, started_at="t", duration_s=0.0)
    assert (estimated.latency_s, measured.latency_s, unknown.latency_s) == (0.5, 0.002, None)
