"""Where a distillation lies until it is finished: beside its folder, which appears whole.

A distillation that was interrupted or killed goes on there when the same command is given again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hwkd.core.errors import ConfigError, HwkdError
from hwkd.engine.arms.orders import finished_orders
from hwkd.engine.run.lease import FolderLease
from hwkd.engine.run.prepared import (
    check_data_unchanged,
    check_teacher_unchanged,
    prepared_json,
)
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.context import SearchContext
from hwkd.io.run_files import PREPARED_FILE
from hwkd.io.run_text import run_writes, write_text


def workplace_of(out: Path) -> Path:
    """Return the folder in which a distillation that is to become `out` is worked on."""
    resolved = out.resolve()
    return resolved.with_name(f".{resolved.name}.unfinished")


@contextmanager
def workplace(out: Path, context: SearchContext) -> Iterator[tuple[RunFolder, tuple[int, ...]]]:
    """Give the folder, new or as an interrupted call left it, and hold it.

    What fails before a training is finished leaves nothing; what is finished is kept.

    Args:
        context: of the trainings; with every choice resolved.

    Yields:
        The folder, and open files that worker processes must keep open.

    Raises:
        ConfigError: if it holds a distillation with other options.
        RunFolderError: if data or teacher changed, somebody works there or it cannot be written.
    """
    store = RunFolder(workplace_of(out))
    text = context.config.to_toml()
    if store.config_path.is_file():
        if store.config_path.read_bytes() != text.encode("utf-8"):
            raise ConfigError(
                f"--out {out}: a distillation with other options was interrupted there; give the "
                f"same options to go on, or another --out, or delete {store.path}"
            )
        check_data_unchanged(store, context.everything.transfer, option="--out")
        if context.teacher is not None:
            check_teacher_unchanged(store, context.teacher)
    else:
        _create(store, text, context)
    try:
        with FolderLease(store.path, asking_file=store.config_path).held() as descriptors:
            yield store, descriptors
    except HwkdError:
        if not any(finished_orders(store.path)):
            store.remove()  # what was asked for cannot be trained, and nothing was
        raise
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "trainings that ended are saved; go on with the same command"
        ) from None
    store.remove()


def _create(store: RunFolder, text: str, context: SearchContext) -> None:
    shutil.rmtree(store.path, ignore_errors=True)  # cut off while it was made
    with run_writes(store.path):
        store.path.mkdir(parents=True)
    prepared = prepared_json(
        context.everything.transfer, context.teacher, symmetry=context.symmetry
    )
    write_text(store.path / PREPARED_FILE, prepared)
    write_text(store.config_path, text)
