"""A run that goes on, seen from outside: in the terminal and as a page that refreshes itself."""

from __future__ import annotations

import fcntl
import http.client
import json
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.synthetic_run import make_run, write_run

import hwkd
from hwkd.api.live import Look, Watched
from hwkd.api.live_server import LiveServer
from hwkd.cli.app import main
from hwkd.core.errors import ConfigError, RunFolderError, StoppedByUserError
from hwkd.engine.run.listener import SilentListener
from hwkd.engine.search.logged import Logged
from hwkd.io.run_log import LOG_FILE, LogLine, StageAt, note_line, note_stage, read_log, read_stage

STAGE = StageAt(stage="candidates", done=12, total=40, note="", since="2026-01-05T10:00:00+00:00")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    record, trials = make_run(trials=12)
    running = record.model_copy(update={"status": "running", "final": None})
    write_run(tmp_path / "run", running, trials)
    note_stage(tmp_path / "run", STAGE)
    note_line(tmp_path / "run", LogLine(at="2026-01-05T09:59:00+00:00", text="the search begins"))
    return tmp_path / "run"


@contextmanager
def search_at_work(run: Path):
    """Hold the lock of a run, as its search does."""
    with (run / "run.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def served(run: Path, *, host: str = "127.0.0.1"):
    with LiveServer(Watched(run), host=host, port=0, every_s=0.0) as server:
        thread = threading.Thread(target=server.serve_for, args=(None,))
        thread.start()
        try:
            yield int(server.url.rsplit(":", 1)[1].strip("/"))
        finally:
            server.stop()
            thread.join()


def asked(port: int, path: str, *, method: str = "GET", host: str | None = None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


def test_a_look_holds_report_stage_and_log(run):
    with search_at_work(run):
        look = hwkd.watch(run, once=True)
    assert not look.is_over
    assert look.doing.startswith("candidates: 12 of 40 after ")
    assert look.log[0].text == "the search begins"
    assert len(look.log) == 13
    assert [line.at for line in look.log] == sorted(line.at for line in look.log)
    found = look.as_dict()
    assert found["stage"]["done"] == 12
    assert found["trials"] == 12
    assert json.loads(json.dumps(found)) == found


def test_watching_ends_when_nobody_is_at_work(run):
    looks: list[Look] = []
    last = hwkd.watch(run, every="200ms", on_look=looks.append)
    assert looks == [last]
    assert last.is_over
    assert last.doing == "interrupted"  # killed: its record says running and nobody holds the lock


def test_watching_follows_until_the_search_is_over(run):
    looks: list[Look] = []

    def on_look(look):
        looks.append(look)
        if len(looks) == 2:
            held.__exit__(None, None, None)

    held = search_at_work(run)
    held.__enter__()
    hwkd.watch(run, every="200ms", on_look=on_look)
    assert [look.is_over for look in looks] == [False, False, True]


def test_ctrl_c_ends_the_watching_with_the_last_look(run):
    def stop(look):
        raise KeyboardInterrupt

    with search_at_work(run):
        assert len(hwkd.watch(run, on_look=stop).page.records) == 12


def test_a_look_reads_again_only_what_changed(run):
    watched = Watched(run)
    first = watched.look()
    assert watched.look().page is first.page
    note_line(run, LogLine(at="2026-01-05T12:00:00+00:00", text="a note"))
    assert watched.look().log[-1].text == "a note"


def test_a_finished_student_is_refused_with_what_shows_it(run, tmp_path, capsys):
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "student.json").write_text("{}")
    with pytest.raises(RunFolderError, match=r"finished student.*hwkd report"):
        hwkd.watch(tmp_path / "student")
    assert main(["watch", str(tmp_path / "nothing"), "--once"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_without_a_terminal_the_log_is_printed_and_the_last_look(run, capsys):
    assert main(["watch", str(run)]) == 0
    said = capsys.readouterr()
    assert "the search begins" in said.err
    assert "trial  11" in said.err
    assert "interrupted" in said.out
    assert "Pareto front" in said.out


def test_one_look_is_printed_once(run, capsys):
    assert main(["watch", str(run), "--once"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.count("trial  11") == 1


@pytest.mark.parametrize("is_there", [False, True])
def test_a_search_that_has_not_begun_is_waited_for_with_one_line(run, is_there):
    later, told = run.with_name("later"), []
    if is_there:
        later.mkdir()

    def begin(line):
        told.append(line)
        shutil.copytree(run, later, dirs_exist_ok=True)

    look = hwkd.watch(later, every="200ms", on_wait=begin)
    assert len(look.page.records) == 12
    assert len(told) == 1
    assert told[0].startswith(f"waiting for {later}")


def test_a_search_that_prepares_its_data_has_not_begun(tmp_path):
    with (
        search_at_work(tmp_path),
        pytest.raises(RunFolderError, match=r"no search began .* 200 ms"),
    ):
        hwkd.serve(tmp_path, port=0, every="200ms", max_time="200ms")


def test_ctrl_c_ends_the_waiting_with_one_line(tmp_path):
    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(StoppedByUserError, match="no search began"):
        hwkd.watch(tmp_path / "never", on_wait=stop)


def test_a_folder_of_something_else_is_refused_at_once(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(RunFolderError):
        hwkd.watch(tmp_path)


def test_what_a_search_says_is_kept_beside_it_and_passed_on(tmp_path):
    heard = []

    class Heard(SilentListener):
        def __call__(self, stage, done, total, note=""):
            heard.append((stage, done, total, note))

    told = Logged(Heard(), tmp_path)
    told("train the teacher", 0, 10)
    told("train the teacher", 1, 10)  # within the same second: not written
    told.on_note("left out: one file")
    told.on_records((), 40)
    assert [line.text for line in read_log(tmp_path)] == [
        "train the teacher begins", "left out: one file", "candidates begins",
    ]  # fmt: skip
    stage = read_stage(tmp_path)
    assert (stage.stage, stage.done, stage.total) == ("candidates", 0, 40)
    assert heard == [("train the teacher", 0, 10, ""), ("train the teacher", 1, 10, "")]


def test_a_log_that_cannot_be_written_or_is_cut_stops_nothing(tmp_path):
    note_line(tmp_path / "not there", LogLine(at="", text=""))
    note_stage(tmp_path / "not there", STAGE)
    assert read_stage(tmp_path) is None
    note_line(tmp_path, LogLine(at="a", text="b"))
    with (tmp_path / LOG_FILE).open("a") as log:
        log.write('{"at": "c", "te')
    assert read_log(tmp_path) == (LogLine(at="a", text="b"),)


def test_the_page_holds_front_history_workers_and_log_and_asks_for_its_content(run):
    with search_at_work(run), served(run) as port:
        answer, page = asked(port, "/")
        assert answer.status == 200
        for key in ("front", "history", "workers", "log", "caveats"):
            assert f'<section id="{key}">' in page
        assert 'data-live="/content"' in page
        assert "candidates: 12 of 40" in page
        answer, content = asked(port, "/content")
        assert answer.headers["X-Version"]
        assert "<script>" not in content


def test_content_that_is_known_is_not_sent_again(run):
    with served(run) as port:  # nobody at work: no time runs in what the page says
        answer, _ = asked(port, "/content")
        version = answer.headers["X-Version"]
        answer, text = asked(port, f"/content?known={version}")
        assert (answer.status, text) == (204, "")
        note_line(run, LogLine(at="2026-01-05T12:00:00+00:00", text="something new"))
        answer, text = asked(port, f"/content?known={version}")
        assert answer.status == 200
        assert "something new" in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_the_server_only_shows(run, method):
    with served(run) as port:
        assert asked(port, "/", method=method)[0].status == 501


@pytest.mark.parametrize("path", ["/run.json", "/../run/run.json", "/%2e%2e/run.json", "//etc"])
def test_no_file_is_served(run, path):
    with served(run) as port:
        assert asked(port, path)[0].status == 404


def test_a_page_elsewhere_cannot_read_it(run):
    with served(run) as port:
        assert asked(port, "/", host="attacker.example")[0].status == 403
        answer, _ = asked(port, "/", host=f"localhost:{port}")
        assert answer.status == 200
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_a_port_that_is_taken_is_one_line(run):
    with served(run) as port, pytest.raises(ConfigError, match="cannot listen there"):
        hwkd.serve(run, port=port)


def test_serve_says_where_and_ends_in_time(run, capsys):
    assert main(["serve", str(run), "--port", "0", "--max-time", "300ms", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["url"].startswith("http://127.0.0.1:")
    assert "http://127.0.0.1:" in said.err
