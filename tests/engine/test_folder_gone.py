"""A run whose files go away while it is in use ends with one line that says so."""

import shutil

import pytest

from hwkd.core.errors import RunFolderError
from hwkd.engine.run.lease import FolderLease


def test_whatever_fails_then_is_said_as_its_cause(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.toml").touch()
    lease = FolderLease(folder, asking_file=folder / "config.toml")
    with pytest.raises(KeyError), lease.held():
        raise KeyError("a defect")

    def lose():
        shutil.rmtree(folder)
        (folder / "journal.log").read_text()

    with pytest.raises(RunFolderError, match="moved or deleted while it was in use"), lease.held():
        lose()
