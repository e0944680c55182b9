"""Options that several functions share, each with its one help; the default is the function's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

from hwkd.api.option import Option
from hwkd.core.choices import Accelerator, QatMode

__all__ = [
    "FIT",
    "JUDGE",
    "RUN",
    "WHAT",
    "AcceleratorOption",
    "Methods",
    "Qat",
    "Trust",
    "Unlabelled",
]

WHAT = "What to search"
FIT = "What must fit"
JUDGE = "How to judge and train"
RUN = "How to run"

AcceleratorOption: TypeAlias = Annotated[
    Accelerator, Option("Where networks are trained.", panel=RUN)
]
Methods: TypeAlias = Annotated[
    Sequence[str],
    Option(
        "What students learn by beside the labels, as kd:temperature=4,weight=0.9; repeat to "
        "combine, none for labels alone (see `hwkd methods list`). Default: kd at temperature 2, "
        "or what suits a saturated teacher.",
        flag="method",
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
Trust: TypeAlias = Annotated[
    bool, Option("Run the Python files (spaces, teacher) that the run recorded.", panel=RUN)
]
Unlabelled: TypeAlias = Annotated[
    str | Path | None,
    Option(
        "More inputs, as a folder like --data (its labels are not read), .npy or .npz; the teacher "
        "labels them.",
        panel=WHAT,
    ),
]
