"""Files that start workers on a cluster: a Slurm array, a Kubernetes Job, a job of Ray.

Each starts long-lived workers, which take candidate after candidate. What a user or a study may
have chosen is quoted for the language that it stands in.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hwkd.core.choices import ClusterSystem
from hwkd.core.errors import ConfigError

# So long before the end of their job workers end by themselves; so long they have after SIGTERM.
_MARGIN_S, _GRACE_S = 120, 40
_SHORTEST_S = 600
_MIB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterJob:
    """Workers to start.

    Attributes:
        study: that they work on; names the job.
        time_s: after which the system ends a worker.
        image: of the container; Kubernetes only.
        secret: that holds the database's password under the key `password`; Kubernetes only.
    """

    study: str
    command: Sequence[str]
    workers: int
    cpus: int
    memory_bytes: int
    time_s: int
    image: str | None
    secret: str

    @property
    def name(self) -> str:
        """A name that every system takes: small letters, digits and hyphens."""
        plain = re.sub("[^a-z0-9]+", "-", self.study.lower())[:40].strip("-")
        return f"hwkd-{plain}" if plain else "hwkd"

    @property
    def memory_mib(self) -> int:
        """Memory of a worker in MiB, rounded up."""
        return -(-self.memory_bytes // _MIB)


def worker_time_s(time_s: float) -> int:
    """Return after how long a worker ends by itself in a job that lasts `time_s`.

    Raises:
        ConfigError: if that leaves no time to work.
    """
    if time_s < _SHORTEST_S:
        raise ConfigError(
            f"--time {time_s:g}s: a worker starts, trains and gives back within it; give at least "
            f"{_SHORTEST_S // 60}min"
        )
    return int(time_s) - _MARGIN_S


def job_file(system: ClusterSystem, job: ClusterJob) -> str:
    """Return the text that a system takes.

    Raises:
        ConfigError: if the job lacks what the system needs.
    """
    return _WRITERS[system](job)


def _slurm(job: ClusterJob) -> str:
    minutes, seconds = divmod(job.time_s, 60)
    hours, minutes = divmod(minutes, 60)
    return f"""#!/bin/bash
# Hand in with: sbatch FILE
# The database's password: in ~/.pgpass, or in PGPASSWORD where sbatch runs.
#SBATCH --job-name={job.name}
#SBATCH --array=1-{job.workers}
#SBATCH --cpus-per-task={job.cpus}
#SBATCH --mem={job.memory_mib}M
#SBATCH --time={hours:02}:{minutes:02}:{seconds:02}
#SBATCH --signal=B:TERM@{_GRACE_S}
export OMP_NUM_THREADS={job.cpus}
exec {_shell(job.command)}
"""


def _kubernetes(job: ClusterJob) -> str:
    if job.image is None:
        raise ConfigError("--image is missing: name the container image that holds hwkd and data")
    if not re.fullmatch("[a-z0-9]([-.a-z0-9]*[a-z0-9])?", job.secret):
        raise ConfigError(
            f"--secret {job.secret!r}: is no name of a secret; give small letters, digits and "
            "hyphens"
        )
    # Kubernetes puts the value of a variable where a word says $(NAME); $$ is a dollar.
    words = "".join(f"\n            - {_quoted(word.replace('$', '$$'))}" for word in job.command)
    return f"""# Hand in with: kubectl create -f FILE
# The password, in a file: kubectl create secret generic {job.secret} --from-file=password
apiVersion: batch/v1
kind: Job
metadata:
  name: {job.name}
spec:
  parallelism: {job.workers}
  completions: {job.workers}
  backoffLimit: {10 * job.workers}
  template:
    spec:
      restartPolicy: OnFailure
      activeDeadlineSeconds: {job.time_s}
      terminationGracePeriodSeconds: {_GRACE_S}
      containers:
        - name: worker
          image: {_quoted(job.image)}
          command:{words}
          env:
            - name: OMP_NUM_THREADS
              value: "{job.cpus}"
            - name: PGPASSWORD
              valueFrom: {{secretKeyRef: {{name: "{job.secret}", key: password}}}}
          resources:
            requests: {{cpu: "{job.cpus}", memory: {job.memory_mib}Mi}}
            limits: {{cpu: "{job.cpus}", memory: {job.memory_mib}Mi}}
"""


def _ray(job: ClusterJob) -> str:
    words = "".join(f"\n    {_quoted(word)}," for word in job.command)
    return f"""# Hand in with: ray job submit --working-dir . -- python FILE
# The database's password: in ~/.pgpass of every node, or in PGPASSWORD where `ray start` ran.
import os
import subprocess

import ray

COMMAND = [{words}
]


@ray.remote(num_cpus={job.cpus}, memory={job.memory_bytes}, max_retries=10, retry_exceptions=True)
def work() -> None:
    limit = ["timeout", "--kill-after={_GRACE_S}", "{job.time_s}"]
    environment = os.environ | {{"OMP_NUM_THREADS": "{job.cpus}"}}
    subprocess.run([*limit, *COMMAND], check=True, env=environment)


ray.init()
ray.get([work.remote() for _ in range({job.workers})])
"""


def _shell(command: Sequence[str]) -> str:
    """Return a command for a shell, with a line for each option."""
    lines: list[list[str]] = [[]]
    for word in command:
        if word.startswith("--"):
            lines.append([])
        lines[-1].append(shlex.quote(word))
    return " \\\n  ".join(map(" ".join, lines))


def _quoted(text: str) -> str:
    """Return a literal of YAML, and of Python, that is this text, whatever it holds."""
    plain = {chr(code) for code in range(0x20, 0x7F)} - set('"\\')
    shown = (each if each in plain else f"\\U{ord(each):08X}" for each in text)
    return f'"{"".join(shown)}"'


_WRITERS: Mapping[ClusterSystem, Callable[[ClusterJob], str]] = {
    "slurm": _slurm,
    "k8s": _kubernetes,
    "ray": _ray,
}
