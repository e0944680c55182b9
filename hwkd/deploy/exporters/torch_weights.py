"""The torch weights as safetensors, and the few lines that load them."""

from __future__ import annotations

from hwkd.core.catalog import EXPORTERS
from hwkd.deploy.exporter import Exported, ExportOptions, ExportSource
from hwkd.io.student_folder import WEIGHTS_FILE

LOADER_FILE = "load_student.py"
LOADER = '''"""Loads the student beside this file as a torch module: `module = load()`."""

from pathlib import Path

from safetensors.torch import load_file

from hwkd.io.student_folder import WEIGHTS_FILE, read_student
from hwkd.nn.build import build_module


def load():
    student = read_student(Path(__file__).parent)
    module = build_module(student.layers, seed=0)
    module.load_state_dict(load_file(student.file(WEIGHTS_FILE)))
    return module.eval()
'''


class TorchWeights:
    """Copies the weights; the description beside them says what network they are of."""

    summary = "torch weights as safetensors, with a loader"
    is_student_file = True

    def export(self, source: ExportSource, options: ExportOptions) -> Exported:
        """Return the weights as they are, and the loader."""
        options.require_none("torch")
        path = source.student("torch").file(WEIGHTS_FILE)
        return Exported(files={WEIGHTS_FILE: path.read_bytes(), LOADER_FILE: LOADER})


EXPORTERS.register("torch")(TorchWeights())
