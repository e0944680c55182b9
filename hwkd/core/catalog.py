"""The catalogues that one file each adds to; `hwkd.io.discovery` finds the files."""

from __future__ import annotations

from typing import Any

from hwkd.core.registry import Registry
from hwkd.core.student import SearchSpace

SEARCH_SPACES: Registry[SearchSpace] = Registry("search space")
# The types of what follows live in layers above core, so here they are open.
TASKS: Registry[Any] = Registry("task")
STEPS: Registry[Any] = Registry("preprocessing step")
FEATURES: Registry[Any] = Registry("features")
METHODS: Registry[Any] = Registry("method")
SCHEMES: Registry[Any] = Registry("scheme")
MAKERS: Registry[Any] = Registry("maker")
EXPORTERS: Registry[Any] = Registry("target")
BACKENDS: Registry[Any] = Registry("cost backend")
