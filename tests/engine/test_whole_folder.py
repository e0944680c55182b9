"""A run folder appears whole; a kill while it is made leaves nothing in the way."""

import fcntl
import shutil
from pathlib import Path

import pytest

from hwkd.core.errors import RunFolderError
from hwkd.engine.run.whole_folder import created_whole, require_free
from hwkd.io.run_files import read_run_record
from hwkd.io.run_lock import LOCK_FILE, is_held

GOLDEN = Path(__file__).parents[1] / "golden" / "run_v1"
FILES = ("a.json", "b.toml", "main.log")


class Killed(BaseException):
    """As SIGKILL, once cleaning up is switched off."""


def create(folder, killed_after=None):
    """Fill a folder; dies before the write or the rename of that number."""
    steps = 0

    def step(act):
        nonlocal steps
        if steps == killed_after:
            raise Killed
        steps += 1
        act()

    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "rename"):
            original = getattr(Path, name)
            patch.setattr(
                Path, name, lambda path, target, do=original: step(lambda: do(path, target))
            )
        require_free(folder, main_file="main.log")
        with created_whole(folder, main_file="main.log") as temporary:
            for name in FILES:
                step(lambda name=name: (temporary / name).write_text(name))
    return steps


@pytest.mark.parametrize("is_there", [False, True])
def test_a_kill_at_any_step_of_the_creation_leaves_a_folder_that_can_be_made(
    tmp_path, is_there, monkeypatch
):
    steps = create(tmp_path / "whole")
    for killed_after in range(steps + (2 if is_there else 0)):
        folder = tmp_path / f"run{killed_after}"
        if is_there:
            folder.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "rmtree", lambda *args, **options: None)
            with pytest.raises(Killed):
                create(folder, killed_after)
        assert not (folder / "main.log").exists()
        create(folder)
        assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)


def test_a_new_folder_appears_in_one_step(tmp_path):
    folder = tmp_path / "runs" / "first"
    with created_whole(folder, main_file="main.log") as temporary:
        (temporary / "main.log").write_text("x")
        assert not folder.exists()
    assert [file.name for file in folder.iterdir()] == ["main.log"]
    assert list(folder.parent.iterdir()) == [folder]


def test_a_link_to_an_empty_folder_is_filled_and_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "run"
    link.symlink_to(tmp_path / "disk")
    create(link)
    assert link.is_symlink()
    assert (tmp_path / "disk" / "main.log").is_file()


def test_a_folder_that_another_process_filled_meanwhile_is_not_mixed_with(tmp_path):
    folder = tmp_path / "run"
    with (
        pytest.raises(OSError, match="not empty"),
        created_whole(folder, main_file="main.log") as temporary,
    ):
        (temporary / "main.log").write_text("late")
        folder.mkdir()
        (folder / "main.log").write_text("early")
    assert (folder / "main.log").read_text() == "early"
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["main.log"], "another run.*--resume"),
        (["main.log", ".creating"], "another run.*--resume"),
        (["photo.png"], "other files"),
    ],
)
def test_a_folder_in_use_is_refused(tmp_path, names, match):
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(RunFolderError, match=match):
        require_free(tmp_path, main_file="main.log")


@pytest.fixture
def running(tmp_path):
    """A folder whose run.json says that the search runs."""
    text = (GOLDEN / "run.json").read_text()
    assert '"status": "finished"' in text
    path = tmp_path / "run.json"
    path.write_text(text.replace('"status": "finished"', '"status": "running"'))
    return path


def test_a_search_that_was_killed_is_read_as_interrupted(running):
    assert read_run_record(running).status == "interrupted"
    (running.parent / LOCK_FILE).write_text("1")
    assert read_run_record(running).status == "interrupted"


def test_a_search_that_holds_its_folder_is_read_as_running(running):
    with (running.parent / LOCK_FILE).open("a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert is_held(running.parent)
        assert read_run_record(running).status == "running"
    assert not is_held(running.parent)
