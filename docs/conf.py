"""The documentation site: `make docs` builds it from these pages, with every warning an error."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from sphinx.application import Sphinx  # noqa: E402

from hwkd import __version__  # noqa: E402
from tools.site_links import site_text  # noqa: E402
from tools.site_pages import write_pages  # noqa: E402

project = "hwkd"
project_copyright = author = "The hwkd contributors"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"hwkd {release}"
html_show_sourcelink = False
exclude_patterns = ["_build"]
# Anchors as repository hosts make them, so that a link works there and here.
myst_heading_anchors = 4
# Docstrings name code in single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
# Made by scikit-learn, with references to its own pages.
autodoc_default_options = {"exclude-members": "set_fit_request, set_score_request"}
napoleon_use_ivar = True


def setup(app: Sphinx) -> None:
    """Make the pages that are not typed, and mend what autodoc and the repository see otherwise."""
    app.connect("builder-inited", lambda _app: write_pages())
    app.connect("source-read", _move_links)
    app.connect("autodoc-before-process-signature", _leave_out_options)


def _move_links(app: Sphinx, docname: str, source: list[str]) -> None:
    """Links to files of the repository that are not on the site."""
    del app
    if not docname.startswith("generated/"):
        source[0] = site_text(source[0], f"docs/{docname}.md")


def _leave_out_options(app: Sphinx, called: Any, bound: bool) -> None:
    """A signature says types; what `--help` says of an option stands below it."""
    del app, bound
    if inspect.isfunction(called):
        signature = inspect.signature(called)
        plain = [
            each.replace(annotation=_plain(each.annotation))
            for each in signature.parameters.values()
        ]
        called.__signature__ = signature.replace(parameters=plain)  # type: ignore[attr-defined]


def _plain(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
