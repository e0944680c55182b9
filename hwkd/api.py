"""`hwkd.search(...)`: the command `hwkd search` for scripts and notebooks, with the same options.

Quantities are text with a unit, as on the command line: `max_latency="20ms"`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from hwkd.core import catalog
from hwkd.core.errors import ConfigError
from hwkd.core.final_record import FinalRecord
from hwkd.core.pareto import FrontPoint
from hwkd.core.run_record import RunRecord
from hwkd.core.trial import TrialRecord
from hwkd.core.units import parse_bytes, parse_duration_s, parse_energy_j, parse_frequency_hz
from hwkd.distill.spec import parse_methods
from hwkd.engine.arms.publish import BEST_FOLDER
from hwkd.engine.search.listener import SearchListener, SilentListener
from hwkd.engine.search.run import SearchResult
from hwkd.engine.search.run import finish_run as _finish_run
from hwkd.engine.search.run import resume_search as _resume_search
from hwkd.engine.search.run import run_search as _run_search
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.methods import NO_METHOD
from hwkd.engine.setup.time_plan import TimeLimit
from hwkd.engine.setup.trust import named_by_user
from hwkd.io import discovery
from hwkd.io.machine import available_cores
from hwkd.io.run_text import write_text
from hwkd.report.build import build_report
from hwkd.report.document import Report
from hwkd.report.model_card import model_card
from hwkd.report.summary import summary_json
from hwkd.report.write import write_report_files
from hwkd.tasks.base import Layout

__all__ = ["SearchOutcome", "finish", "resume", "search"]


@dataclass(frozen=True, kw_only=True)
class SearchOutcome:
    """A finished search; its folder already holds the report.

    Attributes:
        folder: the run folder.
        seconds: wall time of the call that returned this.
        page: the report as data.
    """

    folder: Path
    seconds: float
    page: Report

    @property
    def run(self) -> RunRecord:
        """Facts of the search."""
        return self.page.run

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        """Every trial, by number; tables per operator and epoch are the best one's alone."""
        return tuple(self.page.records)

    @property
    def pareto(self) -> tuple[FrontPoint, ...]:
        """Undominated students, fastest first."""
        return tuple(self.page.front)

    @property
    def best(self) -> FinalRecord | None:
        """The best student after full training, tested once; None without a final training."""
        return self.run.final

    def report(self) -> Path:
        """Write the report again from the records and return the path of the page."""
        write_report_files(self.folder)
        return self.folder / "report.html"

    def summary(self) -> dict[str, Any]:
        """Return what `hwkd search --json` prints."""
        return {**summary_json(self.page, self.folder), "seconds": self.seconds}


def search(
    device: str,
    *,
    runtime: str | None = None,
    clock: str | None = None,
    task: str = "classify",
    data: str | Path | None = None,
    input_size: str | None = None,
    layout: Layout = "auto",
    teacher: str | None = None,
    teacher_weights: str | Path | None = None,
    teacher_time: str | None = None,
    spaces: Sequence[str] | None = None,
    max_latency: str | None = None,
    max_ram: str | None = None,
    max_flash: str | None = None,
    max_weights: str | None = None,
    max_energy: str | None = None,
    risk: Literal["upper", "expected", "lower"] = "upper",
    objective: Literal["weighted", "pareto"] = "weighted",
    alpha: float = 1.0,
    beta: float = 0.1,
    gamma: float = 0.5,
    target_latency: str | None = None,
    calibration: Literal["auto", "minmax", "percentile", "mse"] = "auto",
    qat: Literal["auto", "on", "off"] = "auto",
    methods: Sequence[str] = (),
    brief_epochs: int | None = None,
    full_epochs: int | None = None,
    controls: int = 1,
    final: bool = True,
    verify: bool = False,
    trials: int | None = None,
    sampler: Literal["surrogate", "tpe", "nsga2", "gp", "random"] = "surrogate",
    timeout: str | None = None,
    trial_timeout: str = "10min",
    workers: int | None = None,
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    seed: int = 0,
    out: str | Path | None = None,
    listener: SearchListener | None = None,
    command: Sequence[str] | None = None,
    started_s: float | None = None,
) -> SearchOutcome:
    """Find, distil and export the best small network for a device.

    Args:
        device: catalogue name or path of a TOML file.
        runtime: runtime on the device; None is its default.
        clock: as "216MHz"; None is the device's.
        task: registered name.
        data: folder or file; None is the data set that the task ships.
        input_size: "HEIGHTxWIDTH" that images are resized to; None keeps theirs.
        layout: order of the axes of an NPZ file's arrays.
        teacher: "model.onnx" or "package.module:factory"; None trains one.
        teacher_weights: safetensors file for a factory.
        teacher_time: bound on training a teacher, as "5min".
        spaces: registered names or paths of Python files; None is all registered ones.
        max_latency: hard limit, as "20ms".
        max_ram: hard limit, as "128KiB"; None is the device's.
        max_flash: hard limit on weights and the runtime's code; None is the device's.
        max_weights: hard limit on weights alone, as "20kB".
        max_energy: hard limit, as "1mJ".
        risk: end of the 90% latency interval that must stay inside `max_latency`.
        objective: "weighted" sum, or the "pareto" front of error, latency, RAM and flash.
        alpha: weight of the int8 validation error.
        beta: weight of the divergence from the teacher, per nat.
        gamma: weight of max(0, latency / target - 1).
        target_latency: target of the overrun; None is `max_latency`, else the device's.
        calibration: how int8 ranges are found; "auto" is min-max, and for the best student what is
            best on validation.
        qat: train the best student again with simulated int8 rounding; "auto" when int8 loses more
            than 0.5 points of validation accuracy.
        methods: what students learn by beside the labels, as "kd:temperature=4,weight=0.9";
            several are combined, ("none",) is labels alone, none given leaves it to the data.
        brief_epochs: for each candidate; None is chosen from the size of the data.
        full_epochs: for the best student; None is chosen from the size of the data.
        controls: seeds over which the best student is trained with the teacher, by cross-entropy,
            with label smoothing and by the methods' transforms without a teacher; the one that is
            best on validation ships. 0 trains the student once.
        final: train the best student in full and test it.
        verify: compile its C for the device's core and run it emulated.
        trials: students to train; rejected and repeated candidates do not count. None is 40, or as
            many as `timeout` allows.
        sampler: what chooses candidates; "surrogate" is our own, the others are Optuna's.
        timeout: bound on the whole call, as "10min", from its first line to the last file.
        trial_timeout: a candidate that trains longer is recorded as failed.
        workers: processes; None is one per core.
        accelerator: where networks are trained.
        seed: with one worker, the same seed gives the same trials.
        out: run folder to create; None is `runs/DEVICE-DATE-TIME`.
        listener: hears how it goes; None is silence.
        command: recorded as the way to repeat the search.
        started_s: when the time limit began to run, by `time.monotonic`; None is now.

    Raises:
        HwkdError: in one line, if an option, the data or the teacher is wrong.
    """
    started_s = _start(started_s)
    raw: dict[str, Any] = {
        "device": _whole_path(device, ".toml"),
        "runtime": runtime,
        "clock_hz": None if clock is None else parse_frequency_hz(clock, option="--clock"),
        "task": task,
        "data": str(Path(data).resolve()) if data else None,
        "input_size": _size(input_size),
        "layout": layout,
        "spaces": _spaces(spaces),
        "trials": trials,
        "sampler": sampler,
        "timeout_s": _duration(timeout, "--timeout"),
        "seed": seed,
        "workers": workers or available_cores(),
        "accelerator": accelerator,
        "train_best": final,
        "verify_best": verify,
        "limits": {
            "latency_s": _duration(max_latency, "--max-latency"),
            "ram_bytes": _bytes(max_ram, "--max-ram"),
            "flash_bytes": _bytes(max_flash, "--max-flash"),
            "weight_bytes": _bytes(max_weights, "--max-weights"),
            "energy_j": None
            if max_energy is None
            else parse_energy_j(max_energy, option="--max-energy"),
            "risk": risk,
        },
        "objective": {
            "mode": objective,
            "alpha": alpha,
            "beta": beta,
            "gamma": gamma,
            "target_latency_s": _duration(target_latency, "--target-latency"),
        },
        "teacher": {
            "source": None if teacher is None else _whole_path(teacher, ".onnx"),
            "weights": str(Path(teacher_weights).resolve()) if teacher_weights else None,
            "time_budget_s": _duration(teacher_time, "--teacher-time"),
        },
        "training": {
            "brief_epochs": brief_epochs,
            "full_epochs": full_epochs,
            "controls": controls,
            "trial_timeout_s": _duration(trial_timeout, "--trial-timeout"),
        },
        "quantisation": {"calibration": calibration, "qat": qat},
        "distill": _distill(methods),
    }
    config = named_by_user(SearchConfig.checked(raw, where="options"))
    folder = Path(out) if out else _default_folder(device)
    result = _run_search(
        config,
        folder,
        limit=TimeLimit(config.timeout_s, started_s),
        listener=listener or SilentListener(),
        command=command or ("hwkd.search", device),
        write_report=_write_report,
    )
    return _outcome(result)


def resume(
    folder: str | Path,
    *,
    trials: int | None = None,
    timeout: str | None = None,
    workers: int | None = None,
    trust: bool = False,
    listener: SearchListener | None = None,
    started_s: float | None = None,
) -> SearchOutcome:
    """Go on with a search that was interrupted, killed or finished; see `hwkd search --resume`.

    Args:
        folder: run folder.
        trials: candidates to sample in all; None keeps the number asked for first.
        timeout: bound on this call, as "10min"; None is none.
        workers: processes; None keeps the number asked for first.
        trust: run the Python files that the run names, as they were recorded.
        listener: hears how it goes; None is silence.
        started_s: when the time limit began to run, by `time.monotonic`; None is now.

    Raises:
        HwkdError: in one line, if it cannot go on.
    """
    limit = TimeLimit(_duration(timeout, "--timeout"), _start(started_s))
    result = _resume_search(
        Path(folder),
        trials=trials,
        limit=limit,
        workers=workers,
        trusts=trust,
        listener=listener or SilentListener(),
        write_report=_write_report,
    )
    return _outcome(result)


def finish(
    folder: str | Path,
    *,
    timeout: str | None = None,
    controls: int | None = None,
    trust: bool = False,
    listener: SearchListener | None = None,
    started_s: float | None = None,
) -> SearchOutcome:
    """Train the best students of a run in full, again; see `hwkd finish`.

    Args:
        folder: run folder with a completed trial.
        timeout: bound on the whole call, as "20min"; None trains at full length.
        controls: seeds over which the best student is trained with the teacher and without; None
            keeps what the search was asked for.
        trust: run the Python files that the run names, as they were recorded.
        listener: hears how it goes; None is silence.
        started_s: when the time limit began to run, by `time.monotonic`; None is now.
    """
    limit = TimeLimit(_duration(timeout, "--timeout"), _start(started_s))
    result = _finish_run(
        Path(folder),
        limit=limit,
        seeds=controls,
        trusts=trust,
        listener=listener or SilentListener(),
        write_report=_write_report,
    )
    return _outcome(result)


def _start(started_s: float | None) -> float:
    return time.monotonic() if started_s is None else started_s


def _write_report(folder: Path) -> None:
    page = write_report_files(folder)
    if page.run.final is not None and page.best is not None:
        write_text(folder / BEST_FOLDER / "MODEL_CARD.md", model_card(page.run, page.best))


def _outcome(result: SearchResult) -> SearchOutcome:
    page = build_report(result.run, result.records)
    return SearchOutcome(folder=result.folder, seconds=result.seconds, page=page)


def _duration(text: str | None, option: str) -> float | None:
    return None if text is None else parse_duration_s(text, option=option)


def _bytes(text: str | None, option: str) -> int | None:
    return None if text is None else parse_bytes(text, option=option)


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if match is None:
        raise ConfigError(f"--input-size: {text!r} is not HEIGHTxWIDTH, as 32x32")
    return int(match.group(1)), int(match.group(2))


def _spaces(given: Sequence[str] | None) -> tuple[str, ...]:
    if given:
        return tuple(_whole_path(name, ".py") for name in given)
    discovery.discover("hwkd.search_spaces")
    return catalog.SEARCH_SPACES.names()


def _distill(methods: Sequence[str]) -> list[dict[str, Any]]:
    if tuple(methods) == (NO_METHOD,):
        return [{"method": NO_METHOD}]
    return [entry.table() for entry in parse_methods(methods)]


def _whole_path(text: str, suffix: str) -> str:
    """Make the name of a file absolute, so that the run can be resumed from another folder."""
    return str(Path(text).resolve()) if text.lower().endswith(suffix) else text


def _default_folder(device: str) -> Path:
    return Path("runs") / f"{Path(device).stem}-{datetime.now():%Y%m%d-%H%M%S}"
