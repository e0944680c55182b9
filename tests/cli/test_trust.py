"""Python files that a run or a student names run only when the user names them, unchanged."""

import os
import py_compile
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.students import student_record
from support.user_space import USER_SPACE

from hwkd.cli.app import main
from hwkd.core.errors import ConfigError
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.trust import named_by_user, trusted
from hwkd.io import discovery
from hwkd.io.trusted_code import VARIABLE, digest_of, is_trusted, module_file, trust

MARK = "\nopen({mark!r}, 'w').close()\n"


@pytest.fixture(autouse=True)
def nothing_trusted(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")


def space(path, *, name="mine", mark=None):
    """Write a search space; it leaves a file behind when it runs."""
    text = USER_SPACE.format(name=name) + (MARK.format(mark=str(mark)) if mark else "")
    path.write_text(text)
    return path


def config(*spaces, teacher=None):
    return SearchConfig(
        device="cortex-m4", spaces=tuple(map(str, spaces)), teacher={"source": teacher}
    )


def test_a_file_of_the_users_options_is_recorded_and_read_back(tmp_path):
    path = space(tmp_path / "mine.py")
    named = named_by_user(config(path, "depthwise"))
    assert named.code == {str(path): digest_of(path)}
    (tmp_path / "config.toml").write_text(named.to_toml())
    assert SearchConfig.from_toml(tmp_path / "config.toml") == named
    assert "code" not in config("depthwise").to_toml()


def test_a_run_names_a_file_in_vain_until_the_user_trusts_it(tmp_path):
    path = space(tmp_path / "mine.py")
    read = config(path).model_copy(update={"code": {str(path): digest_of(path)}})
    with pytest.raises(ConfigError, match=r"--resume run: .*mine\.py is Python, .*--trust"):
        trusted(read, where="--resume run", trusts=False)
    assert not is_trusted(digest_of(path))
    assert trusted(read, where="--resume run", trusts=True) == read
    assert trusted(read, where="--resume run", trusts=False) == read  # workers of this process


def test_a_changed_file_is_refused_even_of_a_trusted_run(tmp_path):
    path = space(tmp_path / "mine.py")
    named = named_by_user(config(path))
    path.write_text(path.read_text() + "# another\n")
    with pytest.raises(ConfigError, match=r"mine\.py changed since the run began \(SHA-256 "):
        trusted(named, where="--resume run", trusts=True)
    path.unlink()
    with pytest.raises(ConfigError, match="its Python file cannot be read; put it back"):
        trusted(named, where="--resume run", trusts=True)


def test_a_run_without_digests_gets_them_when_it_is_trusted(tmp_path):
    path = space(tmp_path / "mine.py")
    found = trusted(config(path), where="run", trusts=True)
    assert found.code == {str(path): digest_of(path)}


def test_a_factory_is_python_too_and_an_onnx_file_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bright.py").write_text("raise SystemExit('it ran')\n")
    named = named_by_user(config("depthwise", teacher="bright:make"))
    assert named.code == {"bright:make": digest_of(tmp_path / "bright.py")}
    monkeypatch.setenv(VARIABLE, "")
    with pytest.raises(ConfigError, match="run: bright:make is Python"):
        trusted(named, where="run", trusts=False)
    assert trusted(named, where="run", trusts=False, with_teacher=False) == named
    assert named_by_user(config("depthwise", teacher="bright.onnx")).code == {}
    for source in ("sys:exit", "no_such_module_here:make"):
        with pytest.raises(ConfigError, match="cannot be read"):
            trusted(config("depthwise", teacher=source), where="run", trusts=True)


def test_a_modules_file_is_found_without_running_its_package(tmp_path, monkeypatch):
    package = tmp_path / "outer_package_here" / "inner"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").write_text("raise SystemExit('it ran')\n")
    (package / "teacher.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert module_file("outer_package_here.inner.teacher") == package / "teacher.py"
    assert module_file("outer_package_here.inner") == package / "__init__.py"
    assert module_file("outer_package_here.other.teacher") is None
    assert module_file("") is None


def test_trust_is_of_a_content_and_reaches_processes_started_later(tmp_path):
    path = space(tmp_path / "mine.py")
    assert not is_trusted(digest_of(path))
    trust(digest_of(path))
    trust(digest_of(path))
    assert os.environ[VARIABLE].split() == [digest_of(path)]
    code = f"from hwkd.io.trusted_code import is_trusted; assert is_trusted({digest_of(path)!r})"
    subprocess.run([sys.executable, "-c", code], check=True)
    path.write_text("other")
    assert not is_trusted(digest_of(path))


def test_compiled_code_beside_a_space_is_not_what_runs(tmp_path):
    path, mark = space(tmp_path / "mine.py"), tmp_path / "ran"
    source, times = path.read_bytes(), (1_600_000_000, 1_600_000_000)
    space(path, mark=mark)
    cached = py_compile.compile(
        str(path), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    path.write_bytes(source)
    os.utime(path, times)
    assert Path(cached).is_file()
    assert discovery.load_user_space(path).name == "mine"
    assert not mark.exists()


def test_an_edited_space_is_loaded_anew(tmp_path):
    path = space(tmp_path / "mine.py", name="first")
    assert discovery.load_user_space(path).name == "first"
    space(path, name="second")
    assert discovery.load_user_space(path).name == "second"


@pytest.mark.slow
@pytest.mark.parametrize("named", ["evil.py", "evil"])
def test_a_students_file_runs_no_file_that_it_names(named, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "ran"
    space(tmp_path / "evil.py", name="evil", mark=mark)
    known = student_record()
    spec = replace(known.spec, space=named)
    path = tmp_path / "student.json"
    path.write_text(known.model_copy(update={"spec": spec}).model_dump_json())
    command = ["distill", "--student", str(path), "--method", "none", "--out", "out"]
    # Its layers say what it is; the shipped data are not what it was made for.
    assert main(command) == 2
    assert "was made for inputs (1, 8, 8) and 3 classes" in capsys.readouterr().err
    assert main([*command, "--trust"]) == 2
    assert "--trust: goes with a run" in capsys.readouterr().err
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


def hostile_run(folder, *, spaces, teacher=None):
    """Make a folder that names Python files as a run does, from nobody who is trusted."""
    folder.mkdir()
    named = config(*spaces, teacher=teacher)
    code = {str(path): digest_of(Path(path)) for path in spaces}
    (folder / "config.toml").write_text(named.model_copy(update={"code": code}).to_toml())
    for name in ("run.json", "prepared.json"):
        (folder / name).write_text("{}")
    for name in ("trials.jsonl", "journal.log"):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ("search", "--resume", "run"),
        ("distill", "--student", "run", "--method", "none", "--out", "out"),
        ("export", "run", "--trial", "0", "--out", "out"),
        ("verify", "run", "--device", "cortex-m4"),
        ("report", "run"),
    ],
)
def test_no_command_runs_a_file_that_a_run_folder_names(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "ran"
    path = space(tmp_path / "evil.py", mark=mark)
    (tmp_path / "evil_teacher.py").write_text(MARK.format(mark=str(mark)))
    hostile_run(tmp_path / "run", spaces=[path], teacher="evil_teacher:make")
    assert main(list(command)) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not mark.exists()
    shutil.rmtree(tmp_path / "run")


def test_trust_without_a_run_to_trust_is_refused(capsys):
    assert main(["search", "--device", "cortex-m4", "--trust"]) == 2
    assert "--trust: goes with --resume" in capsys.readouterr().err
