"""Ten spoken digits of voices never heard, learned from synthetic ones alone, in int8.

python -m benchmarks.accuracy.speech [--data DIGITS] [--timeout 30min | --trials N | --quick]
       [--full-epochs N] [--labels-alone] [--taught] [--seed 0] [--seeds 1]

Data comes from `tools.make_task_data keyword`; an existing folder of it is not made again. The
search keeps to the task's budget of weights, 50 kB. Of several seeds, medians are judged, and what
a teacher gained over the control that was best on validation, on all voices of the test. With
--taught the teacher is an embedding of speech (`tools.speech_teacher`), else one that is trained
here; its head hears the voices that students hear.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import hwkd
from benchmarks.lib.effort import add_effort, effort_of
from benchmarks.lib.verdict import Target, report
from tools.make_task_data import make_task_data
from tools.speech_teacher import as_teacher, make_speech_teacher

# The real voice has ten recordings: differences under .1 are noise.
WANTED = {"piper_joe": 0.95, "flite_slt": 0.70, "real_allison": 0.65}
_GAIN, WANTED_GAIN = "gain of the teacher over the best control", 0.03


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    add_effort(parser)
    parser.add_argument("--taught", action="store_true", help="teach by an embedding of speech")
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = arguments.data or make_task_data("keyword", folder / "digits")
        seeds = range(arguments.seed, arguments.seed + arguments.seeds)
        effort = effort_of(arguments)
        if arguments.taught:
            make_speech_teacher(data, folder / "speech.onnx")
            effort |= as_teacher(folder / "speech.onnx")
        found = [_searched(data, folder / f"run{seed}", seed, effort) for seed in seeds]
    targets = [
        Target(
            f"{voice}, digits said by it alone in the test",
            statistics.median(each[voice] for each in found),
            wanted,
            at_least=True,
        )
        for voice, wanted in WANTED.items()
    ]
    gains = [each[_GAIN] for each in found if _GAIN in each]
    if gains:
        targets.append(Target(_GAIN, statistics.mean(gains), WANTED_GAIN, at_least=True))
    return report(targets, {"seeds": dict(zip(map(str, seeds), found, strict=True))})


def _searched(data: Path, out: Path, seed: int, effort: dict[str, Any]) -> dict[str, float]:
    """Return accuracies in int8 by voice, of all, and what a teacher gained, if there was one."""
    made = hwkd.search(
        "cortex-m4", task="keyword", data=data, seed=seed, workers=1, out=out, **effort
    )
    if made.best is None:
        raise RuntimeError(f"seed {seed}: no student was found")
    found = {
        voice: hwkd.evaluate(out, data=data / "_tests" / voice).scores["accuracy"]
        for voice in WANTED
    }
    verdict = made.best.verdict
    found |= {arm.name: statistics.mean(arm.test_int8) for arm in verdict.arms}
    if verdict.gain is not None and verdict.is_taught:
        found[_GAIN] = verdict.gain.mean
    print(f"seed {seed}: " + ", ".join(f"{name} {value:.4f}" for name, value in found.items()))
    return found


if __name__ == "__main__":
    raise SystemExit(main())
