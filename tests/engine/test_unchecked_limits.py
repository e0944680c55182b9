"""A limit that cannot be checked rejects nothing, and is said before a search and after it."""

from __future__ import annotations

import pytest
from support.made_records import completed, estimate
from support.synthetic_run import make_run

from hwkd.core.run_record import FeasibilityRecord
from hwkd.engine.run.run_record import search_caveats
from hwkd.engine.setup.config import LimitsConfig, SearchConfig, TrainingConfig
from hwkd.io.device_catalog import load_device
from hwkd.report.search_sections import feasibility_table


def test_a_limit_that_cannot_be_checked_is_a_caveat():
    config = SearchConfig(device="esp32-s3", limits=LimitsConfig(energy_j=1.0, ram_bytes=10))
    cost = estimate(energy_j=None)
    records = [completed(number).model_copy(update={"cost": cost}) for number in (0, 1)]
    caveats = search_caveats(config, load_device("esp32-s3"), records, is_compared=True)
    (found,) = [line for line in caveats if "could not be checked" in line]
    assert found.startswith("The limit on energy could not be checked for 2 of 2 trained students")


def test_the_table_before_a_search_names_what_could_not_be_checked():
    run, _ = make_run(trials=1)
    entry = FeasibilityRecord(space="s", sampled=9, feasible=9, unknown={"energy": 9})
    note = feasibility_table(run.model_copy(update={"feasibility": (entry,)})).note
    assert "The limit on energy could not be checked for 9 of 9" in note


@pytest.mark.parametrize(("is_compared", "controls", "is_said"), [
    (True, 1, True), (True, 3, False), (False, 1, False), (False, 0, False),
])  # fmt: skip
def test_a_gain_is_doubted_only_where_there_is_one(is_compared, controls, is_said):
    config = SearchConfig(device="cortex-m7", training=TrainingConfig(controls=controls))
    caveats = search_caveats(config, load_device("cortex-m7"), [], is_compared=is_compared)
    assert any("rests on one seed" in line for line in caveats) == is_said
