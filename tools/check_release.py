"""Check that a tag, the version and the changelog agree before a release is built.

usage: python -m tools.check_release vX.Y.Z

Exit code 2 and one line for what does not: the tag is not the version of pyproject.toml,
CITATION.cff has another one, or CHANGELOG.md has no section of it with something in it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def fault_of(tag: str, root: Path = ROOT) -> str | None:
    """Return what stands against a release; None if nothing does.

    Args:
        tag: as `v0.2.0`.
        root: folder with pyproject.toml, CITATION.cff and CHANGELOG.md.
    """
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    if tag != f"v{version}":
        return f"the tag is {tag}, pyproject.toml says {version}; expected v{version}"
    if not re.search(
        rf"^version: {re.escape(version)}$", (root / "CITATION.cff").read_text(), re.M
    ):
        return f"CITATION.cff: expected `version: {version}`"
    changelog = (root / "CHANGELOG.md").read_text()
    section = re.search(
        rf"^## {re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.M | re.S
    )
    if section is None or not section[1].strip():
        return f"CHANGELOG.md: expected a section `## {version}` that says what changed"
    return None


def main() -> int:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    fault = fault_of(sys.argv[1])
    if fault is not None:
        sys.stderr.write(f"release: {fault}\n")
    return 2 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
