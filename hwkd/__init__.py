"""hwkd finds, distills, checks and hands over the best small neural network for a given chip.

Every command is a function: `hwkd search` is `hwkd.search(...)`, see docs/python.md.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

# ONNX Runtime's wheels for Linux and macOS carry a client that writes to the temporary folder and
# sends events to its maker. It starts when onnxruntime is imported and reads this variable once,
# so it is set before any module of ours can import it. Workers inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from hwkd.api.answers import answers
    from hwkd.api.bench_kit import bench_kit
    from hwkd.api.calibrate import calibrate
    from hwkd.api.compare import compare
    from hwkd.api.config import config
    from hwkd.api.devices import device, devices, new_device, validate_devices
    from hwkd.api.distill import distill
    from hwkd.api.evaluate import evaluate
    from hwkd.api.export import export
    from hwkd.api.federated import federated_join, federated_serve
    from hwkd.api.finetune import finetune
    from hwkd.api.finish import finish
    from hwkd.api.generate import generate
    from hwkd.api.listen import listen
    from hwkd.api.methods import method, methods
    from hwkd.api.opened import open  # noqa: A004
    from hwkd.api.outcome import SearchOutcome
    from hwkd.api.profile import profile
    from hwkd.api.prune import prune
    from hwkd.api.report import report
    from hwkd.api.resume import resume
    from hwkd.api.schemes import scheme, schemes
    from hwkd.api.search import search
    from hwkd.api.serve import serve
    from hwkd.api.spaces import space, spaces
    from hwkd.api.submit import submit
    from hwkd.api.tasks import tasks
    from hwkd.api.verify import verify
    from hwkd.api.watch import watch
    from hwkd.api.worker import worker
    from hwkd.api.workers import workers
    from hwkd.core.errors import HwkdError
    from hwkd.engine.run.listener import SilentListener

__all__ = [
    "HwkdError",
    "SearchOutcome",
    "SilentListener",
    "__version__",
    "answers",
    "bench_kit",
    "calibrate",
    "compare",
    "config",
    "device",
    "devices",
    "distill",
    "evaluate",
    "export",
    "federated_join",
    "federated_serve",
    "finetune",
    "finish",
    "generate",
    "listen",
    "method",
    "methods",
    "new_device",
    "open",
    "profile",
    "prune",
    "report",
    "resume",
    "scheme",
    "schemes",
    "search",
    "serve",
    "space",
    "spaces",
    "submit",
    "tasks",
    "validate_devices",
    "verify",
    "watch",
    "worker",
    "workers",
]

__version__ = "0.2.0"

# Names whose module is not `hwkd.api.NAME`. Modules are imported when a name is asked for, so that
# `import hwkd` alone stays light.
_HOMES = {
    "federated_join": "hwkd.api.federated",
    "federated_serve": "hwkd.api.federated",
    "HwkdError": "hwkd.core.errors",
    "SearchOutcome": "hwkd.api.outcome",
    "SilentListener": "hwkd.engine.run.listener",
    "device": "hwkd.api.devices",
    "method": "hwkd.api.methods",
    "scheme": "hwkd.api.schemes",
    "schemes": "hwkd.api.schemes",
    "new_device": "hwkd.api.devices",
    "open": "hwkd.api.opened",
    "space": "hwkd.api.spaces",
    "validate_devices": "hwkd.api.devices",
}


class _Package(ModuleType):
    """The package; functions keep their names when packages of the same name are imported."""

    def __getattr__(self, name: str) -> Any:
        """Import what is asked for."""
        if name not in __all__:
            raise AttributeError(f"module 'hwkd' has no attribute {name!r}")
        found = getattr(import_module(_HOMES.get(name, f"hwkd.api.{name}")), name)
        setattr(self, name, found)
        return found

    def __dir__(self) -> list[str]:
        """Name what can be asked for, imported or not."""
        return sorted({*super().__dir__(), *__all__})

    def __setattr__(self, name: str, value: Any) -> None:
        """Leave out packages whose name is a function's: `hwkd.distill` is what users call.

        `from hwkd.distill import spec` finds the package all the same; `import hwkd.distill.spec as
        spec` would look at the attribute.
        """
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
