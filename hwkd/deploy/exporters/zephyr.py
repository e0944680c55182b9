"""The int8 student as a module of Zephyr."""

from __future__ import annotations

from hwkd.core.catalog import EXPORTERS
from hwkd.deploy.exporter import Exported, ExportOptions, ExportSource
from hwkd.deploy.exporters.c99 import project_of
from hwkd.deploy.to_c.library import library_files, refuse_unfit
from hwkd.deploy.to_c.project import Project
from hwkd.deploy.to_c.stream import listens, rule_of

# Places of files: Zephyr's documentation, "Modules (External projects)".
_FILES = {
    "zephyr/module.yml": "zephyr_module.yml",
    "zephyr/CMakeLists.txt": "zephyr_CMakeLists.txt",
    "zephyr/Kconfig": "zephyr_Kconfig",
    "samples/check/CMakeLists.txt": "zephyr_sample.txt",
    "samples/check/prj.conf": "zephyr_prj.conf",
    "samples/check/src/main.c": "zephyr_main.c",
    "README.md": "zephyr_README.md",
}
_NUMBER = """
config HWKD_MODEL_{name}
	int "{prompt}"
	default {value}
"""


class Zephyr:
    """Writes the C of --target c below src/, with module.yml, CMakeLists.txt, Kconfig, a sample."""

    summary = "Zephyr module"
    is_student_file = False

    def export(self, source: ExportSource, options: ExportOptions) -> Exported:
        """Return the module; the sample compares one example with ONNX Runtime."""
        refuse_unfit(options, "zephyr")
        project, lines = project_of(source, options)
        return Exported(files=library_files(project, _FILES, _settings(project)), lines=lines)


def _settings(project: Project) -> dict[str, str]:
    """Return what can be set of how it listens, in Kconfig and for the compiler."""
    if not listens(project) or project.raw is None:
        return {"settings": "", "definitions": ""}
    rule = rule_of(project, project.raw)
    numbers = {
        "STRIDE": ("Samples from one inference to the next", rule.stride),
        "SMOOTHING": ("Inferences whose mean probability is compared", rule.smoothing),
        "THRESHOLD": ("Mean probability that counts, in thousandths", rule.threshold),
    }
    return {
        "settings": "\nif HWKD_MODEL\n" + "".join(
            _NUMBER.format(name=name, prompt=prompt, value=value)
            for name, (prompt, value) in numbers.items()
        ) + "\nendif\n",
        "definitions": "".join(
            f"  zephyr_compile_definitions(MODEL_{name}=${{CONFIG_HWKD_MODEL_{name}}})\n"
            for name in numbers
        ),
    }  # fmt: skip


EXPORTERS.register("zephyr")(Zephyr())
