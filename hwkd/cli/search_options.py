"""The options of `hwkd search`, grouped as `--help` shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

_WHAT = "What to search"
_FIT = "What must fit"
_JUDGE = "How to judge and train"
_RUN = "How to run"

DeviceName: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Device name (see `hwkd devices list`) or TOML file.", rich_help_panel=_WHAT),
]
RuntimeName: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Runtime on the device, if not its default.", rich_help_panel=_WHAT),
]
Clock: TypeAlias = Annotated[
    str | None, typer.Option(help="Clock, if not the device's, as 216MHz.", rich_help_panel=_WHAT)
]
TaskName: TypeAlias = Annotated[str, typer.Option(help="Task.", rich_help_panel=_WHAT)]
DataPath: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Folder of class folders (PNG, JPEG), folder of IDX files, or NPZ. Without "
        "it: the handwritten digits of scikit-learn.",
        rich_help_panel=_WHAT,
    ),
]
InputSize: TypeAlias = Annotated[
    str | None, typer.Option(help="Resize images to HEIGHTxWIDTH, as 32x32.", rich_help_panel=_WHAT)
]
LayoutOption: TypeAlias = Annotated[
    Literal["auto", "nhw", "nhwc", "nchw", "nct", "ntc"],
    typer.Option(
        help="Order of the axes of an NPZ file's arrays; auto reads it from the shape.",
        rich_help_panel=_WHAT,
    ),
]
TeacherSource: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="model.onnx, or package.module:factory. Without it one is trained on the data "
        "and cached.",
        rich_help_panel=_WHAT,
    ),
]
TeacherWeights: TypeAlias = Annotated[
    Path | None, typer.Option(help="Safetensors file for a factory.", rich_help_panel=_WHAT)
]
TeacherTime: TypeAlias = Annotated[
    str | None, typer.Option(help="Bound on training a teacher, as 5min.", rich_help_panel=_WHAT)
]
Spaces: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        help="Search space (see `hwkd spaces list`) or your own .py file; may be repeated. "
        "Without it: all registered spaces.",
        rich_help_panel=_WHAT,
    ),
]
MaxLatency: TypeAlias = Annotated[
    str | None, typer.Option(help="One inference, as 20ms.", rich_help_panel=_FIT)
]
MaxRam: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Peak RAM, as 128KiB. Default: the device's.", rich_help_panel=_FIT),
]
MaxFlash: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Weights and the runtime's code, as 256KiB. Default: the device's.",
        rich_help_panel=_FIT,
    ),
]
MaxWeights: TypeAlias = Annotated[
    str | None, typer.Option(help="Weights alone, as 20kB.", rich_help_panel=_FIT)
]
MaxEnergy: TypeAlias = Annotated[
    str | None, typer.Option(help="One inference, as 1mJ.", rich_help_panel=_FIT)
]
RiskOption: TypeAlias = Annotated[
    Literal["upper", "expected", "lower"],
    typer.Option(
        help="End of the 90% latency interval that must stay inside --max-latency.",
        rich_help_panel=_FIT,
    ),
]
Objective: TypeAlias = Annotated[
    Literal["weighted", "pareto"],
    typer.Option(
        help="weighted: alpha*error + beta*KD + gamma*overrun. pareto: error, latency, "
        "peak RAM and flash at once.",
        rich_help_panel=_JUDGE,
    ),
]
Alpha: TypeAlias = Annotated[
    float, typer.Option(help="Weight of the int8 validation error.", min=0, rich_help_panel=_JUDGE)
]
Beta: TypeAlias = Annotated[
    float,
    typer.Option(
        help="Weight of the divergence from the teacher, per nat.", min=0, rich_help_panel=_JUDGE
    ),
]
Gamma: TypeAlias = Annotated[
    float,
    typer.Option(help="Weight of max(0, latency / target - 1).", min=0, rich_help_panel=_JUDGE),
]
TargetLatency: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Target of the overrun. Default: --max-latency, else the device's.",
        rich_help_panel=_JUDGE,
    ),
]
Methods: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        help="What students learn by beside the labels, as kd:temperature=4,weight=0.9; repeat to "
        "combine, none for labels alone (see `hwkd methods list`). Default: kd at temperature 2, "
        "or what suits a saturated teacher.",
        rich_help_panel=_JUDGE,
    ),
]
CalibrationOption: TypeAlias = Annotated[
    Literal["auto", "minmax", "percentile", "mse"],
    typer.Option(
        help="How int8 ranges are found. auto: min-max; for the best student whatever is best on "
        "validation.",
        rich_help_panel=_JUDGE,
    ),
]
Qat: TypeAlias = Annotated[
    Literal["auto", "on", "off"],
    typer.Option(
        help="Train the best student again with simulated int8 rounding. auto: when int8 loses "
        "more than 0.5 points of validation accuracy.",
        rich_help_panel=_JUDGE,
    ),
]
BriefEpochs: TypeAlias = Annotated[
    int | None,
    typer.Option(
        help="For each candidate. Default: from the size of the data.",
        min=1,
        rich_help_panel=_JUDGE,
    ),
]
FullEpochs: TypeAlias = Annotated[
    int | None,
    typer.Option(
        help="For the best student. Default: from the size of the data.",
        min=1,
        rich_help_panel=_JUDGE,
    ),
]
Controls: TypeAlias = Annotated[
    int,
    typer.Option(
        help="Seeds over which the best student is trained with the teacher and without (labels, "
        "smoothed labels, the transform alone), to show what distillation gained; the best on "
        "validation ships. 0: train it once.",
        min=0,
        rich_help_panel=_JUDGE,
    ),
]
Final: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--final/--no-final",
        help="Train the best student in full and test it.",
        rich_help_panel=_JUDGE,
    ),
]
Verify: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="Compile the best student's C for the device's Cortex-M core, run it emulated and "
        "compare it with ONNX Runtime; exit code 1 when it differs.",
        rich_help_panel=_JUDGE,
    ),
]
Trials: TypeAlias = Annotated[
    int | None,
    typer.Option(
        help="Students to train; rejected and repeated ones do not count. Default: 40, or as many "
        "as --timeout allows.",
        min=1,
        rich_help_panel=_RUN,
    ),
]
Sampler: TypeAlias = Annotated[
    Literal["surrogate", "tpe", "nsga2", "gp", "random"],
    typer.Option(
        help="What chooses candidates. surrogate: our own, which learns accuracy and computes the "
        "rest; the others are Optuna's.",
        rich_help_panel=_RUN,
    ),
]
Timeout: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Bound on the whole command, as 10min, from its first line to the report.",
        rich_help_panel=_RUN,
    ),
]
TrialTimeout: TypeAlias = Annotated[
    str,
    typer.Option(
        help="A candidate that trains longer is recorded as failed.", rich_help_panel=_RUN
    ),
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(
        help="Processes on one study. Default: one per core.", min=1, rich_help_panel=_RUN
    ),
]
AcceleratorOption: TypeAlias = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    typer.Option(help="Where networks are trained.", rich_help_panel=_RUN),
]
Seed: TypeAlias = Annotated[
    int,
    typer.Option(
        help="Same seed and one worker: same trials, same front.", min=0, rich_help_panel=_RUN
    ),
]
Out: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Run folder to create. Default: runs/DEVICE-DATE-TIME.", rich_help_panel=_RUN
    ),
]
Resume: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Go on with this run folder; only --trials, --timeout and --workers may be changed.",
        rich_help_panel=_RUN,
    ),
]
Trust: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="With --resume: run the Python files (spaces, teacher) that the run recorded.",
        rich_help_panel=_RUN,
    ),
]
AsJson: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON object at the end, nothing else.", rich_help_panel=_RUN
    ),
]
