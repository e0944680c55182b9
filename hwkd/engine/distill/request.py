"""What `hwkd distill` was asked for, as the configuration that workers read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwkd.core.choices import CalibrationChoice, QatMode, TeacherSees
from hwkd.core.errors import ConfigError
from hwkd.distill.spec import NO_METHOD
from hwkd.engine.arms.attacked import parse_attack
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.methods import (
    configured_methods,
    configured_scheme,
    method_tables,
    require_meaningful,
)

# Unless asked for more: a method's gain shows by then, and every arm and seed costs as much.
_MOST_EPOCHS = 60
# Of `--arms`: the student that was trained before goes on.
FINE_TUNE = "fine-tune"


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillRequest:
    """What was asked for; see the options of `hwkd distill`.

    Attributes:
        arms: other ways beside it, of `hwkd.engine.distill.rivals`.
        finetunes: the student's weights go on with `data`, at a tenth of the rate.
        width: channels of the network that is trained over those of the student, above 0.
    """

    student: str
    out: Path
    methods: tuple[str | Mapping[str, Any], ...] = ()
    scheme: str | None = None
    epochs: int | None = None
    task: str | None = None
    data: str | None = None
    label: str | None = None
    device: str | None = None
    teachers: tuple[str, ...] = ()
    teacher_weights: tuple[str, ...] = ()
    teacher_inputs: tuple[str, ...] = ()
    teacher_classes: tuple[tuple[str, ...], ...] = ()
    teacher_sees: TeacherSees | None = None
    unlabelled: Path | None = None
    made: Path | None = None
    copies: int = 1
    robustness: str | None = None
    with_controls: bool = False
    arms: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    by_hardware: bool = False
    pairs: tuple[str, ...] = ()
    calibration: CalibrationChoice = "auto"
    qat: QatMode = "auto"
    accelerator: str = "auto"
    workers: int | None = None
    timeout_s: float | None = None
    command: tuple[str, ...] = ()
    trusts: bool = False
    width: float = 1.0
    layer_rates: str | None = None
    finetunes: bool = False


def distill_config(request: DistillRequest, base: SearchConfig) -> SearchConfig:
    """Return the configuration of a distillation: that of its student with what was asked for.

    Args:
        base: of the student's run, or one for a student by itself.

    Raises:
        ConfigError: names the option, what is wrong with it and what to do.
    """
    scheme = configured_scheme(
        request.scheme,
        request.methods,
        request.teachers or base.teacher.sources,
        named=bool(request.teachers),
    )
    if request.robustness is not None:
        parse_attack(request.robustness)
    raw = base.model_dump()
    raw.update(
        {
            # Workers build the network from its layers, so no space has to be there, or to run.
            "spaces": (),
            "accelerator": request.accelerator,
            "workers": 1,
            "timeout_s": request.timeout_s,
            "teacher": {**raw["teacher"], **_teacher(request)},
            "transfer": {
                "unlabelled": None if request.unlabelled is None else str(request.unlabelled),
                "made": None if request.made is None else str(request.made),
                "copies": request.copies,
                "pairs": request.pairs,
                "importance": "hardware" if request.by_hardware else "equal",
            },
            "training": {**raw["training"], "layer_rates": request.layer_rates},
            "quantisation": {"calibration": request.calibration, "qat": request.qat},
            "distill": method_tables(request.methods if scheme is None else (NO_METHOD,)),
            "robustness": request.robustness,
            "scheme": None if scheme is None else scheme.table(),
        }
    )
    config = SearchConfig.checked(raw, where="options")
    require_meaningful(config)
    if request.with_controls and scheme is None and configured_methods(config) == ():
        raise ConfigError(f"--attribution: --method {NO_METHOD} leaves nothing to compare")
    return config


def with_epochs(config: SearchConfig, epochs: int | None) -> SearchConfig:
    """Return a resolved configuration with the length that was asked for, or a moderate one."""
    usual = min(config.training.full_epochs or _MOST_EPOCHS, _MOST_EPOCHS)
    training = config.training.model_copy(update={"full_epochs": epochs or usual})
    return config.model_copy(update={"training": training})


def _teacher(request: DistillRequest) -> dict[str, Any]:
    """Return the teacher's part; without options that of the student's run stays."""
    asked: dict[str, Any] = {
        "weights": request.teacher_weights,
        "inputs": request.teacher_inputs,
        "classes": request.teacher_classes,
        "sees": request.teacher_sees,
    }
    if request.teachers:
        return {"sources": request.teachers, **asked, "sees": request.teacher_sees or "students"}
    return {name: given for name, given in asked.items() if given}
