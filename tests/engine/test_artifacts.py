"""Files by the SHA-256 of their content."""

import hashlib

import pytest

from hwkd.core.errors import RunFolderError
from hwkd.engine.run.artifacts import FolderArtifacts

CONTENT = b"weights of a student"


@pytest.fixture
def artifacts(tmp_path):
    return FolderArtifacts(tmp_path / "artifacts")


def test_bytes_and_a_file_of_the_same_content_have_one_name(artifacts, tmp_path):
    (tmp_path / "weights").write_bytes(CONTENT)
    digest = artifacts.put(CONTENT)
    assert digest == hashlib.sha256(CONTENT).hexdigest()
    assert artifacts.put(tmp_path / "weights") == digest
    assert artifacts.get(digest).read_bytes() == CONTENT


def test_a_file_that_was_put_outlives_its_source(artifacts, tmp_path):
    source = tmp_path / "weights"
    source.write_bytes(CONTENT)
    digest = artifacts.put(source)
    source.unlink()
    assert artifacts.get(digest).read_bytes() == CONTENT


def test_what_was_not_put_is_not_there(artifacts):
    digest = hashlib.sha256(b"other").hexdigest()
    assert not artifacts.has(digest)
    with pytest.raises(RunFolderError, match=r"cannot be read \(No such file"):
        artifacts.get(digest)


def test_changed_content_is_refused(artifacts):
    digest = artifacts.put(CONTENT)
    assert artifacts.has(digest)
    artifacts.get(digest).write_bytes(CONTENT[:-1])
    with pytest.raises(RunFolderError, match="its content is not what its name says"):
        artifacts.get(digest)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RunFolderError, match=r"cannot write it: .*; free some space"):
        FolderArtifacts(tmp_path / "file").put(CONTENT)
