"""What happens once, before the first trial: data, feasibility, teacher, the teacher's logits.

The main process prepares and writes `prepared.json`; workers read it and load what it names.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from hwkd.core.errors import RunFolderError
from hwkd.core.progress import Progress, silent
from hwkd.core.run_files import TeacherRecord
from hwkd.engine.config import SearchConfig
from hwkd.engine.context import (
    SearchContext,
    accelerator_device,
    load_data,
    make_context,
    resolve_config,
    screen_of,
)
from hwkd.engine.feasibility import SpaceFeasibility, require_feasible, survey
from hwkd.engine.screening import Screen
from hwkd.engine.store import RunStore, write_text
from hwkd.tasks.base import Task, TaskData

__all__ = ["Prepared", "PreparedRecord", "load_context", "prepare_data", "prepare_teacher"]
