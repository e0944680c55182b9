"""Puts the commands together and turns what users got wrong into one line and exit code 2."""

from __future__ import annotations

import atexit
import gc
import json
import platform
import signal
import sys
from types import FrameType
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from hwkd import __version__
from hwkd.cli import (
    answers,
    config,
    devices,
    distill,
    evaluate,
    export,
    federated,
    generate,
    listen,
    methods,
    profile,
    prune,
    report,
    schemes,
    search,
    spaces,
    tasks,
    verify,
    watch,
    workers,
)
from hwkd.cli.help_page import GroupPage
from hwkd.cli.output import ending_quietly
from hwkd.core.errors import HwkdError, StoppedByUserError
from hwkd.core.printable import printable

EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130
_SAID_WITH_VERSION = ("torch", "onnxruntime", "optuna")
# A message quotes what was given, which may be a megabyte.
_LONGEST_MESSAGE = 2000

app = typer.Typer(
    name="hwkd",
    cls=GroupPage,
    help="Find, distill, check and hand over the best small neural network for a given chip.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        packages = ", ".join(f"{name} {_version_of(name)}" for name in _SAID_WITH_VERSION)
        typer.echo(f"hwkd {__version__} ({packages}, Python {platform.python_version()})")
        raise typer.Exit


def _version_of(package: str) -> str:
    """Return an installed version without importing the package."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            help="Show the version of hwkd, torch, ONNX Runtime and Optuna.",
            callback=_show_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Find, distill, check and hand over the best small neural network for a given chip."""
    del version  # its callback has answered


COMMANDS = (
    *search.COMMANDS,
    *profile.COMMANDS,
    *report.COMMANDS,
    *distill.COMMANDS,
    *generate.COMMANDS,
    *prune.COMMANDS,
    *answers.COMMANDS,
    *federated.COMMANDS,
    *export.COMMANDS,
    *verify.COMMANDS,
    *evaluate.COMMANDS,
    *listen.COMMANDS,
    *workers.COMMANDS,
    *watch.COMMANDS,
    *devices.COMMANDS,
    *spaces.COMMANDS,
    *methods.COMMANDS,
    *schemes.COMMANDS,
    *tasks.COMMANDS,
    *config.COMMANDS,
)
_GROUPS = {
    "config": "The options that a run was asked for.",
    "devices": "The chips: what is known, with what error, and how to add your own board.",
    "spaces": "The search spaces: families of students.",
    "methods": "The distillation methods: formula, needs, cost, evidence.",
    "federated": "Trainings whose samples stay where they are: a server, and clients that join.",
    "schemes": "The distillation schemes: who teaches whom, cost, control, evidence.",
    "tasks": "The tasks: what can be learned.",
}


def _add_all() -> None:
    groups = {
        name: typer.Typer(cls=GroupPage, help=text, no_args_is_help=True)
        for name, text in _GROUPS.items()
    }
    for group in groups.values():
        group.callback()(_nothing)  # or typer makes a group of one command the command itself
    for command in COMMANDS:
        *first, word = command.name.split()
        target = groups[first[0]] if first else app
        target.command(word, help=command.help, cls=command.page.command())(command.callback())
    for name, group in groups.items():
        app.add_typer(group, name=name)


def _nothing() -> None:
    """Do nothing before a command of a group."""


_add_all()
# All dies with the process: looking through it object by object takes a processor second after a
# search.
atexit.register(gc.freeze)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 is done, 2 is wrong input (one line on stderr), 75 is a server that does not answer now, 130
    is interrupted with everything saved. A defect of ours keeps its traceback. A reader that closes
    the pipe changes nothing; output lost otherwise (a full disk) is 2.
    """
    if sys.platform == "win32":
        return _fail("Windows is not supported; run hwkd in WSL (`wsl --install`), as on Linux")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` leaves it
            signal.signal(number, _interrupt)
    with ending_quietly() as output:
        code = _run(arguments)
        if output is not None:
            output.flush()
        reason = "standard output is closed" if output is None else output.reason
        if reason is not None:
            return code or _fail(f"cannot write what there is to say: {reason}")
    return code


def _run(arguments: list[str] | None) -> int:
    try:
        code = app(args=arguments, prog_name="hwkd", standalone_mode=False)
    except StoppedByUserError as error:
        sys.stderr.write(f"hwkd: interrupted; {error}\n")
        return _as_json(arguments, error, str(error), EXIT_INTERRUPTED)
    except HwkdError as error:
        _fail(str(error))
        return _as_json(arguments, error, str(error), error.exit_code)
    except TyperException as error:
        _fail(error.format_message())
        return _as_json(arguments, error, error.format_message(), EXIT_WRONG_INPUT)
    except (KeyboardInterrupt, Abort):
        code = EXIT_INTERRUPTED
    except Exception as error:
        if not _is_interrupt(error):
            raise
        code = EXIT_INTERRUPTED
    if code == EXIT_INTERRUPTED:  # typer swallows KeyboardInterrupt and returns this code
        sys.stderr.write("hwkd: interrupted\n")
    return int(code or 0)


def _as_json(arguments: list[str] | None, error: Exception, message: str, exit_code: int) -> int:
    """Print an error as JSON where --json was typed, so that a reader always gets one object."""
    if "--json" in (sys.argv[1:] if arguments is None else arguments) and message:
        line = " ".join(message.split())
        said = {"kind": type(error).__name__, "message": line, "exit_code": exit_code}
        typer.echo(json.dumps({"error": said}))
    return exit_code


def _interrupt(signum: int, frame: FrameType | None) -> None:
    del signum, frame
    raise KeyboardInterrupt


def _is_interrupt(error: BaseException | None) -> bool:
    """Tell whether an error is what a library makes of a Ctrl-C while it is imported."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _fail(message: str) -> int:
    if message:  # empty when a command group was called alone and has shown its help
        # A message may quote names from a file: what a terminal would obey is shown as escapes.
        line = printable(" ".join(message.split()))
        shown = line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]} ..."
        sys.stderr.write(f"hwkd: {shown}\n")
    return EXIT_WRONG_INPUT
