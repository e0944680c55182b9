from pathlib import Path

import pytest

from hwkd.core.errors import ConfigError
from hwkd.io.paths import cache_root, cache_writes, folder_written_once, written_atomically


def test_the_environment_moves_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HWKD_CACHE_DIR", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("HWKD_CACHE_DIR")
    assert cache_root().name == "hwkd"


def test_a_failing_writer_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with written_atomically(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), written_atomically(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_of_two_writers_of_a_folder_the_first_stays(tmp_path):
    path = tmp_path / "entry"

    def write(folder: Path, text: str) -> None:
        (folder / "a").write_text(text)
        (folder / "b").write_text(text)

    with folder_written_once(path) as slow:
        with folder_written_once(path) as fast:
            write(fast, "fast")
        write(slow, "slow")
    assert (path / "a").read_text() == (path / "b").read_text() == "fast"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("writer", [written_atomically, folder_written_once])
def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path, writer):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "entry"
    expected = pytest.raises(ConfigError, match=r"cannot be written .*HWKD_CACHE_DIR")
    with expected, cache_writes(path), writer(path):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("writer", [written_atomically, folder_written_once])
def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path, writer):
    path = tmp_path / "entry"
    expected = pytest.raises(ConfigError, match="No space left on device")
    with expected, cache_writes(path), writer(path):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []
