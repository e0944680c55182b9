"""`hwkd.compare`: several runs side by side, from their records."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from hwkd.api.option import Option, declares_options

if TYPE_CHECKING:
    from hwkd.report.comparison import Difference, RunToCompare


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: in the order given, each with a name that is its own.
        cautions: which numbers cannot be compared, and why.
        page: HTML file with their fronts in one chart; None if none was asked for.
    """

    runs: "tuple[RunToCompare, ...]"
    differences: "tuple[Difference, ...]"
    cautions: tuple[str, ...]
    page: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "runs": [{"name": run.name, **run.summary} for run in self.runs],
            "differences": {
                each.name: dict(zip((run.name for run in self.runs), each.values, strict=True))
                for each in self.differences
            },
            "cautions": list(self.cautions),
            "page": None if self.page is None else str(self.page),
        }


@declares_options
def compare(
    runs: Annotated[
        Sequence[str | Path],
        Option("Folders of searches, or of finished students; two or more.", metavar="RUNS"),
    ],
    *,
    page: Annotated[
        str | Path | None, Option("HTML file to write, with the fronts in one chart.")
    ] = None,
) -> Comparison:
    """Show several runs side by side: what each shipped, what differed, and their fronts.

    Reads their records only, so it works while searches run. Numbers that cannot be compared,
    because data, metric or device differ, are named.

    Raises:
        ConfigError: if fewer than two runs are given, or one twice.
        RunFolderError: if a folder is no run folder, is damaged, or the page cannot be written.
    """
    from hwkd.api.opened import open as open_run
    from hwkd.core.errors import ConfigError
    from hwkd.io.run_files import CONFIG_FILE
    from hwkd.report.comparison import (
        RunToCompare,
        cautions,
        differences,
        short_names,
    )

    opened = [open_run(run) for run in runs]
    folders = [each.folder for each in opened]
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        given = ", ".join(map(str, folders)) or "none"
        raise ConfigError(f"compare: runs given: {given}; expected two or more different ones")
    compared = [
        RunToCompare(
            name=name,
            page=each.page,
            summary=each.as_dict(),
            options=_options(each.folder / CONFIG_FILE),
        )
        for name, each in zip(short_names(folders), opened, strict=True)
    ]
    if page is not None:
        _write_page(Path(page), compared)
    return Comparison(
        runs=tuple(compared),
        differences=differences(compared),
        cautions=cautions(compared),
        page=None if page is None else Path(page),
    )


def _options(path: Path) -> dict[str, Any]:
    """Return what a run was asked for; nothing where it does not say."""
    from hwkd.core.errors import RunFolderError
    from hwkd.io.text_files import MalformedTextError, read_toml

    if not path.is_file():
        return {}
    try:
        return read_toml(path)
    except MalformedTextError as error:
        raise RunFolderError(f"{path}: cannot read it as TOML: {error}") from None


def _write_page(page: Path, compared: "Sequence[RunToCompare]") -> None:
    from hwkd.core.errors import RunFolderError
    from hwkd.io.paths import written_atomically
    from hwkd.report.comparison import comparison_sections
    from hwkd.report.html import render_page

    title = f"{len(compared)} runs compared"
    text = render_page(title, comparison_sections(compared), kind="hwkd compare")
    try:
        with written_atomically(page) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunFolderError(f"{page}: cannot write it: {error.strerror}") from None
