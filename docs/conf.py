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
html_static_path = ["_static"]
html_css_files = ["site.css"]
# Two dashes begin an option and are no long dash.
smartquotes = False
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
    app.connect("build-finished", _name_what_is_read_aloud)


def _move_links(app: Sphinx, docname: str, source: list[str]) -> None:
    """Links to files of the repository that are not on the site."""
    del app
    if not docname.startswith("generated/"):
        source[0] = site_text(source[0], f"docs/{docname}.md")


def _name_what_is_read_aloud(app: Sphinx, exception: Exception | None) -> None:
    """Say what the theme leaves out for readers by ear and by keyboard."""
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            for written, meant in _FOR_EAR_AND_KEYBOARD.items():
                text = text.replace(written, meant)
            page.write_text(text, encoding="utf-8")


_FOR_EAR_AND_KEYBOARD = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Contents">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="On this page">',
    '<aside class="toc-drawer no-toc">': '<aside class="toc-drawer no-toc" aria-label="No parts">',
    '<div id="search-results"></div>': '<h1>Search</h1>\n<div id="search-results"></div>',
    # A wide table is scrolled by arrow keys, too.
    '<div class="table-wrapper ': '<div tabindex="0" class="table-wrapper ',
    '<div class="highlight"><pre>': '<div class="highlight"><pre tabindex="0">',
    '<th class="head"><p></p></th>': "<td></td>",
    '<th class="head text-left"><p></p></th>': "<td></td>",
    '<th class="head text-right"><p></p></th>': "<td></td>",
}


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
