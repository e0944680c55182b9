from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache

import optuna
import pytest

from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.limits import Limits
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.graph import build_graph
from hwkd.engine.search.chooser import SPACE_PARAM, OptunaChooser
from hwkd.engine.search.optuna_proposer import first_choices
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.references import reference_students, survey_references
from hwkd.engine.setup.resolve import screen_of
from hwkd.engine.setup.rooms import fit_spaces
from hwkd.io.device_catalog import load_device
from hwkd.io.discovery import registered_spaces

IMAGE = {"input_shape": (1, 28, 28), "num_outputs": 10}
CASES = [
    ("cortex-m4", Limits(latency_s=0.02, ram_bytes=65_536), (1, 28, 28)),
    ("cortex-m7", Limits(weight_bytes=20_000), (3, 32, 32)),
    ("cortex-m0plus", Limits(ram_bytes=16_384, flash_bytes=65_536), (6, 128)),
    ("esp32-s3", Limits(latency_s=0.03), (1, 40, 49)),
    ("raspberry-pi-4", Limits(latency_s=0.05), (3, 96, 96)),
]
each_case = pytest.mark.parametrize(("device", "limits", "input_shape"), CASES, ids=str)


@cache
def fitted_screen(device, limits, input_shape, **changes):
    changes = {"spaces": registered_spaces(), **changes}
    screen = replace(screen_of(SearchConfig(device=device, **changes)), limits=limits)
    return fit_spaces(screen, input_shape=input_shape, num_outputs=10)


@pytest.mark.slow
@each_case
def test_every_reference_student_fits_and_the_widest_fastest_come_first(
    device, limits, input_shape
):
    screen = fitted_screen(device, limits, input_shape)
    students = reference_students(screen, input_shape=input_shape, num_outputs=10)
    assert {student.spec.space for student in students} == {"depthwise", "narrow_deep", "plain"}
    assert not any(screen.candidate(student.spec).violations for student in students)
    order = [
        (not student.is_first, not student.is_widest, student.training_s) for student in students
    ]
    assert order == sorted(order)
    keys = [screen.candidate(student.spec).layers.key for student in students]
    assert len(set(keys)) == len(keys)
    assert students == reference_students(screen, input_shape=input_shape, num_outputs=10)


@pytest.mark.slow
def test_a_spectrogram_is_a_signal_for_the_design_of_signals():
    shape = (1, 49, 10)
    screen = fitted_screen("cortex-m4", Limits(latency_s=0.02), shape, search_input=True)
    students = reference_students(screen, input_shape=shape, num_outputs=10)
    found = [student for student in students if student.name.startswith("TC-ResNet8, ")]
    assert found
    for student in found:
        candidate = screen.candidate(student.spec)
        assert not candidate.violations
        assert student.spec.params["input_signal"] is True
        assert {layer.kernel for layer in candidate.layers.layers} >= {(1, 9)}


@pytest.mark.slow
@each_case
def test_a_study_takes_each_reference_student_as_one_of_its_own_proposals(
    device, limits, input_shape
):
    """Out of the bounds that a space samples from, Optuna would warn or refuse."""
    screen = fitted_screen(device, limits, input_shape)
    students = reference_students(screen, input_shape=input_shape, num_outputs=10)
    study = optuna.create_study()
    choices = first_choices(students, tuple(screen.spaces), trials=2 * len(students))
    for student, fixed in zip(students, choices, strict=False):
        study.enqueue_trial(dict(fixed))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trial = study.ask()
            name = trial.suggest_categorical(SPACE_PARAM, list(screen.spaces))
            spec = screen.spaces[name].suggest(
                OptunaChooser(trial, name), input_shape=input_shape, num_outputs=10
            )
        assert spec == student.spec


def test_references_take_half_of_a_search_and_then_each_space_has_its_turns():
    screen = fitted_screen(*CASES[0])
    students = reference_students(screen, **IMAGE)
    first = first_choices(students, ("a", "b"), trials=6)
    assert [choice[SPACE_PARAM] for choice in first] == [
        *(student.spec.space for student in students[:3]), "a", "b", "a", "b",
    ]  # fmt: skip
    assert [len(choice) for choice in first[3:]] == [1, 1, 1, 1]
    assert len(first_choices(students, (), trials=1_000)) == len(students)


def test_the_best_known_plain_network_is_a_reference_design_of_the_cortex_m4():
    """8 channels, then 16, 16, 32 and 24, at 14, 7, 7, 4 and 4 pixels: within 20 ms at most."""
    builder = LayersBuilder((1, 28, 28))
    x = builder.conv(builder.image, "stem", 8, kernel=3, stride=2, activation="relu")
    for name, channels, stride in (("a", 16, 2), ("b", 16, 1), ("c", 32, 2), ("d", 24, 1)):
        x = builder.conv(x, name, channels, kernel=3, stride=stride, activation="relu")
    builder.classifier(x, 10)
    by_hand = build_graph(builder.build())
    screen = fitted_screen(*CASES[0])
    made = [screen.candidate(student.spec) for student in reference_students(screen, **IMAGE)]
    device = load_device("cortex-m4")
    cost = estimate_cost(by_hand, device)
    same = [c for c in made if (c.graph.macs, c.graph.params) == (by_hand.macs, by_hand.params)]
    assert [c.cost.latency for c in same] == [cost.latency]


def test_signals_get_temporal_networks_and_images_do_not():
    def names(input_shape):
        screen = fitted_screen("cortex-m7", Limits(), input_shape)
        found = reference_students(screen, input_shape=input_shape, num_outputs=10)
        return {student.name.split(",")[0] for student in found}

    assert "TC-ResNet8" in names((6, 128))
    assert "TC-ResNet8" not in names((1, 28, 28))


@pytest.mark.parametrize("trials", [1, 2, 3])
def test_a_search_of_few_networks_tries_dense_convolutions_over_time_first(trials):
    signal = (6, 128)
    screen = fitted_screen("cortex-m7", Limits(), signal, spaces=("temporal", "plain"))
    students = reference_students(screen, input_shape=signal, num_outputs=10)
    (first, *_) = first_choices(students, (), trials=trials)
    assert students[0].name.startswith("dense convolutions over time, temporal")
    assert first[SPACE_PARAM] == "temporal"
    assert "dense" in first.values()


@pytest.mark.slow
def test_nothing_fits_is_measured_by_the_nearest_reference_design():
    screen = fitted_screen("cortex-m4", Limits(latency_s=1e-4, weight_bytes=100), (1, 28, 28))
    found = survey_references(screen, **IMAGE)
    assert found.students == ()
    needs = {v.limit_name: v.needed for v in found.nearest_miss.violations}
    relaxed = Limits(latency_s=needs["latency"], weight_bytes=int(needs["weights"]))
    again = survey_references(fitted_screen("cortex-m4", relaxed, (1, 28, 28)), **IMAGE)
    assert found.nearest_miss.name in {s.name.rsplit(", ", 1)[0] for s in again.students}


def test_a_search_without_the_spaces_of_reference_designs_has_none():
    screen = fitted_screen("cortex-m4", Limits(), (1, 28, 28), spaces=("linear_attention",))
    found = survey_references(screen, **IMAGE)
    assert (found.students, found.nearest_miss) == ((), None)


@pytest.mark.parametrize(
    ("space", "shape", "outputs", "limit", "designs"),
    [("detector", (1, 96, 96), 9, 60_000, 4), ("segmenter", (3, 64, 64), 6, 30_000, 3)],
)
def test_students_of_maps_have_designs_that_use_their_weights(
    space, shape, outputs, limit, designs
):
    given = replace(
        screen_of(SearchConfig(device="cortex-m7", spaces=(space,))),
        limits=Limits(weight_bytes=limit),
    )
    screen = fit_spaces(given, input_shape=shape, num_outputs=outputs)
    found = reference_students(screen, input_shape=shape, num_outputs=outputs)
    widest = [screen.candidate(student.spec) for student in found if student.is_widest]
    assert len(widest) == designs
    assert {student.spec.params["convolutions"] for student in found} == {"dense", "separable"}
    assert all(0.75 * limit < made.cost.weight_bytes <= limit for made in widest)
