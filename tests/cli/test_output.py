"""Output that cannot be written ends quietly, and signals that ask to end are heard."""

import errno
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hwkd.cli import app as app_module
from hwkd.cli.app import main
from hwkd.cli.output import EndingStream, ending_quietly

FULL = Path("/dev/full")


class Failing(io.StringIO):
    """A stream whose every write meets `error`."""

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.calls = 0

    def write(self, text):
        self.calls += 1
        raise OSError(self.error, os.strerror(self.error))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errno.EPIPE, None),
        (errno.ENOSPC, "No space left on device"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_stream_that_fails_is_written_once_and_never_again(error, reason):
    failing = Failing(error)
    stream = EndingStream(failing)
    assert stream.write("one") == 3
    assert stream.write("two") == 3
    stream.flush()
    assert failing.calls == 1
    assert stream.reason == reason


def test_text_that_the_terminal_has_no_letters_for_is_escaped():
    under = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    EndingStream(under).write("caf\udce9 é")
    under.flush()
    assert under.buffer.getvalue() == rb"caf\udce9 \xe9"


def test_the_streams_of_before_come_back():
    before = sys.stdout, sys.stderr
    with ending_quietly():
        assert isinstance(sys.stdout, EndingStream)
    assert (sys.stdout, sys.stderr) == before


def test_progress_that_nobody_can_read_stops_no_work(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Failing(errno.EPIPE))
    assert main(["devices", "list"]) == 0
    assert "cortex-m7" in capsys.readouterr().out


def hwkd(*arguments, **streams):
    code = "import sys; from hwkd.cli import main; sys.exit(main())"
    return subprocess.Popen([sys.executable, "-c", code, *arguments], **streams)


@pytest.mark.slow
def test_a_closed_output_is_one_line():
    code = "import os, sys; os.close(1); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    inner = "import sys; from hwkd.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "-c", inner, "devices", "list"], capture_output=True, text=True
    )
    said = "hwkd: cannot write what there is to say: standard output is closed\n"
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="Linux only")
def test_a_full_disk_is_one_line():
    with FULL.open("w") as full:
        process = hwkd("devices", "list", "--json", stdout=full, stderr=subprocess.PIPE)
        message = process.communicate()[1].decode()
    assert process.returncode == 2
    assert message == "hwkd: cannot write what there is to say: No space left on device\n"


@pytest.mark.slow
def test_a_reader_that_stops_reading_is_no_error():
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = hwkd("devices", "list", "--json", stdout=write_end, stderr=subprocess.PIPE)
    os.close(write_end)
    assert process.communicate()[1] == b""
    assert process.returncode == 0


@pytest.fixture
def handlers():
    """Put the handlers of this process back."""
    numbers = (signal.SIGHUP, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def signalled(monkeypatch, number):
    def command(**_):
        os.kill(os.getpid(), number)
        time.sleep(0.05)
        return 0

    monkeypatch.setattr(app_module, "app", command)
    return main([])


def test_what_a_library_makes_of_an_interrupt_while_it_is_imported_is_one(monkeypatch, capsys):
    def command(**_):
        raise ImportError("initialization failed") from KeyboardInterrupt()

    monkeypatch.setattr(app_module, "app", command)
    assert main([]) == 130
    assert capsys.readouterr().err == "hwkd: interrupted\n"


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_lost_terminal_interrupts_like_a_request_to_end(monkeypatch, number):
    signal.signal(number, signal.SIG_DFL)
    assert signalled(monkeypatch, number) == 130


@pytest.mark.usefixtures("handlers")
def test_a_command_under_nohup_outlives_its_terminal(monkeypatch):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert signalled(monkeypatch, signal.SIGHUP) == 0
