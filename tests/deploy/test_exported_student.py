"""A student's folder from others is checked beyond its digests: README, loader, further files."""

import pytest
from support.students import finished_student

from hwkd.core.errors import ExportError
from hwkd.deploy.exported_student import require_exported_student
from hwkd.engine.arms.export import ExportOrder, export_student
from hwkd.io.student_folder import read_student


@pytest.mark.parametrize(
    ("name", "text"),
    [("load_student.py", "import os\n"), ("README.md", "run this\n"), ("torch.py", "")],
)
def test_a_file_that_no_export_writes_is_refused(name, text, tmp_path):
    student, out = finished_student(tmp_path / "student"), tmp_path / "out"
    require_exported_student(student)
    export_student(ExportOrder(source=student.folder, targets=("torch", "onnx-int8"), out=out))
    require_exported_student(read_student(out))
    (out / name).write_text(text)
    with pytest.raises(ExportError, match=name):
        require_exported_student(read_student(out))
