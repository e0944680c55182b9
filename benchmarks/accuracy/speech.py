"""Ten spoken digits of voices never heard, learned from synthetic ones alone, in int8.

python -m benchmarks.accuracy.speech [--data DIGITS] [--timeout 30min | --trials N | --quick]
       [--full-epochs N] [--labels-alone] [--seed 0]

Data comes from `tools.make_task_data keyword`; an existing folder of it is not made again. The
search keeps to the task's budget of weights, 50 kB.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import hwkd
from benchmarks.lib.effort import add_effort, effort_of
from benchmarks.lib.verdict import Target, report
from tools.make_task_data import make_task_data

# The real voice has ten recordings: differences under .1 are noise.
WANTED = {"piper_joe": 0.95, "flite_slt": 0.70, "real_allison": 0.65}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    add_effort(parser)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or make_task_data("keyword", Path(folder) / "digits")
        out = Path(folder) / "run"
        hwkd.search(
            "cortex-m4", task="keyword", data=data, seed=arguments.seed, workers=1,
            out=out, **effort_of(arguments),
        )  # fmt: skip
        found = {
            voice: hwkd.evaluate(out, data=data / "_tests" / voice).scores["accuracy"]
            for voice in WANTED
        }
    return report(
        [
            Target(f"{voice}, digits said by it alone in the test", found[voice], wanted,
                   at_least=True)
            for voice, wanted in WANTED.items()
        ]
    )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
