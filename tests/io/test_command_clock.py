"""When a command began, against the clock of another process."""

import subprocess
import sys
import time

import pytest

from hwkd.io.command_clock import command_began_s, command_since, process_began_s


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not say when it began")
def test_a_process_began_when_it_was_started_and_not_when_it_is_asked():
    late = "import time; time.sleep(0.5); "
    asked = "from hwkd.io.command_clock import process_began_s; print(process_began_s())"
    before_s = time.monotonic()
    done = subprocess.run([sys.executable, "-c", late + asked], capture_output=True, check=True)
    began_s = float(done.stdout)
    # The system counts in hundredths of a second.
    assert before_s - 0.05 <= began_s < time.monotonic() - 0.45


def test_code_that_calls_begins_now_and_a_command_began_earlier():
    began_s = process_began_s()
    with command_since(began_s):
        assert command_began_s() == began_s
    before_s = time.monotonic()
    assert before_s <= command_began_s() <= time.monotonic()


def test_where_the_system_does_not_say_it_begins_now(monkeypatch, tmp_path):
    monkeypatch.setattr("hwkd.io.command_clock._STAT", tmp_path / "none")
    before_s = time.monotonic()
    assert before_s <= process_began_s() <= time.monotonic()
