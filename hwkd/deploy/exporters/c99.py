"""The int8 student as C99 source that compiles for any core."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hwkd.core.catalog import EXPORTERS
from hwkd.core.graph import OpGraph
from hwkd.core.patches import Patches
from hwkd.deploy.exporter import Exported, ExportOptions, ExportSource, PlannedSizes
from hwkd.deploy.student_facts import facts_markdown, student_facts
from hwkd.deploy.to_c.costs import cost_lines, readme_section
from hwkd.deploy.to_c.export import build_project, project_contents
from hwkd.deploy.to_c.flash import predict_flash_bytes, predict_ram_bytes
from hwkd.deploy.to_c.patched_costs import named_as_steps, patched_op_graph, planned_stages
from hwkd.deploy.to_c.project import Project
from hwkd.deploy.to_c.streamed_costs import streamed_op_graph
from hwkd.io.core_files import load_core


class C99:
    """Writes the network as C that holds the very numbers of the int8 file.

    `model_run_raw` takes a raw input: prepared, quantised, put in its place and run.
    `model_answer` gives the class, or the values in the unit of the target.
    main.c runs one example of the student's validation data; seeded noise where there is none.
    """

    summary = "C99 source"
    is_student_file = False

    def export(self, source: ExportSource, options: ExportOptions) -> Exported:
        """Return the sources, build files and the model that they were made from."""
        project, lines = project_of(source, options)
        return Exported(files=project_contents(project), lines=lines)

    def planned_sizes(
        self,
        model: Path,
        graph: OpGraph,
        core: str,
        patches: Patches | None,
        *,
        streaming: bool = False,
    ) -> PlannedSizes | None:
        """Plan the C; None on a core whose file has no sizes of code."""
        facts = load_core(core)
        project = build_project(
            model,
            rounding=facts.rounding,
            instruction_sets=(facts.instruction_set,),
            patches=patches,
            streaming=streaming,
        )
        ram, flash = predict_ram_bytes(project, facts), predict_flash_bytes(project, facts)
        if ram is None or flash is None:
            return None
        named = named_as_steps(graph, project)
        form = streamed_op_graph if streaming else patched_op_graph
        return PlannedSizes(
            ram_bytes=ram,
            flash_bytes=flash,
            graph=named if patches is None and not streaming else form(named, project),
            stages=planned_stages(project, ram, facts.instruction_set),
            stream=project.stream,
        )


def project_of(source: ExportSource, options: ExportOptions) -> tuple[Project, tuple[str, ...]]:
    """Return the C of a student with what is known of it, and what is told to people.

    Raises:
        ModelFileError: if the file cannot be read.
        ExportError: if the student cannot be written as C.
    """
    project = build_project(
        source.int8_path,
        rounding=options.rounding,
        kernels=options.kernels,
        labels=source.told_names,
        sample=source.sample(),
        answer=source.answer,
        raw=source.raw,
        patches=options.patches,
        streaming=options.streaming,
    )
    lines = cost_lines(project, source.run)
    about = readme_section(lines)
    if source.folder is not None:
        record = source.folder.record
        about += facts_markdown(record)
        project = replace(project, facts=student_facts(record))
    project = replace(project, about=about)
    return project, lines


EXPORTERS.register("c")(C99())
