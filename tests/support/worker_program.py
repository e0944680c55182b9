"""`hwkd worker` with another training: `python worker_program.py TRAINING [FOLDER] -- OPTIONS`.

TRAINING is "stuck" (it does not end, and looks at no signal) or "deadly" (the network that FOLDER
names, which is the first one that a worker trains there, ends its process).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from hwkd.cli.app import main
from hwkd.engine.arms.evaluation import train_student
from hwkd.engine.search import shared_worker, trial_run


def stuck(*arguments: Any, **options: Any) -> Any:
    time.sleep(300)


def deadly(folder: Path, *arguments: Any, **options: Any) -> Any:
    victim, (layers, *_) = folder / "victim", arguments
    if not victim.exists():
        victim.write_text(layers.key)
    if victim.read_text() == layers.key:
        os.kill(os.getpid(), signal.SIGKILL)
    return train_student(*arguments, **options)


if __name__ == "__main__":
    split = sys.argv.index("--")
    training, *rest = sys.argv[1:split]
    shared_worker._FINISH_S, shared_worker._GONE_S = 0.5, 3.0  # for tests do not wait so long
    wanted = stuck if training == "stuck" else partial(deadly, Path(*rest))
    vars(trial_run)["train_student"] = wanted
    raise SystemExit(main(["worker", *sys.argv[split + 1 :]]))
