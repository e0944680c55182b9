"""A run folder appears whole; a kill while it is made leaves nothing in the way."""

import fcntl
import re
import shutil
import subprocess
import sys
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


def killed_while_making(folder, *, lives=False):
    """Let a process die, or stop, while it makes a folder."""
    code = (
        "import os, sys, signal, pathlib\n"
        "from hwkd.engine.run.whole_folder import created_whole\n"
        "with created_whole(pathlib.Path(sys.argv[1]), main_file='main.log') as temporary:\n"
        "    (temporary / 'a.json').write_text('x')\n"
        "    print('made', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"made\n"
    if not lives:
        process.kill()
        process.communicate()
    return process


@pytest.mark.slow
@pytest.mark.parametrize("is_there", [False, True])
def test_what_a_killed_process_left_goes_with_the_next_start_and_of_a_living_one_stays(
    tmp_path, is_there
):
    folder = tmp_path / "L_[c]"
    if is_there:
        folder.mkdir()
    killed_while_making(folder)
    (left,) = (folder if is_there else tmp_path).iterdir()
    assert list(left.iterdir())
    (tmp_path / ".L_[c].mine").mkdir()
    require_free(folder, main_file="main.log")
    assert not left.exists()

    other = killed_while_making(folder, lives=True)
    if is_there:
        with pytest.raises(RunFolderError, match="another process is making a run there"):
            require_free(folder, main_file="main.log")
        with pytest.raises(FileExistsError), created_whole(folder, main_file="main.log"):
            pass
    else:
        require_free(folder, main_file="main.log")
    (kept,) = {*(folder if is_there else tmp_path).iterdir()} - {tmp_path / ".L_[c].mine"}
    assert list(kept.iterdir())
    other.communicate()
    assert (folder / "a.json").read_text() == "x"
    assert {*tmp_path.iterdir()} == {folder, tmp_path / ".L_[c].mine"}


def test_a_marker_that_was_left_in_a_run_goes_though_the_run_is_refused(tmp_path):
    (tmp_path / "main.log").write_text("x")
    (tmp_path / ".creating").mkdir()
    with pytest.raises(RunFolderError, match="another run"):
        require_free(tmp_path, main_file="main.log")
    assert [file.name for file in tmp_path.iterdir()] == ["main.log"]


def test_what_another_machine_left_stays(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "elsewhere")
        killed = created_whole(tmp_path / "run", main_file="main.log")
        left = killed.__enter__()
    theirs = left.with_name(re.sub(r"\.\d+\.(\w+)$", r".999999999.\1", left.name))
    left.rename(theirs)
    require_free(tmp_path / "run", main_file="main.log")
    assert theirs.exists()


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
