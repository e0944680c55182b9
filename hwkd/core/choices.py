"""What options can be, where an option, the configuration and the engine speak of the same choice.

Functions of `hwkd`, the command line and files of a run read these; nothing here is heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

# Data that a program has in memory: inputs and labels, or arrays by their names in an NPZ file.
Arrays: TypeAlias = tuple[Any, Any] | Mapping[str, Any]
Dtype: TypeAlias = Literal["int8", "float32"]
OutlierChoice: TypeAlias = Literal["refuse", "keep"]
FitKind: TypeAlias = Literal["auto", "scale", "full"]
Accelerator: TypeAlias = Literal["auto", "cpu", "cuda", "mps"]
CalibrationChoice: TypeAlias = Literal["auto", "minmax", "percentile", "mse"]
ClassWeights: TypeAlias = Literal["auto", "none", "balanced"]
ClusterSystem: TypeAlias = Literal["slurm", "k8s", "ray"]
KernelsChoice: TypeAlias = Literal["hwkd", "cmsis-nn"]
LimitName: TypeAlias = Literal["latency", "ram", "flash", "weights", "energy"]
Layout: TypeAlias = Literal["auto", "nf", "nhw", "nhwc", "nchw", "nct", "ntc"]
Tracker: TypeAlias = Literal["tensorboard", "mlflow", "wandb"]
ObjectiveMode: TypeAlias = Literal["weighted", "pareto"]
QatMode: TypeAlias = Literal["auto", "on", "off"]
Risk: TypeAlias = Literal["upper", "expected", "lower"]
TeacherSees: TypeAlias = Literal["students", "paired", "samples"]
RoundingChoice: TypeAlias = Literal["auto", "float", "q31", "tflite"]

# Weights of the objective: error (0 to 1), divergence from the teacher (about 0.05 to 0.5 nats,
# hence 0.1) and overrun of the target latency.
ALPHA: Final = 1.0
BETA: Final = 0.1
GAMMA: Final = 0.5

TASK: Final = "classify"
SAMPLER: Final = "surrogate"
# Seeds of the final student and its controls.
CONTROLS: Final = 1
TRIAL_TIMEOUT_S: Final = 600.0
