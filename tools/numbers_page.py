"""Writes docs/numbers.md: every number that a benchmark reached, from `benchmarks/results/`.

usage: python -m tools.numbers_page [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.lib.results import Json, Reached, Result, read_results

_ROOT = Path(__file__).parents[1]
PAGE = _ROOT / "docs" / "numbers.md"

_HEAD = """# Numbers

After this page you know what each benchmark with a kept result reached, the missed targets
first, and which benchmarks have none.

Written by `make numbers` from `benchmarks/results/`; nothing here is typed. Every section is a
program; its command repeats it. `make numbers` runs the cheap ones again, the others are run by
hand on an idle machine. A commit with a `+` had changes beside it. What each one measures, and how,
stands in its first lines and in [benchmarks/README.md](../benchmarks/README.md).
"""
_MOST_ROWS = 40


def main(arguments: Sequence[str]) -> int:
    """Write the page; with --check only say whether it is up to date, as the exit code."""
    text = page(read_results())
    if "--check" in arguments:
        return int(not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


def page(results: Sequence[Result]) -> str:
    """Return the text of the page.

    Args:
        results: by name.
    """
    missed = [
        f"- `{result.name}`: {target.what}: {_shown(target)}, {_wanted(target)}"
        for result in results
        for target in result.targets
        if not target.is_met
    ]
    lines = [_HEAD, "## Targets that are missed\n", *(missed or ["None."])]
    absent = sorted(set(programs()) - {result.name for result in results})
    lines += ["\n## Programs without a kept result\n", _list(absent)]
    for result in results:
        lines += _section(result)
    return "\n".join(lines) + "\n"


def programs() -> tuple[str, ...]:
    """Return the names of the benchmarks, as their results are called."""
    files = (_ROOT / "benchmarks").glob("*/*.py")
    found = [path for path in files if path.parent.name != "lib" and path.stem != "__init__"]
    return tuple(
        f"{path.parent.name}.{path.stem}" for path in found if "def main(" in path.read_text()
    )


def _list(names: Sequence[str]) -> str:
    """Return them in a sentence; each is run by `python -m benchmarks.NAME`."""
    if not names:
        return "None."
    return ", ".join(f"`{name}`" for name in names) + ": run them by `python -m benchmarks.NAME`."


def _section(result: Result) -> Iterator[str]:
    versions = ", ".join(f"{name} {number}" for name, number in result.versions.items())
    yield f"\n## {result.name}\n"
    yield f"`{result.command}`\n"
    if result.targets:
        yield "| what | reached | target | |"
        yield "|---|---|---|---|"
        for target in result.targets:
            verdict = "met" if target.is_met else "**missed**"
            yield f"| {target.what} | {_shown(target)} | {_wanted(target)} | {verdict} |"
        yield ""
    for name, value in result.values.items():
        yield from _value(name, value)
    yield f"{result.date[:10]}, commit {result.commit}, {result.machine}; {versions}."


def _value(name: str, value: Json) -> Iterator[str]:
    """Return a number as a line, a list of objects as a table."""
    rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    if not rows:
        yield f"{name}: {_text(value)}\n"
        return
    columns = list(dict.fromkeys(column for row in rows for column in row))
    yield f"{name}:\n"
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows[:_MOST_ROWS]:
        yield f"| {' | '.join(_text(row.get(column)) for column in columns)} |"
    if len(rows) > _MOST_ROWS:
        yield f"\n{len(rows) - _MOST_ROWS} further rows are in the file."
    yield ""


def _text(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_text(entry) for entry in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(entry)}" for name, entry in value.items()) or "none"
    return str(value)


def _shown(target: Reached) -> str:
    return f"{target.reached:.4g} {target.unit}".strip()


def _wanted(target: Reached) -> str:
    return f"{target.relation} {target.limit:.4g} {target.unit}".strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
