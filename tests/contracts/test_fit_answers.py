"""Whether a network fits has one answer: search, profile, report and verify give the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tomli_w
from pydantic import TypeAdapter
from support.students import finished_student

from hwkd.api.profile_model import profile_model
from hwkd.core.limits import LIMIT_FIELDS, Fit, Limits
from hwkd.core.run_record import DeviceRecord, LimitRecord
from hwkd.core.verification import Target
from hwkd.cost.backend import CostQuestion
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_c.flash import constant_bytes, predict_flash_bytes, predict_ram_bytes
from hwkd.deploy.verify_run import VECTOR_BYTES, BuildSizes
from hwkd.deploy.verify_size import built_fit, predicted_fit
from hwkd.engine.setup.screening import Screen, load_spaces
from hwkd.io.core_files import load_core
from hwkd.io.device_catalog import load_device
from hwkd.io.student_folder import INT8_FILE, StudentFolder
from hwkd.report.student_section import fit_table

AMPLE, EXACT, TIGHT = 2.0, 1.0, 0.5


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> StudentFolder:
    return finished_student(tmp_path_factory.mktemp("fit") / "best")


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name a device with everything known, one without power, one whose runtime lacks a class."""
    folder = tmp_path_factory.mktemp("devices")
    content = load_device("cortex-m7").model_dump(mode="json", exclude_unset=True)
    for runtime in content["runtimes"].values():
        for model in runtime["latency"].values():
            for name in ("dense", "listed"):
                model["cycles"].pop(name, None)
    path = folder / "lacking.toml"
    path.write_text(tomli_w.dumps({**content, "name": "lacking"}), encoding="utf-8")
    return {"known": "cortex-m7", "no power": "esp32-s3", "no cost": str(path)}


def fits_of(
    student: StudentFolder, device_name: str, runtime: str | None, share: float
) -> dict[str, Fit]:
    """Ask search, profile and report under limits that are `share` times what is needed."""
    device = load_device(device_name)
    spec = student.record.spec
    assert spec is not None
    screen = Screen(
        question=CostQuestion(device=device, runtime=runtime), limits=Limits(), risk="upper",
        spaces=load_spaces((spec.space,)),
    )  # fmt: skip
    cost = screen.candidate(spec).cost
    needs = {
        "latency_s": cost.latency.high_s, "ram_bytes": cost.peak_ram_bytes,
        "flash_bytes": cost.flash_bytes, "weight_bytes": cost.weight_bytes,
        "energy_j": cost.energy_j or 1.0,
    }  # fmt: skip
    limits = Limits(**{name: share * need for name, need in needs.items()})
    record = DeviceRecord(
        name=device.name, core=device.core, clock_hz=device.clock_hz, runtime=cost.runtime,
        limits=tuple(
            LimitRecord(name=name, value=getattr(limits, field), origin="option")
            for name, field in LIMIT_FIELDS.items()
        ),
    )  # fmt: skip
    verdicts = [row[-1].text.split(",")[0] for row in fit_table(cost, record).rows]
    report = record.fit(cost)
    assert verdicts == [entry.answer for entry in report.limits]
    return {
        "search": replace(screen, limits=limits).candidate(spec).fit,
        "profile": profile_model(student.file(INT8_FILE), screen.question, limits).fit,
        "report": report,
    }


@pytest.mark.parametrize("share", [AMPLE, EXACT, TIGHT])
@pytest.mark.parametrize(
    ("device", "runtime", "unknown"),
    [
        ("known", "x-cube-ai-7", set()),
        ("no power", None, {"energy"}),
        ("no cost", "x-cube-ai-7", {"latency", "energy"}),
    ],
)
def test_search_profile_and_report_give_the_same_answer(
    student, devices, device, runtime, unknown, share
):
    found = fits_of(student, devices[device], runtime, share)
    assert found["search"] == found["report"]
    assert found["profile"] == found["report"]
    for entry in found["search"].limits:
        is_over = share == TIGHT and entry.needed is not None
        expected = "over" if is_over else "unknown" if entry.name in unknown else "fits"
        assert entry.answer == expected, entry


@pytest.mark.parametrize("spare", [0, 1, -1])
def test_verify_answers_as_the_others_do_from_what_the_c_needs(student, spare):
    core = load_core("cortex-m4")
    project = build_project(student.file(INT8_FILE), rounding=core.rounding)
    flash, ram = predict_flash_bytes(project, core), predict_ram_bytes(project, core)
    assert flash is not None
    assert ram is not None
    target = Target(
        name="t", core=core, flash_bytes=flash + VECTOR_BYTES + spare, ram_bytes=ram + spare
    )
    fit = predicted_fit(project, target)
    assert [entry.answer for entry in fit.limits] == ["over" if spare < 0 else "fits"] * 2


@pytest.mark.parametrize(("spare", "answer"), [(0, "unknown"), (10**6, "unknown"), (-1, "over")])
def test_verify_does_not_know_where_the_size_of_the_code_is_not_known(student, spare, answer):
    core = load_core("cortex-m4").model_copy(update={"rest": None})
    project = build_project(student.file(INT8_FILE), rounding=core.rounding)
    target = Target(
        name="t", core=core, flash_bytes=constant_bytes(project) + VECTOR_BYTES + spare,
        ram_bytes=project.memory.arena_bytes + spare,
    )  # fmt: skip
    fit = predicted_fit(project, target)
    assert [entry.answer for entry in fit.limits] == [answer] * 2


@pytest.mark.parametrize(("spare", "answer"), [(0, "fits"), (-1, "over")])
def test_what_was_built_is_judged_with_the_stack_that_it_used(spare, answer):
    sizes = BuildSizes(flash_bytes=30_000, ram_bytes=4_000, arena_bytes=3_000)
    target = Target(
        name="t", core=load_core("cortex-m4"), flash_bytes=30_000 + VECTOR_BYTES + spare,
        ram_bytes=4_500 + spare,
    )  # fmt: skip
    fit = built_fit(sizes, 500, target)
    assert [(entry.name, entry.answer) for entry in fit.limits] == [
        ("ram", answer), ("flash", answer),
    ]  # fmt: skip
    assert TypeAdapter(Fit).validate_json(TypeAdapter(Fit).dump_json(fit)) == fit
