"""hwkd finds, distils, checks and hands over the best small neural network for a given chip.

`hwkd.search(...)` and `hwkd.resume(...)` are the command `hwkd search` for scripts and notebooks.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# ONNX Runtime's wheels for Linux and macOS carry a client that writes to the temporary folder and
# sends events to its maker. It starts when onnxruntime is imported and reads this variable once,
# so it is set before any module of ours can import it. Workers inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from hwkd.api import SearchOutcome, resume, search

__all__ = ["SearchOutcome", "__version__", "resume", "search"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import what is heavy when it is asked for; `import hwkd` alone stays light."""
    if name in __all__:
        from hwkd import api

        return getattr(api, name)
    raise AttributeError(f"module 'hwkd' has no attribute {name!r}")
