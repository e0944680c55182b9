"""A wake word of voices never heard, among sentences and sound-alikes, in int8.

python -m benchmarks.accuracy.wake_word [--data HEY] [--timeout 30min | --trials N | --quick]
       [--full-epochs N] [--labels-alone] [--taught] [--seed 0]

Data comes from `tools.make_task_data wake-word`; an existing folder of it is not made again. The
search keeps to the task's budget of weights, 20 kB; threshold and smoothing are chosen on two
voices, and what is judged is two others in two hours of audio. With --taught an embedding of speech
(`tools.speech_teacher`) teaches, whose head hears the same voices as the students: 9 GB of memory.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import hwkd
from benchmarks.lib.effort import add_effort, effort_of
from benchmarks.lib.verdict import Target, report
from hwkd.core.reading import Reading
from tools.make_task_data import make_task_data
from tools.speech_teacher import as_teacher, make_speech_teacher

_WINDOW_S = 1.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    add_effort(parser)
    parser.add_argument("--taught", action="store_true", help="teach by an embedding of speech")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or make_task_data("wake-word", Path(folder) / "hey")
        effort = effort_of(arguments)
        if arguments.taught:
            file = Path(folder) / "speech.onnx"
            make_speech_teacher(data, file, task="wake-word", reading=Reading(window_s=_WINDOW_S))
            effort |= as_teacher(file)
        found = hwkd.search(
            "cortex-m4", task="wake-word", data=data, window=f"{_WINDOW_S}s",
            max_false_accepts="0.5/h", seed=arguments.seed, workers=1,
            out=Path(folder) / "run", **effort,
        )  # fmt: skip
        if found.best is None or found.best.scores.test_int8 is None:
            raise RuntimeError("no student was tested")
        scores = found.best.scores.test_int8
        arms = {arm.name: statistics.mean(arm.test_int8) for arm in found.best.verdict.arms}
    return report(
        [
            Target("'hey computer' missed, voices never heard", scores["false rejects"], 0.10),
            Target(
                "heard falsely in an hour of them",
                scores["false accepts"],
                0.5,
                scale=1.0,
                unit=" an hour",
            ),
        ],
        {"ways of training": arms},
    )


if __name__ == "__main__":
    raise SystemExit(main())
