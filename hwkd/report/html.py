"""A report as one page that needs nothing but itself: no network, no file beside it.

plotly.js travels inside the page, gzipped and in base64 (2 MB instead of 5), and is unpacked by the
browser's own `DecompressionStream`. Everything except the charts is plain HTML, so the page says
the same without scripts, and the PNG stands in for the Pareto chart.
"""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path

from plotly.offline import get_plotlyjs

from hwkd.io.paths import written_atomically
from hwkd.report.document import (
    Basis,
    Block,
    Cell,
    Chart,
    Column,
    Facts,
    Headline,
    Note,
    Pictures,
    Report,
    Section,
    Table,
)
from hwkd.report.search_sections import front_table

_BARS_FULL = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Where a page of a run that goes on asks for its content.

    It asks for `address?known=VERSION`; the answer is empty while that version is the newest.

    Attributes:
        version: of the content that the page begins with.
        every_ms: between two questions.
    """

    address: str
    version: str
    every_ms: int


def write_html(report: Report, path: Path, *, picture: Path | None = None) -> None:
    """Write the page, whole or not at all.

    Args:
        picture: PNG of the Pareto front, shown where scripts do not run.
    """
    page = render_html(report, picture_png=picture.read_bytes() if picture else None)
    with written_atomically(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render_html(report: Report, *, picture_png: bytes | None = None) -> str:
    """Return the page as text."""
    return _page(report.title, _report_content(report, picture_png), kind=_kind(report))


def render_content(report: Report) -> str:
    """Return what changes of a page while its run goes on: heading, links and sections."""
    return _report_content(report, None)


def render_live(report: Report, content: str, live: Live) -> str:
    """Return a page that shows the content and asks now and then for a newer one."""
    return _page(report.title, content, kind=_kind(report), live=live)


def render_page(title: str, sections: Sequence[Section], *, kind: str) -> str:
    """Return a page of sections as text.

    Args:
        sections: in reading order.
        kind: stands small above the title: what kind of page it is.
    """
    return _page(title, _content(title, sections, kind=kind), kind=kind)


def _kind(report: Report) -> str:
    return f"hwkd {report.run.made_by}"


def _report_content(report: Report, picture_png: bytes | None) -> str:
    run = report.run
    caveats = (
        f'<p class="caveat-link"><a href="#caveats">{len(report.caveats)} caveats</a> '
        "to read before using a number</p>"
        if report.caveats
        else ""
    )
    facts = f"{run.created_at} · seed {run.seed} · hwkd {run.hwkd_version} · {run.status}"
    return _content(
        report.title,
        report.sections,
        kind=_kind(report),
        below=f'<p class="muted">{escape(facts)}</p>{caveats}',
        headlines=report.headlines,
        picture_png=picture_png,
    )


def _content(
    title: str,
    sections: Sequence[Section],
    *,
    kind: str,
    below: str = "",
    headlines: Sequence[Headline] = (),
    picture_png: bytes | None = None,
) -> str:
    """Return heading, links and sections.

    Args:
        below: HTML below the title.
        picture_png: shown for the chart of the section `front` where scripts do not run.
    """
    links = "".join(f'<a href="#{s.key}">{escape(s.title)}</a>' for s in sections)
    body = "".join(_section(section, picture_png) for section in sections)
    cards = "".join(_card(headline) for headline in headlines)
    return (
        f'<header><div><p class="kicker">{kind} report</p><h1>{escape(title)}</h1>{below}</div>'
        '<button id="theme" type="button" aria-label="Light or dark" title="Light or dark">◐'
        f'</button></header><nav aria-label="Sections">{links}</nav>'
        f'<main><div class="cards">{cards}</div>{body}</main>'
    )


def _page(title: str, content: str, *, kind: str, live: Live | None = None) -> str:
    asks = ""
    if live is not None:
        asks = (
            f' data-live="{escape(live.address)}" data-version="{escape(live.version)}"'
            f' data-every="{live.every_ms}"'
        )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}: {kind}</title><style>{_asset('page.css')}</style></head>"
        f'<body><div id="content"{asks}>{content}</div>'
        f'<script type="text/plain" id="plotly-gzip">{_plotly_gzip_base64()}</script>'
        f"<script>{_asset('page.js')}</script></body></html>\n"
    )


def render_summary(report: Report) -> str:
    """Return headline numbers and front without style sheet or script, for a cell of a notebook."""
    rows = "".join(
        f"<tr><th>{escape(line.label)}{_badge(line.basis)}</th><td>{escape(line.value)}</td>"
        f"<td>{escape(line.detail)}</td></tr>"
        for line in report.headlines
    )
    front = ""
    if report.front:
        front = _table(front_table(report.run, report.front, report.records, report.best))
    caveats = "".join(f"<li>{escape(line)}</li>" for line in report.caveats)
    return (
        f"<h3>{escape(report.title)} ({escape(report.run.status)})</h3><table>{rows}</table>{front}"
        f"<details><summary>{len(report.caveats)} caveats</summary><ul>{caveats}</ul></details>"
    )


def _section(section: Section, picture_png: bytes | None) -> str:
    parts = []
    for block in section.blocks:
        parts.append(_block(block))
        if isinstance(block, Chart) and block.views and section.key == "front" and picture_png:
            image = b64encode(picture_png).decode()
            parts.append(
                f'<noscript><img alt="Pareto front" src="data:image/png;base64,{image}"></noscript>'
            )
    return f'<section id="{section.key}"><h2>{escape(section.title)}</h2>{"".join(parts)}</section>'


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Chart):
        return _chart(block)
    if isinstance(block, Facts):
        return _facts(block)
    if isinstance(block, Pictures):
        return _pictures(block)
    return _note(block)


def _pictures(block: Pictures) -> str:
    figures = "".join(
        f'<figure><img src="data:image/png;base64,{escape(png)}" alt="{escape(line)}">'
        f"<figcaption>{escape(line)}</figcaption></figure>"
        for png, line in block.shown
    )
    note = f'<p class="note">{escape(block.note)}</p>' if block.note else ""
    colours = "".join(
        f'<li><i style="background:{escape(colour)}"></i>{escape(name)}</li>'
        for colour, name in block.legend
    )
    legend = f'<ul class="legend">{colours}</ul>' if colours else ""
    return f'<h3>{escape(block.title)}</h3>{legend}<div class="pictures">{figures}</div>{note}'


def _table(table: Table) -> str:
    head = _head(table)
    rows = "".join(
        f"<tr{' class=marked' if index in table.marked else ''}>"
        + "".join(_cell(cell, column) for cell, column in zip(row, table.columns, strict=True))
        + "</tr>"
        for index, row in enumerate(table.rows)
    )
    note = f'<p class="note">{_prose(table.note)}</p>' if table.note else ""
    body = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"
        f"</div>{note}"
    )
    title = escape(table.title)
    if table.is_long:
        return f"<details><summary>{title} ({len(table.rows)} rows)</summary>{body}</details>"
    return f"<h3>{title}</h3>{body}"


def _head(table: Table) -> str:
    if not any(column.under for column in table.columns):
        return f"<tr>{''.join(_heading(column) for column in table.columns)}</tr>"
    first, second = "", ""
    for columns in table.spans:
        shared = columns[0]
        if not shared.under:
            first += _heading(shared, ' rowspan="2"')
            continue
        first += (
            f'<th class="span" colspan="{len(columns)}" scope="colgroup">{escape(shared.under)}'
            f"{_badge(shared.basis)}</th>"
        )
        second += "".join(_heading(replace(column, basis=None)) for column in columns)
    return f"<tr>{first}</tr><tr>{second}</tr>"


def _heading(column: Column, rows: str = "") -> str:
    if not column.title and column.basis is None:
        return f"<td{rows}></td>"  # a corner, which heads nothing
    kind = ' class="number"' if column.is_number else ""
    return f"<th{kind}{rows}>{escape(column.title)}{_badge(column.basis)}</th>"


def _cell(cell: Cell, column: Column) -> str:
    kind = ' class="number"' if column.is_number else ""
    bar = ""
    if cell.bar_ratio is not None:
        width = min(_BARS_FULL, max(0.0, _BARS_FULL * cell.bar_ratio))
        bar = f'<i class="bar" style="width:{width:.1f}%"></i>'
    return f"<td{kind}>{bar}<span>{escape(cell.text)}</span></td>"


def _badge(basis: Basis) -> str:
    return "" if basis is None else f' <em class="badge {escape(basis)}">{escape(basis)}</em>'


def _chart(chart: Chart) -> str:
    buttons = "".join(
        f'<button type="button" data-view="{index}"{" class=active" if index == 0 else ""}>'
        f"{escape(view.label)}</button>"
        for index, view in enumerate(chart.views)
    )
    bar = f'<div class="views" role="group" aria-label="View">{buttons}</div>' if buttons else ""
    note = f'<p class="note">{_prose(chart.note)}</p>' if chart.note else ""
    payload = _script_json(
        {
            "figure": chart.figure,
            "views": [{"data": view.data, "layout": view.layout} for view in chart.views],
        }
    )
    height = chart.figure["layout"]["height"]
    return (
        f'<figure class="chart" id="chart-{chart.key}"><h3>{escape(chart.title)}</h3>{bar}'
        f'<div class="plot" style="min-height:{height}px"></div>{note}'
        f'<script type="application/json">{payload}</script></figure>'
    )


def _script_json(value: object) -> str:
    """Return JSON that cannot close its script element, whatever text is inside."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _facts(facts: Facts) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.rows)
    return f'<h3>{escape(facts.title)}</h3><dl class="facts">{rows}</dl>'


def _note(note: Note) -> str:
    kind = "warning" if note.is_warning else "hint"
    if len(note.lines) == 1:
        return f'<p class="callout {kind}">{_prose(note.lines[0])}</p>'
    items = "".join(f"<li>{_prose(line)}</li>" for line in note.lines)
    return f'<ul class="callout {kind}">{items}</ul>'


def _prose(text: str) -> str:
    """Return text as HTML, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _card(headline: Headline) -> str:
    meter = ""
    if headline.used_ratio is not None:
        over = " over" if headline.used_ratio > 1 else ""
        width = min(_BARS_FULL, _BARS_FULL * headline.used_ratio)
        meter = f'<div class="meter{over}"><i style="width:{width:.1f}%"></i></div>'
    return (
        f'<div class="card"><p class="label">{escape(headline.label)}'
        f'{_badge(headline.basis)}</p><p class="value">{escape(headline.value)}</p>{meter}'
        f'<p class="detail">{_prose(headline.detail)}</p></div>'
    )


def _asset(name: str) -> str:
    return files("hwkd.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _plotly_gzip_base64() -> str:
    # A fixed time stamp in the gzip header: the same report is the same page, byte for byte.
    return b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()
