"""hwkd finds, distils, checks and hands over the best small neural network for a given chip."""

from __future__ import annotations

__version__ = "0.1.0"
