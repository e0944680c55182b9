"""`hwkd search`: from data to the best student that fits the device."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import typer

from hwkd.cli import search_options as opt
from hwkd.core.errors import ConfigError

if TYPE_CHECKING:
    from hwkd.api import SearchOutcome

__all__ = ["present", "search"]

EXIT_NOT_VERIFIED = 1
_CHANGED_BY_RESUME = {"resume", "trials", "timeout", "workers", "trust", "as_json"}


def search(
    device: opt.DeviceName = None,
    runtime: opt.RuntimeName = None,
    clock: opt.Clock = None,
    task: opt.TaskName = "classify",
    data: opt.DataPath = None,
    input_size: opt.InputSize = None,
    layout: opt.LayoutOption = "auto",
    teacher: opt.TeacherSource = None,
    teacher_weights: opt.TeacherWeights = None,
    teacher_time: opt.TeacherTime = None,
    space: opt.Spaces = None,
    max_latency: opt.MaxLatency = None,
    max_ram: opt.MaxRam = None,
    max_flash: opt.MaxFlash = None,
    max_weights: opt.MaxWeights = None,
    max_energy: opt.MaxEnergy = None,
    risk: opt.RiskOption = "upper",
    objective: opt.Objective = "weighted",
    alpha: opt.Alpha = 1.0,
    beta: opt.Beta = 0.1,
    gamma: opt.Gamma = 0.5,
    target_latency: opt.TargetLatency = None,
    calibration: opt.CalibrationOption = "auto",
    qat: opt.Qat = "auto",
    method: opt.Methods = None,
    brief_epochs: opt.BriefEpochs = None,
    full_epochs: opt.FullEpochs = None,
    controls: opt.Controls = 1,
    final: opt.Final = True,
    verify: opt.Verify = False,
    trials: opt.Trials = None,
    sampler: opt.Sampler = "surrogate",
    timeout: opt.Timeout = None,
    trial_timeout: opt.TrialTimeout = "10min",
    workers: opt.Workers = None,
    accelerator: opt.AcceleratorOption = "auto",
    seed: opt.Seed = 0,
    out: opt.Out = None,
    resume: opt.Resume = None,
    trust: opt.Trust = False,
    as_json: opt.AsJson = False,
    *,
    context: typer.Context,
) -> None:
    """Find, distil and export the best small network for a device.

    Samples students, rejects by arithmetic what cannot fit, distils the rest briefly from a
    teacher, scores the int8 model, and trains the best one in full. RUN/report.html shows it all.

    Examples:
      hwkd search --device cortex-m7

      hwkd search --device cortex-m4 --data photos --max-latency 20ms --max-ram 64KiB

      hwkd search --resume runs/cortex-m7-20260102-101500 --trials 200
    """
    started_s = time.monotonic()  # the imports below take seconds of a time limit, too
    from hwkd import api
    from hwkd.cli.search_display import search_display

    if resume is not None:
        _refuse_what_a_run_fixes(context)
        with search_display(quiet=as_json) as listener:
            outcome = api.resume(
                resume,
                trials=trials,
                timeout=timeout,
                workers=workers,
                trust=trust,
                listener=listener,
                started_s=started_s,
            )
    elif trust:
        raise ConfigError("--trust: goes with --resume; a new search runs the files it is given")
    elif device is None:
        raise ConfigError(
            "--device is missing; give a name from `hwkd devices list` or a TOML file"
        )
    else:
        with search_display(quiet=as_json) as listener:
            outcome = api.search(
                device,
                runtime=runtime,
                clock=clock,
                task=task,
                data=data,
                input_size=input_size,
                layout=layout,
                teacher=teacher,
                teacher_weights=teacher_weights,
                teacher_time=teacher_time,
                spaces=space,
                max_latency=max_latency,
                max_ram=max_ram,
                max_flash=max_flash,
                max_weights=max_weights,
                max_energy=max_energy,
                risk=risk,
                objective=objective,
                alpha=alpha,
                beta=beta,
                gamma=gamma,
                target_latency=target_latency,
                calibration=calibration,
                qat=qat,
                methods=method or (),
                brief_epochs=brief_epochs,
                full_epochs=full_epochs,
                controls=controls,
                final=final,
                verify=verify,
                trials=trials,
                sampler=sampler,
                timeout=timeout,
                trial_timeout=trial_timeout,
                workers=workers,
                accelerator=accelerator,
                seed=seed,
                out=out,
                listener=listener,
                command=["hwkd", *sys.argv[1:]],
                started_s=started_s,
            )
    present(outcome, as_json=as_json)


def _refuse_what_a_run_fixes(context: typer.Context) -> None:
    """Raise if an option was given that a resumed search would silently ignore."""
    for name in context.params:
        source = context.get_parameter_source(name)
        is_given = source is not None and source.name == "COMMANDLINE"
        if is_given and name not in _CHANGED_BY_RESUME:
            raise ConfigError(
                f"--{name.replace('_', '-')}: is fixed by the run; with --resume only --trials, "
                "--timeout, --workers and --trust may be given; start a new run for anything else"
            )


def present(outcome: SearchOutcome, *, as_json: bool) -> None:
    """Print what came of a search.

    Raises:
        typer.Exit: with code 1 if the best student's C computes something else.
    """
    if as_json:
        typer.echo(json.dumps(outcome.summary()))
    else:
        _print(outcome)
    verification = outcome.best.verification if outcome.best is not None else None
    if verification is not None and not verification.passed:
        raise typer.Exit(EXIT_NOT_VERIFIED)


def _print(outcome: SearchOutcome) -> None:
    from rich.console import Console

    from hwkd.report.tables import best_view, front_view
    from hwkd.report.verification_section import verdict

    console = Console()
    console.print(front_view(outcome.page))
    console.print(best_view(outcome.page))
    console.print(f"report: {outcome.folder / 'report.html'}", soft_wrap=True)
    if outcome.best is not None and outcome.best.verification is not None:
        console.print(verdict(outcome.best.verification))
    if outcome.best is not None:
        console.print(f"student: {outcome.folder / 'best'}", soft_wrap=True)
