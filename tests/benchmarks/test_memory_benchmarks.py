"""The memory claims are re-checked from the project's own facts, on every run of the tests."""

from __future__ import annotations

from types import ModuleType

import pytest

from benchmarks.accuracy import memory_tflm, memory_zoo
from benchmarks.lib.published import graph_of, is_its_network, read_csv, zoo_rows


@pytest.mark.parametrize("benchmark", [memory_tflm, memory_zoo], ids=lambda it: it.__name__)
def test_memory_benchmark_reaches_its_targets(benchmark: ModuleType) -> None:
    found = benchmark.targets()
    assert found
    assert all(target.is_met for target in found)


def test_rows_of_the_zoo_with_other_weights_than_their_list_are_no_evidence() -> None:
    rows = [row for row in read_csv("stm32_model_zoo.csv") if row["weights_flash_kib"]]
    strangers = {
        (row["model"], row["weights_flash_kib"])
        for row in rows
        if has_list(row) and not is_its_network(row)
    }
    assert strangers == {
        ("bven__flowers__mobilenet_v1_0.25_96_int8", "219.84"),
        ("bven__COCO__ssd_mobilenet_v1_025_224_int8", "471.16"),
        ("bven__COCO__ssd_mobilenet_v1_025_256_int8", "470.13"),
        ("Moha__coco_2017_person__ssd_mobilenet_v2_fpnlite_035_192_int8", "984.25"),
    }
    assert not {model for model, _ in strangers} & {row.model for row in zoo_rows()}


def has_list(row: dict[str, str]) -> bool:
    try:
        graph_of(row["model"])
    except KeyError:
        return False
    return True
