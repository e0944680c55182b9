"""Sources of a C project as a library that build systems of others compile."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from string import Template

from hwkd.deploy.exporter import ExportOptions
from hwkd.deploy.output_folder import MODEL_DESCRIPTION_FILE
from hwkd.deploy.to_c.answer import ANSWER
from hwkd.deploy.to_c.project import PROGRAMS, Project
from hwkd.deploy.to_c.project_text import SAMPLE_FILE, project_files
from hwkd.deploy.to_c.stream import listens
from hwkd.deploy.to_c.stream_text import stream_text

_OF_BUILDS = ("Makefile", "CMakeLists.txt", "README.md", MODEL_DESCRIPTION_FILE)
_SOURCES = "src"
# Build systems that have no flags for one library take what its results depend on from the sources.
# The pragma costs speed, so it stands where there are products to fuse; CMSIS-NN is refused.
_WITH_PRODUCTS = ("hwkd_elementwise.c", "hwkd_layer_norm.c", "hwkd_resize.c")
_NO_FUSED_PRODUCTS = """\
/* Products and sums that are not fused give the same results on every core. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("-ffp-contract=off")
#endif
"""


def refuse_unfit(options: ExportOptions, target: str) -> None:
    """Refuse Arm's kernels, whose flags a library cannot set.

    Raises:
        ConfigError: names the option.
    """
    ExportOptions(kernels=options.kernels).require_none(f"--target {target}")


def unfused(name: str, text: str) -> str:
    """Return a source that computes alike without the flags of `Project.flags`."""
    return (_NO_FUSED_PRODUCTS if name in _WITH_PRODUCTS else "") + text


def library_files(
    project: Project, templates: Mapping[str, str], values: Mapping[str, str]
) -> dict[str, str | bytes]:
    """Return name -> content: sources below `src`, and what a build system wants beside them.

    Args:
        project: what is written.
        templates: name of a file -> name of its template.
        values: what the templates hold beside names of sources, of examples and of the student.
    """
    texts = project_files(project)
    description = texts[MODEL_DESCRIPTION_FILE]
    kept = {n: t for n, t in texts.items() if n not in (*PROGRAMS, *_OF_BUILDS)}
    sources = sorted(name for name in kept if name.endswith(".c"))
    headers = ["model.h"]
    headers += [] if project.answer is None else [f"{ANSWER}.h"]
    headers += ["model_stream.h"] if listens(project) else []
    given = {
        "source_lines": "\n    ".join(f"../{_SOURCES}/{name}" for name in sources),
        "headers": ",".join(headers),
        "included": " and ".join(f"`{name}`" for name in headers),
        "flags": " ".join(project.flags),
        "arena_bytes": str(project.memory.arena_bytes),
        "about": project.about,
        "sample_file": SAMPLE_FILE,
        "feeds": stream_text(project)["main_feeds"],
        "timed": "an inference" if project.stream is None else "all frames of a window",
        **values,
    }
    found: dict[str, str | bytes] = {
        f"{_SOURCES}/{name}": unfused(name, text) for name, text in kept.items()
    }
    for name, template in templates.items():
        path = files("hwkd.deploy.to_c") / "templates" / f"{template}.in"
        found[name] = Template(path.read_text(encoding="utf-8")).substitute(given)
    return {**found, MODEL_DESCRIPTION_FILE: description}
