"""A search whose students choose the setting of their features, from candidates to files."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from support.tiny_search import make_config, silent

import hwkd
from hwkd.cli.app import main
from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import ConfigError
from hwkd.core.run_record import SettingRecord
from hwkd.engine.setup.context import make_context
from hwkd.engine.setup.prepare import prepare_data
from hwkd.io.student_folder import read_student
from hwkd.report.read import read_run


@pytest.fixture
def motion(tmp_path):
    """Three motions by eight people, whole numbers of three axes."""
    random, times = np.random.default_rng(0), np.arange(300) / 50
    with (tmp_path / "motion.csv").open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(["recording", "time", "ax", "ay", "az", "label", "subject"])
        for number in range(24):
            waves = np.sin(2 * np.pi * (1 + number % 3) * times + np.arange(3)[:, np.newaxis])
            values = np.rint(1000 * waves + random.normal(0, 100, waves.shape)).astype(int)
            for time, row in zip(times, values.T, strict=True):
                rows.writerow([number, f"{time:.2f}", *row, f"m{number % 3}", number // 3])
    return tmp_path / "motion.csv"


def prepared(tmp_path, motion, **changes):
    config = make_config(
        tmp_path, task="gesture", data=str(motion), spaces=["plain"], search_features=True,
        **{"teacher": {"sources": []}, "distill": [{"method": "none"}], **changes},
    )  # fmt: skip
    return prepare_data(config, progress=silent)


@pytest.mark.slow
def test_each_setting_has_its_inputs_its_cost_and_its_bounds(tmp_path, motion):
    found = prepared(tmp_path, motion, reading={"features": "imu"})
    context = make_context(found.config, found.task, found.transfer, None, found.settings)
    assert [each.features for each in found.settings][:2] == [
        "imu", "imu:window=200ms,stride=100ms",
    ]  # fmt: skip
    assert len(context.screen.spaces) == len(found.settings) == 6
    needs, keys = set(), set()
    for setting in found.settings:
        space = context.screen.spaces[f"plain@{setting.features}"]
        spec = space.suggest(RandomChooser(0), input_shape=(1, 1), num_outputs=3)
        own = context.of(spec)
        assert spec.input_shape == own.data.input_shape == setting.input_shape
        assert own.data.fingerprint == setting.fingerprint
        assert own.data.validation.labels.tolist() == context.data.validation.labels.tolist()
        candidate = context.given.candidate(spec)
        alone = context.given.in_setting(setting.features)
        assert candidate.cost == alone.candidate(replace(spec, features=None)).cost
        assert own.given.features == alone.features
        needs.add(alone.features)
        keys.add(candidate.key)
    assert len(needs) == len(keys) == 6


def test_what_a_teacher_of_one_setting_cannot_do_is_refused(tmp_path, motion):
    with pytest.raises(ConfigError, match="--copies asks more"):
        prepared(tmp_path, motion, transfer={"copies": 2})
    with pytest.raises(ConfigError, match="raw has no other setting"):
        prepared(tmp_path, motion, reading={"features": "raw"})


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_students_of_several_settings_go_the_whole_way(tmp_path, motion, capsys):
    folder = tmp_path / "run"
    hwkd.search(
        device="cortex-m4", task="gesture", data=motion, group="subject", features="imu",
        search_features=True, trials=4, workers=1, spaces=["plain"], teacher_time="500ms",
        brief_epochs=1, full_epochs=1, controls=0, out=folder,
    )  # fmt: skip
    run, trials = read_run(folder)
    done = [record for record in trials if record.state == "completed"]
    assert len({record.spec.features for record in done}) > 1
    assert main(["search", "--resume", str(folder), "--trials", "5"]) == 0
    run, trials = read_run(folder)
    by_features: dict[str | None, SettingRecord] = {each.features: each for each in run.settings}
    assert run.data.pipeline == by_features[run.final.spec.features].pipeline
    other = next(r for r in done if r.spec.features != run.final.spec.features)
    out = tmp_path / "other"
    assert main(["export", str(folder), "--trial", str(other.number), "--out", str(out)]) == 0
    exported = read_student(out).record.run.data
    assert exported.pipeline == by_features[other.spec.features].pipeline
    assert main(["evaluate", str(folder), "--data", str(motion)]) == 0
    assert run.final.spec.features in (folder / "report.html").read_text()
    capsys.readouterr()
