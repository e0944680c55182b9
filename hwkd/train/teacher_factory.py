"""Names of a user's own teachers, "package.module:factory": looked up without importing torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from hwkd.core.errors import TeacherError, typed_line


def require_factory(reference: str) -> None:
    """Look whether there is such a module, before time is spent; its packages are imported.

    Args:
        reference: "package.module:factory".

    Raises:
        TeacherError: if it is no such reference or there is no such module.
    """
    module_name, _, factory_name = reference.partition(":")
    if not factory_name or not all(part.isidentifier() for part in module_name.split(".")):
        raise TeacherError(
            f"--teacher {reference}: no such file or folder; give model.onnx, a run, a student's "
            "folder, answers.safetensors or package.module:factory"
        )
    try:
        with working_folder_importable():
            if module_name not in sys.modules and find_spec(module_name) is None:
                raise ModuleNotFoundError(f"No module named {module_name!r}")
    except Exception as error:  # the user's package may raise anything
        raise no_factory(reference, error) from error


def no_factory(reference: str, error: Exception) -> TeacherError:
    """Return what says why a factory cannot be had."""
    return TeacherError(
        f"--teacher {reference}: {typed_line(error)}; expected a function "
        "without arguments that returns a torch module"
    )


@contextmanager
def working_folder_importable() -> Iterator[None]:
    """Let modules of the working folder be imported, before any others of their names."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
