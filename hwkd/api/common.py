"""Options that several functions share, each with its one help; the default is the function's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from hwkd.api.option import Option
from hwkd.core.choices import Accelerator, KernelsChoice, QatMode, Risk, RoundingChoice

__all__ = [
    "DATA_FILES",
    "FIT",
    "JUDGE",
    "MANY",
    "RUN",
    "TEACHER_FILE",
    "WEIGHTS_FILE",
    "WHAT",
    "AcceleratorOption",
    "KernelsOption",
    "MaxEnergy",
    "MaxFlash",
    "MaxLatency",
    "MaxRam",
    "MaxWeights",
    "Methods",
    "Qat",
    "RiskOption",
    "RoundingOption",
    "StorageOption",
    "StudyOption",
    "Trust",
    "Unlabelled",
]

WHAT = "What to search"
FIT = "What must fit"
JUDGE = "How to judge and train"
RUN = "How to run"
MANY = "On several machines"

# What to give where nothing lies under a path.
DATA_FILES = "a folder of class folders or of IDX files, an .npz, or a .csv"
TEACHER_FILE = "an ONNX file or package.module:factory"
WEIGHTS_FILE = "a safetensors file"

AcceleratorOption: TypeAlias = Annotated[
    Accelerator, Option("Where networks are trained.", panel=RUN)
]
MaxLatency: TypeAlias = Annotated[str | None, Option("One inference, as 20ms.", panel=FIT)]
MaxRam: TypeAlias = Annotated[
    str | None, Option("Peak RAM, as 128KiB. Default: the device's.", panel=FIT)
]
MaxFlash: TypeAlias = Annotated[
    str | None,
    Option("Weights and the runtime's code, as 256KiB. Default: the device's.", panel=FIT),
]
MaxWeights: TypeAlias = Annotated[str | None, Option("Weights alone, as 20kB.", panel=FIT)]
MaxEnergy: TypeAlias = Annotated[str | None, Option("One inference, as 1mJ.", panel=FIT)]
RiskOption: TypeAlias = Annotated[
    Risk,
    Option("End of the 90% latency interval that must stay inside --max-latency.", panel=FIT),
]
Methods: TypeAlias = Annotated[
    Sequence[str | Mapping[str, Any]],
    Option(
        "What students learn by beside the labels, as kd:temperature=4,weight=0.9; repeat to "
        "combine, none for labels alone (see `hwkd methods list`). Default: kd at temperature 2, "
        "or what suits a saturated teacher.",
        flag="method",
        tables="distill",
        panel=JUDGE,
    ),
]
Qat: TypeAlias = Annotated[
    QatMode,
    Option(
        "Train on with simulated int8 rounding. auto: when int8 loses more than 0.5 points of "
        "validation accuracy.",
        panel=JUDGE,
    ),
]
RoundingOption: TypeAlias = Annotated[
    RoundingChoice,
    Option(
        "Of the C. float equals ONNX Runtime, q31 needs no FPU, tflite is TFLM's; auto: float with "
        "an FPU, else q31; q31 with --kernels cmsis-nn."
    ),
]
KernelsOption: TypeAlias = Annotated[KernelsChoice, Option("Of the C: our own, or Arm's CMSIS-NN.")]
StorageOption: TypeAlias = Annotated[
    str | None,
    Option(
        "Database that holds the run, as postgresql://user@host/name. Default: what the run folder "
        "says; a run folder that is not there is made from the database.",
        panel=MANY,
    ),
]
StudyOption: TypeAlias = Annotated[
    str | None,
    Option("Name of the run in the database. Default: that of the run folder.", panel=MANY),
]
Trust: TypeAlias = Annotated[
    bool, Option("Run the Python files (spaces, teacher) that the run recorded.", panel=RUN)
]
Unlabelled: TypeAlias = Annotated[
    str | Path | None,
    Option(
        "More inputs, as a folder like --data (its labels are not read), .npy or .npz; the teacher "
        "labels them.",
        panel=WHAT,
        opens="a folder, .npy or .npz",
    ),
]
