"""Whether the C that hwkd exports suits better: where limits reject much, or nothing else ships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hwkd.core.chooser import RandomChooser
from hwkd.core.kinds import LAYER_KINDS
from hwkd.deploy.to_c.costs import RUNTIME
from hwkd.engine.setup.feasibility import SpaceFeasibility, survey
from hwkd.engine.setup.screening import Screen, sample_candidate

# Asked where fewer than half of the sampled students fit, and told where a tenth more would.
_TIGHT_SHARE, _MORE_SHARE = 0.5, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRuntime:
    """How many of the same sampled students fit with either runtime."""

    asked: str
    sampled: int
    fit: int
    fit_with_own: int

    @property
    def advice(self) -> str:
        """Say it in a sentence."""
        return (
            f"{self.fit} of the {self.sampled} sampled students fit with {self.asked}, and "
            f"{self.fit_with_own} with the C that hwkd exports: --runtime {RUNTIME}."
        )


def own_runtime(
    screen: Screen,
    found: Sequence[SpaceFeasibility],
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    seed: int,
) -> OwnRuntime | None:
    """Cost the students of a survey once more, for the exported C.

    Args:
        screen: that `found` is the survey of, with the same seed.

    Returns:
        None where enough fits, no more would, or nothing is known of the C on the device.
    """
    device, asked = screen.device, screen.question.runtime or screen.device.default_runtime
    sampled = sum(space.sampled for space in found)
    fit = sum(space.feasible for space in found)
    if asked == RUNTIME or RUNTIME not in device.runtimes or fit >= _TIGHT_SHARE * sampled:
        return None
    with_own = replace(screen, question=replace(screen.question, runtime=RUNTIME))
    again = survey(with_own, input_shape=input_shape, num_outputs=num_outputs, seed=seed)
    fit_with_own = sum(space.feasible for space in again)
    if fit_with_own < fit + _MORE_SHARE * sampled:
        return None
    return OwnRuntime(asked=asked, sampled=sampled, fit=fit, fit_with_own=fit_with_own)


def own_runtime_alone(
    screen: Screen, *, input_shape: tuple[int, ...], num_outputs: int
) -> str | None:
    """Say that students of a space become no TFLite file, before any is trained.

    A table that numbers are looked up in, as of pieces of words, is in hwkd's own C alone.

    Args:
        screen: of the search, with its spaces.

    Returns:
        None where the search is for that C, or for a machine that runs ONNX files.
    """
    device = screen.device
    asked = screen.question.runtime or device.default_runtime
    if asked == RUNTIME or RUNTIME not in device.runtimes:
        return None
    for name in screen.spaces:
        student = sample_candidate(
            screen, name, RandomChooser(0), input_shape=input_shape, num_outputs=num_outputs
        )
        if any(LAYER_KINDS.get(layer.kind).is_lookup for layer in student.layers.layers):
            return (
                f"--runtime {asked}: students of --space {name} look their input up in a table (an "
                "embedding), which TensorFlow Lite does not have, so none becomes a .tflite file; "
                f"for the C that hwkd exports give --runtime {RUNTIME}, for TensorFlow Lite other "
                "--features (words)"
            )
    return None
