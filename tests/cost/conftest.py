"""Lets tests read the published facts through `benchmarks`, which is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

# Last on the path: an installed hwkd wins over the checkout's.
sys.path.append(str(Path(__file__).parents[2]))
