"""`hwkd worker`, `workers` and `submit`: further processes of a search, who and where they are."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.submit import JobFile
    from hwkd.engine.run.at_work import AtWork
    from hwkd.engine.search.shared_worker import WorkerResult


def _saying() -> Mapping[str, Any]:
    def say(line: str) -> None:
        sys.stderr.write(f"hwkd worker: {line}\n")
        sys.stderr.flush()  # a job's log is read while it runs

    return {"on_line": say}


def _show_result(result: WorkerResult) -> None:
    sys.stdout.write(f"{result.candidates} candidates; ended because {result.ended}\n")


def _show_workers(found: Sequence[AtWork]) -> None:
    from rich.console import Console

    from hwkd.api.live import shown
    from hwkd.report.live import worker_table
    from hwkd.report.tables import table_view

    Console().print(table_view(worker_table(shown(found))) if found else "nobody is at work")


def _show_job(job: JobFile) -> None:
    sys.stdout.write(job.text)


COMMANDS = (
    Command(
        name="worker",
        function=hwkd.worker,
        show=_show_result,
        examples=(
            "hwkd worker --storage postgresql://hwkd@db.example/hwkd --study photos",
            "hwkd worker --storage postgresql://hwkd@db.example/hwkd --study photos --max-time 8h",
        ),
        more=_saying,
    ),
    Command(
        name="workers",
        function=hwkd.workers,
        show=_show_workers,
        examples=(
            "hwkd workers runs/photos",
            "hwkd workers postgresql://hwkd@db.example/hwkd --study photos --json",
        ),
    ),
    Command(
        name="submit",
        function=hwkd.submit,
        show=_show_job,
        examples=(
            "hwkd submit slurm runs/photos --workers 32 --time 8h --print",
            "hwkd submit k8s runs/photos --image registry.example/hwkd --print",
        ),
    ),
)
