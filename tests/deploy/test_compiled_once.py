"""The objects that tests share are those of the same sources and flags, and no others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.compiled_once import CompiledOnce

from hwkd.core.errors import ExportError
from hwkd.deploy.toolchain import find_host_compiler

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="needs a C compiler"
)


def answer(build: CompiledOnce, folder: Path, *flags: str) -> int:
    """Compile, link and run `main.c`; returns its exit code."""
    compiler = find_host_compiler()
    build([*compiler, *flags, "-I.", "-c", "main.c", "-o", "main.o"], folder=folder)
    build([*compiler, "main.o", "-o", "program"], folder=folder)
    try:
        build([folder / "program"], folder=folder)
    except ExportError as error:
        return int(str(error).rpartition(" ")[2])
    return 0


def test_an_object_is_made_anew_when_a_header_a_flag_or_the_source_changes(tmp_path: Path) -> None:
    build = CompiledOnce(tmp_path)
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
        (folder / "main.c").write_text('#include "value.h"\nint main(void) { return VALUE; }\n')
        (folder / "value.h").write_text("#ifndef VALUE\n#define VALUE 3\n#endif\n")
    assert [answer(build, folder) for folder in folders] == [3, 3]
    assert build.copied == 1
    assert answer(build, folders[1], "-DVALUE=4") == 4
    (folders[1] / "value.h").write_text("#define VALUE 5\n")
    assert answer(build, folders[1]) == 5
    (folders[1] / "main.c").write_text("int main(void) { return 6; }\n")
    assert answer(build, folders[1]) == 6
    assert build.copied == 1
