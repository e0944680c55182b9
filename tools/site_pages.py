"""Pages of the documentation site that are made from the registries, the command line and the API.

usage: python -m tools.site_pages

`docs/conf.py` calls it before each build, so nothing in them is typed and nothing goes stale; the
folder, `docs/generated`, is not kept in the repository.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hwkd
from hwkd.api.devices import DeviceSummary
from hwkd.api.methods import MethodFacts
from hwkd.cli.app import COMMANDS
from hwkd.cli.help_page import Page
from hwkd.core.catalog import EXPORTERS, FEATURES
from hwkd.engine.search.proposer import PROPOSERS
from hwkd.io.discovery import discover
from tools.api_page import api_page
from tools.markdown import table
from tools.scheme_page import schemes_page
from tools.site_links import COPIES, GENERATED, ROOT, site_text

_METHODS = """# Every distillation method

After this page you know what each method compares, what it costs and what is known of its gain.
Made from the methods themselves; `hwkd methods show NAME` prints the same. What we measured of
them side by side: [what a teacher adds](../methods.md#did-the-teacher-help).

*Price* is what a method adds to one training step, in steps ({measured_on}).

"""
_DEVICES = """# Every device

After this page you know which chips hwkd has numbers for, and where each number comes from.
Made from the device files. For a board that is not here, `hwkd devices new my-board.toml`:
[devices of your own](../devices.md).

"""
_PARTS = """# Tasks, spaces, features, targets, samplers

After this page you know every name that `--task`, `--space`, `--features`, `--target` and
`--sampler` take.
Made from the registries; add one of your own in one file: [parts of your own](../extending.md).

"""
_COMMANDS = """# Every command

After this page you know every option of every command. Made from the program;
`hwkd COMMAND --help` prints the same.

"""


def write_pages() -> None:
    """Write the generated pages and the copies; a page that did not change is left untouched."""
    texts = {name: make() for name, make in PAGES.items()}
    for source, copy in COPIES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        texts[Path(copy).name] = site_text(text, source)
    folder = ROOT / GENERATED
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def methods_page() -> str:
    """Return the page of all methods, by family."""
    methods = sorted(hwkd.methods(), key=lambda facts: (facts.family, facts.name))
    lines = [_METHODS.format(measured_on=methods[0].measured_on)]
    for family in dict.fromkeys(facts.family for facts in methods):
        members = [facts for facts in methods if facts.family == family]
        lines += [f"## {family}\n", *_overview(members), ""]
        lines += [line for facts in members for line in _method(facts)]
    return "\n".join(lines)


def devices_page() -> str:
    """Return the page of all devices with the source of each number."""
    devices = hwkd.devices()
    rows = [
        (d.name, d.core, d.board, _hertz(d), _kib(d.sram_bytes), _kib(d.flash_bytes), d.costed_by)
        for d in devices
    ]
    head = ("device", "core", "board", "clock", "RAM", "flash", "numbers are")
    return _DEVICES + "\n".join(
        [*table(head, rows), "", *(line for d in devices for line in _device(d))]
    )


def parts_page() -> str:
    """Return the page of what else has names."""
    discover("hwkd.deploy.exporters")
    discover("hwkd.engine.search.proposers")
    discover("hwkd.signals.recipes")
    tasks = [
        (t.name, t.summary, ", ".join(metric.name for metric in t.metrics)) for t in hwkd.tasks()
    ]
    spaces = [(space.name, space.summary) for space in hwkd.spaces()]
    features = [(name, *_recipe(FEATURES.get(name))) for name in FEATURES]
    targets = [(name, EXPORTERS.get(name).summary) for name in EXPORTERS]
    lines = ["## Tasks\n", *table(("`--task`", "what is learned", "judged by"), tasks)]
    lines += ["\n## Search spaces\n", *table(("`--space`", "its students"), spaces)]
    lines += ["\n## Features of signals\n"]
    lines += table(("`--features`", "what is computed", "settings and defaults"), features)
    lines += ["\n## Export targets\n", *table(("name", "what is written"), targets)]
    lines += ["\n## Samplers\n", ", ".join(f"`{name}`" for name in PROPOSERS) + ": "]
    lines[-1] += "[how candidates are chosen](../sampler.md)."
    return _PARTS + "\n".join(lines) + "\n"


def commands_page() -> str:
    """Return the page of the command line."""
    return _COMMANDS + "\n".join(line for command in COMMANDS for line in _command(command.page))


def _command(page: Page) -> Iterator[str]:
    """Yield what `--help` says of a command."""
    yield f"## hwkd {page.name}\n"
    yield from (f"{text}\n" for text in page.paragraphs)
    yield from ("```text", page.usage, "```\n", "```bash", *page.examples, "```\n")
    for heading, rows in page.sections.items():
        yield from (
            f"**{heading}**\n",
            *table(("typed", "meaning"), [(f"`{w}`", m) for w, m in rows]),
            "",
        )


PAGES: Mapping[str, Callable[[], str]] = {
    "methods.md": methods_page,
    "schemes.md": schemes_page,
    "devices.md": devices_page,
    "parts.md": parts_page,
    "commands.md": commands_page,
    "python-api.md": api_page,
}


def _recipe(kind: Any) -> tuple[str, str]:
    settings = ", ".join(f"{field.name}={field.default}" for field in dataclasses.fields(kind))
    return (inspect.getdoc(kind) or "").split("\n")[0], settings


def _overview(methods: Sequence[MethodFacts]) -> list[str]:
    rows = [
        (f"[{f.name}](#{f.name.replace('_', '-')})", ", ".join(f.needs), _price(f)) for f in methods
    ]
    return table(("method", "needs", "price"), rows)


def _method(facts: MethodFacts) -> Iterator[str]:
    first, _, rest = facts.summary.partition("\n\n")
    yield f"({facts.name.replace('_', '-')})=\n### {facts.name}\n"
    yield f"{first}\n"
    if rest:
        yield f"{rest}\n"
    yield from table(
        ("", ""),
        [
            ("formula", f"`{facts.formula}`"),
            ("price", f"{_price(facts)} of a step"),
            ("evidence", facts.evidence),
            ("needs", ", ".join(facts.needs) + (", labels" if facts.needs_labels else "")),
            ("paper", facts.paper),
        ],
    )
    if facts.options:
        rows = [(o["name"], f"{o['default']}", o["allowed"], o["meaning"]) for o in facts.options]
        yield ""
        yield from table(("option", "default", "allowed", "meaning"), rows)
    yield ""


def _device(summary: DeviceSummary) -> Iterator[str]:
    device = hwkd.device(summary.name)
    yield f"## {device.name}\n"
    yield f"{device.description}. Runtimes: {', '.join(summary.runtimes)}.\n"
    rows = list(device.sources.items())
    if rows:
        yield from table(("number", "source"), rows)
    yield ""


def _price(facts: MethodFacts) -> str:
    return "not measured" if facts.cost_steps is None else f"{facts.cost_steps:.3f}"


def _hertz(summary: DeviceSummary) -> str:
    return "" if summary.clock_hz is None else f"{summary.clock_hz / 1e6:g} MHz"


def _kib(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f"{size_bytes / 1024:g} KiB"


if __name__ == "__main__":
    write_pages()
