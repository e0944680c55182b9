"""Print the oldest version that pyproject.toml allows of each library, as constraints for pip.

usage: python -m tools.oldest_libraries [NAME ...] > oldest.txt

NAMES are extras, `dev` by default. What is marked for other systems is left out.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def oldest(extras: Sequence[str]) -> list[str]:
    """Return a line for each library with a lower bound.

    Args:
        extras: whose libraries are included.

    Raises:
        KeyError: of an extra that does not exist.
    """
    project = tomllib.loads(PROJECT.read_text())["project"]
    texts = list(project["dependencies"])
    for extra in extras:
        texts += project["optional-dependencies"][extra]
    lines = set()
    for requirement in map(Requirement, texts):
        if requirement.marker is None or requirement.marker.evaluate():
            bounds = (s for s in requirement.specifier if s.operator in (">=", "=="))
            lines |= {f"{requirement.name}=={bound.version}" for bound in bounds}
    return sorted(lines)


if __name__ == "__main__":
    sys.stdout.write("\n".join(oldest(sys.argv[1:] or ["dev"])) + "\n")
