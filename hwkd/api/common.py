"""Options that several functions share, each with its one help; the default is the function's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from hwkd.api.option import Here, Option
from hwkd.core.choices import (
    Accelerator,
    Arrays,
    CalibrationChoice,
    ClassWeights,
    Dtype,
    KernelsChoice,
    QatMode,
    Risk,
    RoundingChoice,
    TeacherSees,
    Tracker,
)
from hwkd.core.teacher_input import TEACHER_FILES
from hwkd.core.units import Duration

WHAT = "Device, data and teacher"
FIT = "What must fit"
JUDGE = "How to judge and train"
RUN = "How to run"
MANY = "On several machines"

DeviceOption: TypeAlias = Annotated[
    str, Option("Device name (see `hwkd devices list`) or your own .toml file.", panel=WHAT)
]
RuntimeOption: TypeAlias = Annotated[
    str | None, Option("Runtime on the device. Default: the device's.", panel=WHAT)
]
ClockOption: TypeAlias = Annotated[
    str | None, Option("Clock, as 216MHz. Default: the device's.", panel=WHAT, amount="216MHz")
]
DtypeOption: TypeAlias = Annotated[Dtype, Option("Number type of the network.", panel=WHAT)]
TaskOption: TypeAlias = Annotated[
    str, Option("What is learned (see `hwkd tasks list`).", panel=WHAT)
]
DataOption: TypeAlias = Annotated[
    str | Path | Arrays | None,
    Option(
        "Folder of class folders (PNG, JPEG), folder of IDX files, NPZ, or CSV; what other tasks "
        "read, `hwkd tasks list` says.",
        panel=WHAT,
        opens="a folder of class folders or of IDX files, an .npz, or a .csv",
    ),
]
Metric: TypeAlias = Annotated[
    str | None,
    Option(
        "Metric of the task that comes first, as macro-f1: students are reported and, of classes, "
        "chosen by it (see `hwkd tasks list`). Default: the task's first.",
        panel=WHAT,
    ),
]
ClassWeightsOption: TypeAlias = Annotated[
    ClassWeights,
    Option(
        "balanced: every class weighs alike in training, however rare it is; auto: so for --metric "
        "balanced-accuracy, and rare ones weigh more for macro-f1.",
        panel=WHAT,
    ),
]
LabelOption: TypeAlias = Annotated[
    str | None,
    Option(
        "Column of a CSV file with the label, or one for each annotator, as anna,ben,carla. "
        "Default: the one called label, class, target or y, else the last.",
        panel=WHAT,
    ),
]
NormalOption: TypeAlias = Annotated[
    str | None,
    Option(
        "Label of normal examples, for anomaly detection. Default: 0, or a word as normal or ok.",
        panel=WHAT,
    ),
]
SplitOption: TypeAlias = Annotated[
    str | None,
    Option(
        "What tells splits of recordings apart: random (recordings), time (the last of each class "
        "is test) or group:COLUMN, as group:subject. Default: random.",
        panel=WHAT,
    ),
]
GroupOption: TypeAlias = Annotated[
    str | None,
    Option(
        "Column whose values no two splits share, as subject: short for --split group:COLUMN.",
        panel=WHAT,
    ),
]
RateOption: TypeAlias = Annotated[
    str | None,
    Option(
        "Samples per second of recordings. Default: from their time.", panel=WHAT, amount="50Hz"
    ),
]
WindowOption: TypeAlias = Annotated[
    Duration | None,
    Option("Length of a window of a recording. Default: 2s.", panel=WHAT, amount="2s"),
]
StrideOption: TypeAlias = Annotated[
    Duration | None,
    Option(
        "Time from the beginning of one window to that of the next. Default: half a window.",
        panel=WHAT,
        amount="1s",
    ),
]
WordsOption: TypeAlias = Annotated[
    str | None,
    Option(
        "Words to learn, of a folder with more, as yes,no: the others become unknown, and "
        "_background_noise_ silence. Default: all words.",
        panel=WHAT,
    ),
]
FalseAlarms: TypeAlias = Annotated[
    str | None,
    Option(
        "Share of normal examples that may be called anomalies, or of clips without a word taken "
        "for one; the threshold is chosen for it on validation. Default: 1%.",
        panel=WHAT,
        amount="0.1%",
    ),
]
MaxFalseAccepts: TypeAlias = Annotated[
    str | None,
    Option(
        "How often a wake word may be heard in an hour of audio without it; threshold and "
        "smoothing are chosen for it on validation. Default: 0.5/h.",
        panel=WHAT,
        amount="0.5/h",
    ),
]
FeaturesOption: TypeAlias = Annotated[
    str | None,
    Option(
        "What is computed from raw signals before the network and exported with it, with settings, "
        "as log-mel:bins=40,window=30ms. Default: what the task takes.",
        panel=WHAT,
    ),
]
TeachersOption: TypeAlias = Annotated[
    Sequence[str],
    Option(
        "model.onnx, a run or a student's folder, answers.safetensors of `hwkd answers`, "
        "labels.npz with y_soft_train of annotators or a table whose --label names theirs, "
        "config.json of a text classifier of transformers, a .toml file that says how to read "
        "somebody's detector, or package.module:factory; repeat to average the answers of several.",
        flag="teacher",
        panel=WHAT,
        opens="an ONNX file, a file of answers, the adapter of a detector (.toml) or "
        "package.module:factory",
        suffix=TEACHER_FILES,
    ),
]
TeacherWeights: TypeAlias = Annotated[
    Sequence[str | Path],
    Option(
        "Safetensors file for a factory; of several factories one each, in their order.",
        panel=WHAT,
        opens="a safetensors file",
    ),
]
TeacherInputs: TypeAlias = Annotated[
    Sequence[str],
    Option(
        "What your teacher expects: raw, bytes (0..255), unit (0..1), signed (-1..1), imagenet, or "
        "mean=..,std=..; of several teachers one each, in their order. Default: normalised, as "
        "students see it.",
        flag="teacher-input",
        panel=WHAT,
    ),
]
TeacherClassesOption: TypeAlias = Annotated[
    Sequence[str],
    Option(
        "Names of your teacher's outputs in their order, as apple,pear, where its classes are not "
        "those of the data; of several teachers one each, same for the data's. Default: the "
        "data's, and of a run's student its own.",
        flag="teacher-classes",
        panel=WHAT,
    ),
]
AcceleratorOption: TypeAlias = Annotated[
    Accelerator, Option("Where networks are trained.", panel=RUN)
]
MaxLatency: TypeAlias = Annotated[
    Duration | None, Option("Longest time of one answer, as 20ms.", panel=FIT, amount="20ms")
]
MaxRam: TypeAlias = Annotated[
    str | None,
    Option("Most RAM at any moment, as 128KiB. Default: the device's.", panel=FIT, amount="128KiB"),
]
MaxFlash: TypeAlias = Annotated[
    str | None,
    Option(
        "Most flash for weights and the runtime's code, as 256KiB. Default: the device's.",
        panel=FIT,
        amount="256KiB",
    ),
]
MaxWeights: TypeAlias = Annotated[
    str | None, Option("Most flash for weights alone, as 20kB.", panel=FIT, amount="20kB")
]
MaxEnergy: TypeAlias = Annotated[
    str | None, Option("Most energy of one answer, as 1mJ.", panel=FIT, amount="1mJ")
]
RiskOption: TypeAlias = Annotated[
    Risk,
    Option("Which end of the 90% latency interval must stay inside --max-latency.", panel=FIT),
]
Methods: TypeAlias = Annotated[
    Sequence[str | Mapping[str, Any]],
    Option(
        "How students learn from the teacher, as kd:temperature=4,weight=0.9; repeat to "
        "combine, none for labels alone (see `hwkd methods list`). Default: kd at temperature 2, "
        "or what suits a saturated teacher.",
        flag="method",
        tables="distill",
        panel=JUDGE,
    ),
]
LayerRatesOption: TypeAlias = Annotated[
    str | None,
    Option(
        "Learning rates by depth: decay=0.8 multiplies that of each stage by so much of the one "
        "behind it, from the head to the stem; 1=0.1,2=0.5,head=1 names stages."
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
        "How the C rounds. float equals ONNX Runtime, q31 needs no FPU, tflite is TFLM's; auto: "
        "float with "
        "an FPU, else q31; q31 with --kernels cmsis-nn."
    ),
]
KernelsOption: TypeAlias = Annotated[
    KernelsChoice, Option("Whose kernels the C has: our own, or Arm's CMSIS-NN.")
]
PatchOption: TypeAlias = Annotated[
    str | None,
    Option(
        "Run the first layers of the C patch by patch, as 2x2: less RAM, more time. It must divide "
        "the output of one of them.",
    ),
]
StreamingOption: TypeAlias = Annotated[
    bool,
    Option(
        "Let the C take a signal frame by frame and compute new columns alone: of students that "
        "pad nothing over time, as those of --space streaming."
    ),
]
Database: TypeAlias = Annotated[
    str, Option("Database that holds the run, as postgresql://user@host/name.", panel=MANY)
]
StorageOption: TypeAlias = Annotated[
    Database | None,
    Here(
        "Default: what the run folder says; a run folder that is not there is made from the "
        "database."
    ),
]
StudyName: TypeAlias = Annotated[str, Option("Name of the run in the database.", panel=MANY)]
StudyOption: TypeAlias = Annotated[StudyName | None, Here("Default: that of the run folder.")]
Trust: TypeAlias = Annotated[
    bool, Option("Run the Python files (spaces, teacher) that the run recorded.", panel=RUN)
]
StoredStudent: TypeAlias = Annotated[
    str, Option("RUN (its best), RUN:TRIAL, a student's folder or student.json.")
]
TeacherSeesOption: TypeAlias = Annotated[
    TeacherSees | None,
    Option(
        "samples: a signal before any features. paired: arrays teacher_x_train and so on that lie "
        "beside x_train in an NPZ file: another sensor, more channels, a finer picture.",
        panel=WHAT,
    ),
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
SchemeOption: TypeAlias = Annotated[
    str | None,
    Option(
        "Whole scheme in place of methods, as dml:peers=4 or netaug (see `hwkd schemes list`).",
        panel=JUDGE,
    ),
]
CalibrationOption: TypeAlias = Annotated[
    CalibrationChoice, Option("How int8 ranges are found.", panel=JUDGE)
]
ControlsOption: TypeAlias = Annotated[
    int,
    Option(
        "Seeds over which the best student is trained with the teacher and without (labels, "
        "smoothed labels, the transform alone), to show what distillation gained; the best on "
        "validation ships. 0: train it once.",
        minimum=0,
        panel=JUDGE,
    ),
]
TrialsOption: TypeAlias = Annotated[
    int | None,
    Option("Students to train; rejected and repeated ones do not count.", minimum=1, panel=RUN),
]
WorkersOption: TypeAlias = Annotated[
    int | None, Option("Processes on this machine.", minimum=1, panel=RUN)
]
TimeoutOption: TypeAlias = Annotated[
    Duration | None,
    Option("Longest time of the whole command, as 10min.", panel=RUN, amount="10min"),
]
SeedOption: TypeAlias = Annotated[
    int,
    Option(
        "First seed. Same seed and one worker: same trainings, same result.", minimum=0, panel=RUN
    ),
]
TrackOption: TypeAlias = Annotated[
    Sequence[Tracker],
    Option(
        "Tell an experiment tracker every candidate and the scores at the end, too; repeat for "
        "several. Files lie in the folder of the result, unless MLFLOW_TRACKING_URI or the "
        "settings of wandb name a server.",
        panel=RUN,
    ),
]
OutOption: TypeAlias = Annotated[str | Path, Option("Folder to create.", panel=RUN)]
ForceOption: TypeAlias = Annotated[bool, Option("Replace what is there.")]
RunFolder: TypeAlias = Annotated[str | Path, Option("Run folder of `hwkd search`.", metavar="RUN")]
RunPlace: TypeAlias = Annotated[
    str, Option("Run folder, or URL of the database with --study.", metavar="RUN|URL")
]
