"""`hwkd worker` and `hwkd workers` answer in one line, with the exit code that says what to do."""

from __future__ import annotations

import pytest

from hwkd.cli.app import main


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["worker", "--storage", "db", "--study", "s"], 2, "is no URL of a database"),
        (["worker", "--storage", "sqlite:///none.db", "--study", "s"], 2, "not hold the study s"),
        (["workers", "sqlite:///none.db"], 2, "--study is missing"),
        (["workers", "nowhere"], 2, "no such file or folder"),
        (["search", "--device", "cortex-m7", "--study", "s"], 2, "--study: goes with --storage"),
        (["search", "--device", "cortex-m7", "--workers", "0"], 2, "--workers 0: goes with"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(arguments, code, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_75(tmp_path, capsys):
    pytest.importorskip("psycopg")
    url = f"postgresql://hwkd@/none?host={tmp_path}"
    assert main(["worker", "--storage", url, "--study", "s"]) == 75
    assert "does not answer" in capsys.readouterr().err
