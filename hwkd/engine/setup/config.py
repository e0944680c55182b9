"""One search, fully resolved: what `config.toml` in a run folder holds and every worker reads."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hwkd.core.choices import (
    CONTROLS,
    SAMPLER,
    TASK,
    TRIAL_TIMEOUT_S,
    Accelerator,
    CalibrationChoice,
    QatMode,
    Risk,
    TeacherSees,
)
from hwkd.core.errors import ConfigError
from hwkd.core.limits import Limits
from hwkd.core.objective import ObjectiveConfig
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.core.strict_model import StoredInt, StrictModel, first_problem
from hwkd.core.teacher_classes import AS_DATA, require_names
from hwkd.core.teacher_input import TeacherInput, is_teacher_file
from hwkd.io.text_files import MalformedTextError, read_toml

_TRIALS = 40
# A sampler that cannot look ahead proposes students that do not fit or that were tried; a search
# in which nothing fits ends after so many candidates for each training wanted.
_CANDIDATES_PER_TRIAL = 25


class LimitsConfig(StrictModel):
    """Hard limits in force; a field that is absent is no limit. See `hwkd.core.limits.Limits`."""

    latency_s: float | None = Field(default=None, gt=0)
    ram_bytes: StoredInt | None = Field(default=None, gt=0)
    flash_bytes: StoredInt | None = Field(default=None, gt=0)
    weight_bytes: StoredInt | None = Field(default=None, gt=0)
    energy_j: float | None = Field(default=None, gt=0)
    risk: Risk = "upper"

    def to_limits(self) -> Limits:
        """Return the limits without the risk."""
        return Limits(**self.model_dump(exclude={"risk"}))


class TeacherConfig(StrictModel):
    """Where the teacher comes from.

    Attributes:
        sources: paths ending in .onnx, files of answers ending in .safetensors and
            "package.module:factory"; several are averaged, none trains one.
        weights: safetensors files, one for each factory in order; none leaves all their own.
        inputs: what teachers expect (`hwkd.core.teacher_input`), one for all or one for each; none
            is as students see it.
        classes: names of the outputs of each teacher in order; no names are those of the data,
            or what its file says.
        sees: "paired" is the other half of each example, arrays `teacher_x_*` of an NPZ file;
            "samples" is a signal before any features.
        time_budget_s: bound on training one; None leaves it to the size of the data.
    """

    sources: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    classes: tuple[tuple[str, ...], ...] = ()
    sees: TeacherSees = "students"
    time_budget_s: float | None = Field(default=None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _reads_older_runs(cls, raw: Any) -> Any:
        """Older versions had one source, and one file of weights."""
        if not isinstance(raw, dict):
            return raw
        kept = {name: value for name, value in raw.items() if name != "source"}
        if "source" in raw:
            kept["sources"] = () if raw["source"] is None else (raw["source"],)
        if isinstance(kept.get("weights"), str):
            kept["weights"] = (kept["weights"],)
        return kept

    @model_validator(mode="after")
    def _belongs_to_its_teachers(self) -> TeacherConfig:
        factories = [name for name in self.sources if not is_teacher_file(name)]
        if self.weights and len(self.weights) != len(factories):
            raise ConfigError(
                f"--teacher-weights {' '.join(self.weights)}: goes with --teacher "
                "package.module:factory only, one file for each in order; given "
                f"{', '.join(factories) or 'none'}"
            )
        if self.inputs and (not self.sources or len(self.inputs) not in (1, len(self.sources))):
            raise ConfigError(
                f"--teacher-input {' '.join(self.inputs)}: goes with --teacher, one for all or one "
                f"for each in order; given {', '.join(self.sources) or 'none'}"
            )
        for text in self.inputs:
            TeacherInput.parse(text)
        if self.classes and len(self.classes) != len(self.sources):
            raise ConfigError(
                f"--teacher-classes: {len(self.classes)} lists were given and "
                f"{len(self.sources)} teachers; give one for each --teacher in order, {AS_DATA} "
                "for the data's own"
            )
        for names, source in zip(self.classes, self.sources, strict=False):
            if not names:
                continue
            require_names(names, f"--teacher-classes {','.join(names[:6])}")
            if is_teacher_file(source) and not source.lower().endswith(".onnx"):
                raise ConfigError(
                    f"--teacher-classes {','.join(names[:6])}: {source} says itself what its "
                    f"answers are of; give {AS_DATA} for it"
                )
        return self

    @property
    def members(self) -> tuple[tuple[str, Path | None, TeacherInput, tuple[str, ...]], ...]:
        """Source, weights, expected input and classes of each."""
        weights = iter(self.weights)
        inputs = self.inputs * len(self.sources) if len(self.inputs) == 1 else self.inputs
        return tuple(
            (
                source,
                None if is_teacher_file(source) else _path(next(weights, None)),
                TeacherInput.parse(text) if text else TeacherInput(),
                classes or (),
            )
            for source, text, classes in zip_longest(self.sources, inputs, self.classes)
        )


class TransferConfig(StrictModel):
    """What students train on beside the labelled data, and how they follow a teacher's stages.

    Attributes:
        unlabelled: path of further inputs, which the teacher labels.
        made: path of a file of `hwkd generate` that is learned from in place of the train split.
        copies: augmented copies that teacher and student both see; 1 is the data as they are.
        pairs: "STAGE=PATH", a stage of the student and the teacher's module that it follows.
        importance: "hardware" weighs the stages of feature methods, and those that a scheme
            teaches, by what they cost on the device.
    """

    unlabelled: str | None = None
    made: str | None = None
    copies: StoredInt = Field(default=1, ge=1)
    pairs: tuple[str, ...] = ()
    importance: Literal["equal", "hardware"] = "equal"


class TrainingConfig(StrictModel):
    """Lengths of brief and full training; None is chosen from the size of the data.

    Attributes:
        brief_samples: at most this many samples in an epoch of brief training; None is all.
        full_epochs: for the best student after the search.
        batch_size: samples per step.
        rate_ratio: learning rates over the usual ones; None is 1.
        controls: seeds over which the final student and its controls without a teacher are
            trained; 0 trains no control.
        layer_rates: of full training, by depth (`hwkd.core.layer_rates`); None is one for all.
        trial_timeout_s: a candidate that runs longer is recorded as failed.
    """

    brief_epochs: StoredInt | None = Field(default=None, ge=1)
    brief_samples: StoredInt | None = Field(default=None, ge=2)
    full_epochs: StoredInt | None = Field(default=None, ge=1)
    batch_size: StoredInt | None = Field(default=None, ge=2)
    learning_rate: float | None = Field(default=None, gt=0)
    rate_ratio: float | None = Field(default=None, gt=0)
    controls: StoredInt = Field(default=CONTROLS, ge=0)
    layer_rates: str | None = None
    trial_timeout_s: float = Field(default=TRIAL_TIMEOUT_S, gt=0)


class QuantisationConfig(StrictModel):
    """How students become 8-bit files.

    Attributes:
        calibration: how the ranges of activations are found; "auto" is min-max for candidates, and
            for the best student whatever is best on validation.
        qat: train the best student again with simulated rounding; "auto" does so when the int8
            file loses more than 0.5 points of validation accuracy without.
    """

    calibration: CalibrationChoice = "auto"
    qat: QatMode = "auto"


class MethodConfig(BaseModel):
    """One `[[distill]]` table: a registered method and its options (`hwkd methods show NAME`).

    Its options are checked when the search starts, by the method itself.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    method: str


class SchemeConfig(BaseModel):
    """The `[scheme]` table: a registered scheme and its options (`hwkd schemes show NAME`)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    scheme: str


class SearchConfig(StrictModel):
    """One search.

    Attributes:
        device: catalogue name or path of a TOML file.
        runtime: overrides the device's default runtime.
        data: path of the user's data; None is the data set that the task ships.
        search_input: candidates also choose how they see their picture: pooled, grey, as a signal.
        search_features: candidates also choose the setting of their features.
        reading: how data becomes examples.
        spaces: registered names or paths of the user's files; none where nothing is sampled.
        code: SHA-256 of the user's Python files, by their entry in `spaces` or `teacher.sources`.
        trials: students to train, rejected and repeated candidates do not count; None leaves it to
            what else ends the search, and is 40 without anything.
        candidates: to sample at most, rejected and repeated ones included; None is 25 for each
            training wanted.
        sampler: registered name of what proposes candidates.
        timeout_s: bound on the whole command, from its first line to its last file.
        workers: separate processes of the search on its machine; 0 leaves candidates to others.
        train_best: distill the best student at full length and test it.
        verify_best: run its C on the device's core, emulated.
        distill: methods that students learn by, combined; empty leaves the choice to the data
            (`hwkd.distill.defaults`), the single method "none" is labels alone.
        scheme: by which a student is trained in place of methods.
        robustness: attack on full trainings, as `pgd:eps=0.1`; None attacks none.
    """

    schema_version: Literal[1] = 1
    device: str
    runtime: str | None = None
    clock_hz: float | None = Field(default=None, gt=0)
    task: str = TASK
    data: str | None = None
    search_input: bool = False
    search_features: bool = False
    reading: Reading = AS_USUAL
    spaces: tuple[str, ...] = ()
    trials: StoredInt | None = Field(default=None, ge=1)
    candidates: StoredInt | None = Field(default=None, ge=1)
    sampler: str = SAMPLER
    timeout_s: float | None = Field(default=None, gt=0)
    seed: StoredInt = Field(default=0, ge=0, lt=2**63)
    workers: StoredInt = Field(default=1, ge=0)
    accelerator: Accelerator = "auto"
    train_best: bool = True
    verify_best: bool = False
    limits: LimitsConfig = LimitsConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    teacher: TeacherConfig = TeacherConfig()
    transfer: TransferConfig = TransferConfig()
    training: TrainingConfig = TrainingConfig()
    quantisation: QuantisationConfig = QuantisationConfig()
    distill: tuple[MethodConfig, ...] = ()
    scheme: SchemeConfig | None = None
    robustness: str | None = None
    code: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _reads_older_runs(cls, raw: Any) -> Any:
        """Put choices on data in their table, and make a method of two numbers of soft targets."""
        if isinstance(raw, dict) and isinstance(raw.get("reading", {}), dict):
            moved = {
                name: raw[name] for name in ("input_size", "layout", "features") if name in raw
            }
            kept = {name: value for name, value in raw.items() if name not in moved}
            raw = {**kept, "reading": {**kept.get("reading", {}), **moved}} if moved else raw
        training = raw.get("training") if isinstance(raw, dict) else None
        if not isinstance(training, dict) or "distill_weight" not in training:
            return raw
        kept = {n: v for n, v in training.items() if n not in ("distill_weight", "temperature")}
        share, temperature = training["distill_weight"], training.get("temperature", 2.0)
        if not _is_number(share) or not 0 <= share <= 1 or not _is_number(temperature):
            raise ValueError(
                f"training.distill_weight = {share!r} and temperature = {temperature!r}; "
                "expected a number from 0 to 1 and a number"
            )
        if not isinstance(raw.get("objective", {}), dict):
            raise ValueError("objective is no table")
        table = {"method": "kd", "temperature": temperature, "weight": share / max(1e-6, 1 - share)}
        objective = {**raw.get("objective", {}), "temperature": temperature}
        distill = [table if share > 0 else {"method": "none"}]
        return {**raw, "training": kept, "distill": distill, "objective": objective}

    def in_setting(self, features: str | None) -> SearchConfig:
        """Return the configuration by which students of one setting are trained.

        Args:
            features: of a student (`StudentSpec.features`); None where there is one for all.
        """
        if features is None:
            return self
        reading = self.reading.model_copy(update={"features": features})
        return self.model_copy(update={"reading": reading})

    @property
    def processes(self) -> int:
        """How many trainings may run side by side on this machine."""
        return max(1, self.workers)

    @property
    def most_candidates(self) -> int | None:
        """How many candidates are sampled; None when time alone ends the search."""
        trials = self.most_trials
        return self.candidates or (None if trials is None else _CANDIDATES_PER_TRIAL * trials)

    @property
    def most_trials(self) -> int | None:
        """How many candidates are trained; None when something else ends the search."""
        ends_otherwise = self.timeout_s is not None or self.candidates is not None
        return self.trials or (None if ends_otherwise else _TRIALS)

    def to_toml(self) -> str:
        """Return the configuration as TOML; absent options are left out."""
        content = self.model_dump(mode="json", exclude_none=True)
        if not self.code:
            del content["code"]
        return tomli_w.dumps(content)

    @classmethod
    def from_toml(cls, path: Path) -> SearchConfig:
        """Read a configuration file.

        Raises:
            ConfigError: if it is unreadable or a field is unknown, mistyped or out of range.
        """
        try:
            raw = read_toml(path)
        except MalformedTextError as error:
            raise ConfigError(f"{path}: cannot read it as TOML: {error}") from None
        return cls.checked(raw, where=str(path))

    @classmethod
    def checked(cls, raw: dict[str, Any], *, where: str) -> SearchConfig:
        """Validate plain data; the first problem becomes one `ConfigError` line."""
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            problem = first_problem(error, whole="configuration", with_input=True)
            raise ConfigError(f"{where}: {problem}") from None


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
