"""Artifacts behind a URL: proved, fetched once, and one line where the store fails."""

from __future__ import annotations

from pathlib import PurePosixPath
from uuid import uuid4

import fsspec
import pytest

from hwkd.core.errors import ConfigError, RunFolderError, UnreachableError
from hwkd.engine.run.artifacts import FolderArtifacts
from hwkd.engine.run.url_artifacts import UrlArtifacts, open_artifacts

CONTENT = b"weights of a student"


@pytest.fixture
def url() -> str:
    return f"memory://{uuid4().hex}/weights"


@pytest.fixture
def machine(url, tmp_path):
    """Return a maker of machines, each with a cache of its own."""
    system, root = fsspec.core.url_to_fs(url)

    def make(name: str) -> UrlArtifacts:
        return UrlArtifacts(system, PurePosixPath(root), FolderArtifacts(tmp_path / name))

    return make


def test_what_one_machine_puts_another_one_gets(machine):
    digest = machine("a").put(CONTENT)
    assert machine("b").has(digest)
    assert machine("b").get(digest).read_bytes() == CONTENT


def test_a_file_is_fetched_once_for_each_machine(machine, monkeypatch):
    digest = machine("a").put(CONTENT)
    machine("b").get(digest)
    again = machine("b")
    monkeypatch.setattr(again, "_system", None)
    assert again.get(digest).read_bytes() == CONTENT


def test_content_that_changed_in_the_store_is_refused_and_not_kept(machine, url):
    digest = machine("a").put(CONTENT)
    system, root = fsspec.core.url_to_fs(url)
    system.pipe_file(f"{root}/{digest[:2]}/{digest}", b"other")
    for _ in range(2):
        with pytest.raises(RunFolderError, match="its content is not what its name says"):
            machine("b").get(digest)


def test_what_was_not_put_is_named(machine):
    with pytest.raises(RunFolderError, match="is not in the store of artifacts"):
        machine("b").get("ab" * 32)


def test_a_store_that_does_not_answer_may_answer_later(machine, monkeypatch):
    broken = machine("a")

    def raises(*arguments, **options):
        raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(broken._system, "exists", raises)
    with pytest.raises(UnreachableError, match=r"does not answer \(reset by peer\)"):
        broken.put(CONTENT)


def test_a_folder_is_used_where_it_is(tmp_path):
    artifacts = open_artifacts((tmp_path / "shared").as_uri())
    digest = artifacts.put(CONTENT)
    assert artifacts.get(digest).is_relative_to(tmp_path / "shared")


def test_a_url_that_nothing_opens_is_one_line():
    with pytest.raises(ConfigError, match="--artifacts carrier-pigeon://x: "):
        open_artifacts("carrier-pigeon://x")
