"""Where the trainings of an arm go on when they were killed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from hwkd.engine.arms.recipes import Arm
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.trainings import Training
from hwkd.train.checkpoint import Checkpoints, stage_file

_FOLDER = "checkpoints"


def checkpoint_of(folder: Path, stage: str) -> Path:
    """Return where the checkpoint of a stage of an order lies, in its folder."""
    return stage_file(folder / _FOLDER, stage)


def to_log(line: str) -> None:
    """Write a line to stderr, which is the log of a training in a process of its own."""
    sys.stderr.write(f"{line}\n")


def arm_checkpoints(
    folder: Path,
    context: SearchContext,
    training: Training,
    arm: Arm,
    *,
    key: str,
    say: Callable[[str], None],
) -> Checkpoints:
    """Return the checkpoints of an arm, named by everything that its result depends on.

    Args:
        folder: of the order.
        say: told in one line when a file cannot be used or written.
    """
    teacher, config = context.teacher, context.config
    identity = (
        key,
        arm.name,
        arm.described(),
        training.recipe,
        context.learned_from(arm.methods).transfer.fingerprint,
        None if teacher is None else teacher.identity,
        config.transfer,
        config.quantisation,
        context.accelerator.type,
    )
    return Checkpoints(folder / _FOLDER, identity=repr(identity), say=say)
