"""`hwkd.submit`: what a cluster needs to start workers."""

from dataclasses import dataclass
from typing import Annotated

from hwkd.api.common import RunPlace, StudyOption, Trust
from hwkd.api.option import Option, command_line, declares_options
from hwkd.api.worker import IdleExit, Scratch, WorkerData, WorkerSpaces, worker
from hwkd.core.choices import ClusterSystem
from hwkd.core.units import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFile:
    """A file that a cluster takes."""

    system: ClusterSystem
    text: str


JobMemory = Annotated[str, Option("Memory of each worker, as 4GiB.", amount="4GiB")]
JobTime = Annotated[
    Duration,
    Option("The cluster ends a worker after so long; it ends itself a bit earlier.", amount="8h"),
]
JobImage = Annotated[str | None, Option("k8s: container image with hwkd[postgresql] and the data.")]
JobSecret = Annotated[
    str, Option("k8s: the secret whose key `password` is the database's password.")
]


@declares_options
def submit(
    system: Annotated[ClusterSystem, Option("slurm, k8s or ray.", metavar="SYSTEM")],
    run: RunPlace,
    *,
    study: StudyOption = None,
    prints: Annotated[
        bool, Option("Print the file, which you read and hand in yourself.", flag="print")
    ] = False,
    workers: Annotated[int, Option("How many workers.", minimum=1, maximum=10_000)] = 16,
    cpus: Annotated[int, Option("Cores of each worker.", minimum=1)] = 2,
    memory: JobMemory = "4GiB",
    time: JobTime = "8h",
    image: JobImage = None,
    secret: JobSecret = "hwkd-database",
    idle_exit: IdleExit = "10min",
    scratch: Scratch = None,
    data: WorkerData = None,
    spaces: WorkerSpaces = (),
    trust: Trust = False,
) -> JobFile:
    """Write what a cluster needs to start workers: a Slurm array, a Kubernetes Job, a Ray job.

    The workers live as long as their job or the search, and take candidate after candidate. No
    password is written. The database is not asked.

    Raises:
        HwkdError: in one line, if an option is wrong.
    """
    from hwkd.core.errors import ConfigError
    from hwkd.core.units import parse_bytes, parse_duration_s
    from hwkd.engine.run.at_work import place_of
    from hwkd.engine.run.job_files import ClusterJob, job_file, worker_time_s

    if not prints:
        raise ConfigError("--print is missing: hwkd writes what to hand in, and you hand it in")
    url, name = place_of(run, study)
    time_s = parse_duration_s(time, option="--time")
    given = {
        "storage": url,
        "study": name,
        "max_time": f"{worker_time_s(time_s)}s",
        "idle_exit": idle_exit,
        "scratch": scratch,
        "data": data,
        "spaces": spaces,
        "trust": trust,
    }
    job = ClusterJob(
        study=name,
        command=command_line("hwkd worker", worker, given),
        workers=workers,
        cpus=cpus,
        memory_bytes=parse_bytes(memory, option="--memory"),
        time_s=int(time_s),
        image=image,
        secret=secret,
    )
    return JobFile(system=system, text=job_file(system, job))
