"""How a user's data becomes examples: what may be said of it, and which task knows what to do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from hwkd.core.choices import ClassWeights, Layout
from hwkd.core.errors import ConfigError
from hwkd.core.pipeline_record import StepRecord
from hwkd.core.strict_model import StoredInt, StrictModel

# Where the word on the command line is not the field's name.
_FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "rate_hz": "rate", "window_s": "window", "stride_s": "stride",
        "false_alarms_ratio": "false-alarms", "max_false_accepts_per_hour": "max-false-accepts",
    }
)  # fmt: skip

# What a student brings that goes on; no task is asked whether it knows it.
_OF_A_STUDENT = ("scaling", "fitted", "raw_shape", "trained_rate_hz")


class Reading(StrictModel):
    """Choices on how data is read, split and judged; the defaults leave each to the task.

    Attributes:
        input_size: (height, width) that images are resized to; None keeps theirs.
        layout: order of the axes of an NPZ file's arrays; "auto" reads it from the shape.
        features: computed from raw signals, as `log-mel:bins=40`; None is what the task takes.
        metric: name of the metric that comes first; None is the task's.
        class_weights: "balanced" weighs every class alike in training, however rare, "auto" where
            the metric that comes first does, and for macro F1 by the root of its rarity.
        label: column or array with the label; None finds it by its name.
        normal: label of normal examples; None knows it by its name.
        false_alarms_ratio: share of normal examples that may be called anomalies.
        max_false_accepts_per_hour: of a wake word, in audio without it.
        split: "random", "time" or "group:COLUMN"; None is the task's.
        rate_hz: samples per second of recordings; None reads it from their time.
        window_s: length of a window that is one example, in seconds.
        stride_s: from the beginning of a window to the next; None is half a window.
        words: classes to learn of a folder with more; none learns all.
        scaling: step of a student that goes on with the data, in place of one fitted to it.
        fitted: likewise the steps before it, where they follow from examples.
        raw_shape: likewise the shape of raw inputs, which pictures are resized to.
        trained_rate_hz: likewise the samples per second of its raw inputs, which sounds are brought
            to unless `rate_hz` says another.
        half: of pairs in an NPZ file, "teacher" is the arrays `teacher_x_*`.
    """

    input_size: tuple[StoredInt, StoredInt] | None = None
    layout: Layout = "auto"
    features: str | None = None
    metric: str | None = None
    class_weights: ClassWeights = "auto"
    label: str | None = None
    normal: str | None = None
    false_alarms_ratio: float | None = Field(default=None, gt=0, lt=1)
    max_false_accepts_per_hour: float | None = Field(default=None, gt=0)
    split: str | None = None
    rate_hz: float | None = Field(default=None, gt=0)
    window_s: float | None = Field(default=None, gt=0)
    stride_s: float | None = Field(default=None, gt=0)
    words: tuple[str, ...] = ()
    scaling: StepRecord | None = None
    fitted: tuple[StepRecord, ...] = ()
    raw_shape: tuple[StoredInt, ...] = ()
    trained_rate_hz: float | None = Field(default=None, gt=0)
    half: Literal["student", "teacher"] = "student"

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) that was asked for or that the student takes; of a text (1, bytes)."""
        if self.input_size is None and len(self.raw_shape) > 1:
            return self.raw_shape[-2], self.raw_shape[-1]
        return self.input_size

    @property
    def sounds_hz(self) -> float | None:
        """Samples per second that sounds are brought to; None leaves it to the files."""
        return self.rate_hz or self.trained_rate_hz

    def require_known(self, known: Collection[str], *, task: str) -> None:
        """Refuse a choice that a task has no use for.

        Args:
            known: names of the fields that the task reads.
            task: its name.

        Raises:
            ConfigError: names the option.
        """
        usual = Reading()
        for name in type(self).model_fields:
            if name not in (*known, *_OF_A_STUDENT) and getattr(self, name) != getattr(usual, name):
                flag = _FLAGS.get(name, name.replace("_", "-"))
                raise ConfigError(f"--{flag} does not apply to {task}; leave it out")


AS_USUAL = Reading()
