"""Links of Markdown pages, as the documentation site needs them.

Pages link to files of the repository by path, so that they work where they lie. The site holds
`docs/` and copies of some other pages; links to anything else keep their text alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
GENERATED = "docs/generated"
# Page of the repository -> its copy on the site.
COPIES: Mapping[str, str] = {
    "CHANGELOG.md": f"{GENERATED}/changelog.md",
    "CONTRIBUTING.md": f"{GENERATED}/contributing.md",
    "SECURITY.md": f"{GENERATED}/reporting-a-hole.md",
    "benchmarks/README.md": f"{GENERATED}/benchmarks.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]\n]+)\]\(([^)\s]+)\)")


def site_text(text: str, page: str) -> str:
    """Return a page with its links as they are on the site.

    Args:
        text: the page.
        page: its path in the repository, for example "docs/numbers.md".
    """
    home = Path(COPIES.get(page, page)).parent

    def moved(link: re.Match[str]) -> str:
        words, target = link.groups()
        if re.match(r"\w+:|#", target):
            return link[0]
        path, _, anchor = target.partition("#")
        there = os.path.normpath(Path(page).parent / path)
        there = COPIES.get(there, there)
        if not (there.startswith("docs/") and Path(there).suffix):
            return words
        found = os.path.relpath(there, home)
        return f"[{words}]({found}{'#' + anchor if anchor else ''})"

    return _LINK.sub(moved, text)
