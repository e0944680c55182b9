"""Options that `hwkd.search` alone has, as types of its parameters."""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from hwkd.api.common import JUDGE, MANY, RUN, WHAT
from hwkd.api.option import Option
from hwkd.core.choices import Layout, ObjectiveMode
from hwkd.core.units import Duration

InputSizeOption: TypeAlias = Annotated[
    str | None,
    Option(
        "Resize images to HEIGHTxWIDTH, as 32x32; of texts, read so many bytes, as 1x512.",
        panel=WHAT,
    ),
]
SearchInputOption: TypeAlias = Annotated[
    bool,
    Option(
        "Candidates also choose how they see their picture: pooled by 2 or 4, in grey, a "
        "spectrogram as a signal.",
        panel=WHAT,
    ),
]
SearchFeaturesOption: TypeAlias = Annotated[
    bool,
    Option(
        "Candidates also choose the setting of their features, and are costed with it. log-mel, "
        "mfcc: all or half the bins; frames as given, without overlap, twice as long. imu: "
        "windows as given, half, twice as long; with and without magnitude. words: known words as "
        "given, half, a quarter, twice as many.",
        panel=WHAT,
    ),
]
LayoutOption: TypeAlias = Annotated[
    Layout,
    Option("Order of the axes of an NPZ file's arrays; auto reads it from the shape.", panel=WHAT),
]
TeacherTimeOption: TypeAlias = Annotated[
    Duration | None,
    Option("Longest time to train a teacher, as 5min.", panel=WHAT, amount="5min"),
]
SpacesOption: TypeAlias = Annotated[
    Sequence[str],
    Option(
        "Search space (see `hwkd spaces list`) or your own .py file; may be repeated. Without "
        "it: those of the task, else all that are registered.",
        flag="space",
        panel=WHAT,
        opens="a Python file or a registered name",
        suffix=".py",
    ),
]
ObjectiveOption: TypeAlias = Annotated[
    ObjectiveMode,
    Option(
        "weighted: alpha*error + beta*KD + gamma*overrun. pareto: error, latency, peak RAM and "
        "flash at once.",
        panel=JUDGE,
    ),
]
AlphaOption: TypeAlias = Annotated[
    float, Option("Weight of the int8 validation error.", minimum=0, panel=JUDGE)
]
BetaOption: TypeAlias = Annotated[
    float, Option("Weight of the divergence from the teacher, per nat.", minimum=0, panel=JUDGE)
]
GammaOption: TypeAlias = Annotated[
    float, Option("Weight of max(0, latency / target - 1).", minimum=0, panel=JUDGE)
]
TargetLatencyOption: TypeAlias = Annotated[
    Duration | None,
    Option(
        "Latency that --gamma counts from. Default: --max-latency, else the device's, or half of "
        "--stride where that is longer.",
        panel=JUDGE,
        amount="20ms",
    ),
]
MatchOption: TypeAlias = Annotated[
    bool,
    Option(
        "Search the spaces that suit the blocks of --teacher MODEL.onnx, in place of --space, "
        "and say which and why.",
        panel=WHAT,
    ),
]
BriefEpochsOption: TypeAlias = Annotated[
    int | None,
    Option(
        "Epochs for each candidate. Default: from the size of the data.",
        minimum=1,
        panel=JUDGE,
    ),
]
FullEpochsOption: TypeAlias = Annotated[
    int | None,
    Option(
        "Epochs for the best student. Default: from the size of the data.",
        minimum=1,
        panel=JUDGE,
    ),
]
FinalOption: TypeAlias = Annotated[
    bool, Option("Train the best student in full and test it.", panel=JUDGE)
]
VerifyOption: TypeAlias = Annotated[
    bool,
    Option(
        "Compile the best student's C for the device's Cortex-M core, run it emulated and "
        "compare it with ONNX Runtime; exit code 1 when it differs.",
        panel=JUDGE,
    ),
]
CandidatesOption: TypeAlias = Annotated[
    int | None,
    Option(
        "Candidates to sample at most, those counted that do not fit or repeat another. "
        "Default: 25 for each student to train, or as many as --timeout allows.",
        minimum=1,
        panel=RUN,
    ),
]
SamplerOption: TypeAlias = Annotated[
    str,
    Option(
        "What chooses candidates. surrogate: our own, which learns accuracy and computes the "
        "rest; tpe, nsga2, gp and random are Optuna's.",
        panel=RUN,
    ),
]
TrialTimeoutOption: TypeAlias = Annotated[
    Duration,
    Option("A candidate that trains longer is recorded as failed.", panel=RUN, amount="10min"),
]
ArtifactsOption: TypeAlias = Annotated[
    str | None,
    Option(
        "Where weights lie that other machines read: a folder that all reach, or a URL as "
        "s3://bucket/folder. Default: in the run folder.",
        panel=MANY,
    ),
]
