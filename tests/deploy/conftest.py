"""Makes the network builders of `benchmarks/` importable: tests and benchmarks share them."""

import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
for folder in (_ROOT / "benchmarks", Path(__file__).parent / "to_c"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
