"""Workers of one search in PostgreSQL are killed, cut off and left without their database.

usage: python -m benchmarks.robustness.many_machines [--quick] [--faults N] [--candidates N]

Starts a server of its own and simulated workers: real proposals, leases, claims and records, while
a training is a pause. Two things are counted. A record that a worker was told is filed must be
there in the end, word for word. And no network may be trained after it was filed, or by two at
once; a kernel lock on a file for each network tells.

With faults: one every second or so, in turn, of kill -9 of a worker (another one starts), all
connections dropped, the database killed and started again. Without: 1 and 8 workers are timed,
and what the database's processes compute while 1 to 64 workers run ten candidates each, and 64 of
them 5,000. Leases last two seconds under faults, and elsewhere as long as those of a search. Where
the workers leave the machine no idle time, they are slower than on machines of their own, and the
database with them: what it computes for one candidate is the number that carries over.
"""

from __future__ import annotations

import argparse
import fcntl
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from optuna.distributions import CategoricalDistribution, IntDistribution

from benchmarks.lib.postgresql import Server, running_server, why_there_is_none
from benchmarks.lib.verdict import Target, count, report
from hwkd.core.errors import LostLeaseError, UnreachableError
from hwkd.core.student import ParamValue, StudentSpec
from hwkd.core.trial import FidelityRecord, ObjectiveRecord, TrialRecord
from hwkd.engine.run.database import Database
from hwkd.engine.run.lease_rows import create_leases
from hwkd.engine.run.proposal import Proposal
from hwkd.engine.run.shared_lease import DatabaseLease
from hwkd.engine.run.storage import create_study, load_study
from hwkd.engine.run.study_place import LEASE_S
from hwkd.engine.run.trials import TakenProposal, Trials

FIDELITY = FidelityRecord(epochs=1)
WIDTHS = 10**6
DOMAINS = {"space": CategoricalDistribution(("a",)), "a.width": IntDistribution(1, WIDTHS)}
_FILED, _TWICE = "filed", "twice"
_PER_FAULT = 20  # candidates of half a second, among eight workers: longer than the faults take
_SHORT_LEASE_S = 2.0
_CURVE, _EACH = (1, 2, 4, 8, 16, 32, 64), 10


@dataclass(frozen=True)
class Study:
    """One simulated search.

    Attributes:
        url: of the database.
        name: of the study.
        folder: for locks and notes.
        candidates: that end it.
        training_s: that a training pauses.
        lease_s: of a lease.
    """

    url: str
    name: str
    folder: Path
    candidates: int
    training_s: float
    lease_s: float = LEASE_S

    def trials(self) -> Trials:
        """Return its trials, as another process opens them."""
        return Trials(load_study(Database.of(self.url), name=self.name), run=self.name)

    def note(self, word: str, line: str) -> None:
        """Keep a line that outlives the process."""
        with (self.folder / word).open("a") as file:
            file.write(line + "\n")

    def notes(self, word: str) -> list[str]:
        """Return the lines that were kept."""
        path = self.folder / word
        return path.read_text().splitlines() if path.is_file() else []


def work(study: Study, seed: int) -> None:
    """Be a worker, as `hwkd.engine.search.loop` is one, whose networks are trained by a pause."""
    random = Random(seed)
    lease = DatabaseLease(
        Database.of(study.url), study.name, name=f"worker{seed}", lease_s=study.lease_s
    )
    try:
        trials = study.trials()
    except UnreachableError as error:
        raise SystemExit(error.exit_code) from None
    while True:
        with lease.asking(), trials.looking_once():
            trials.requeue_lost(lease)
            if not trials.has_queued():
                if trials.candidates_started() >= study.candidates:
                    if not trials.running():
                        break
                    candidate = None
                else:
                    # Some repeat what another worker may be training.
                    most = random.choice((WIDTHS, WIDTHS, WIDTHS, study.candidates))
                    trials.queue([proposal(random.randint(1, most))])
                    candidate = trials.take()
            else:
                candidate = trials.take()
            if candidate is not None:
                try:
                    lease.begin(candidate.trial)
                except LostLeaseError:
                    continue
        if candidate is None:
            time.sleep(0.2)
            continue
        try:
            one(study, trials, lease, candidate)
        except LostLeaseError:
            continue
    lease.leave()


def one(study: Study, trials: Trials, lease: DatabaseLease, candidate: TakenProposal) -> None:
    """Train a candidate, unless another worker does or did, and file what came of it."""
    spec = candidate.proposal.spec
    assert spec is not None
    key = str(candidate.proposal.network_key)
    is_ours = lease.claim(f"{key} {FIDELITY.model_dump_json()}")
    earlier = trials.find_record(key, FIDELITY)
    state = "completed" if is_ours and earlier is None else "duplicate"
    if state == "completed":
        train(study, key)
    made = record(candidate, spec, state)
    lease.filing(candidate.trial, lambda: trials.file(candidate, made))
    study.note(_FILED, made.model_dump_json())


def train(study: Study, key: str) -> None:
    """Pause, and note if the network is or was in training."""
    with (study.folder / f"{key}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            study.note(_TWICE, f"{key} at once")
        time.sleep(study.training_s)


def proposal(width: int) -> Proposal:
    """Return a candidate; its width is the network."""
    spec = StudentSpec(space="a", params={"width": width}, input_shape=(1, 8, 8), num_outputs=3)
    params: dict[str, ParamValue | None] = {"space": "a", "a.width": width}
    return Proposal(
        spec=spec, params=params, domains=DOMAINS, fidelity=FIDELITY, network_key=f"key{width}"
    )


def record(candidate: TakenProposal, spec: StudentSpec, state: str) -> TrialRecord:
    """Return the record of a candidate; what it scored is its number."""
    error = candidate.number % 997 / 997
    terms = ObjectiveRecord(task_error=error, divergence=0.0, latency_overrun=0.0, value=error)
    return TrialRecord.model_validate({
        "number": candidate.number, "state": state, "seed": 0, "started_at": "t",
        "duration_s": 0.0, "spec": spec, "worker": str(os.getpid()),
        "objective": terms if state == "completed" else None, "fidelity": FIDELITY,
    })  # fmt: skip


@dataclass
class Crew:
    """Workers of one study, replaced when they die."""

    study: Study
    size: int
    started: int = 0
    alive: list[multiprocessing.process.BaseProcess] = field(default_factory=list)

    def refill(self) -> None:
        """Start as many as are missing."""
        self.alive = [process for process in self.alive if process.is_alive()]
        while len(self.alive) < self.size:
            self.started += 1
            process = multiprocessing.get_context("fork").Process(
                target=work, args=(self.study, self.started)
            )
            process.start()
            self.alive.append(process)

    def replace_failed(self) -> None:
        """Start again what ended with an error, as whoever runs workers does (exit code 75)."""
        failed = [process for process in self.alive if process.exitcode not in (None, 0)]
        for process in failed:
            self.alive.remove(process)
        if failed:
            self.refill()

    def kill_one(self, random: Random) -> None:
        """End one as nothing can prevent."""
        victim = random.choice(self.alive)
        victim.kill()
        victim.join()
        self.refill()

    def has_failed(self) -> bool:
        """Tell whether one ended with an error and was not replaced."""
        return any(process.exitcode not in (None, 0) for process in self.alive)

    def is_done(self) -> bool:
        """Tell whether every worker ended by itself."""
        return not any(process.is_alive() for process in self.alive)


def new_study(server: Server, name: str, folder: Path, candidates: int, training_s: float) -> Study:
    """Make an empty study."""
    (folder / name).mkdir()
    database = Database.of(server.url())
    create_study(database, objectives=1, name=name)
    create_leases(database)
    return Study(database.url, name, folder / name, candidates, training_s)


def with_faults(study: Study, server: Server, *, workers: int, faults: int, seed: int) -> int:
    """Run a study under faults; returns how many there were."""
    study = replace(study, lease_s=_SHORT_LEASE_S)
    random, crew, made = Random(seed), Crew(study, workers), 0
    kinds: Sequence[Callable[[], None]] = (
        lambda: crew.kill_one(random),
        server.drop_connections,
        server.crash,
    )
    crew.refill()
    while not crew.is_done() or crew.has_failed():
        time.sleep(random.uniform(0.5, 1.5))
        crew.replace_failed()
        if made < faults and not crew.is_done():
            kinds[made % len(kinds)]()
            made += 1
    return made


def lost_and_twice(study: Study) -> tuple[int, int, int]:
    """Return how many filed records are missing, networks trained twice, and candidates filed."""
    trials = study.trials()
    records = trials.records()
    kept = {str(trial.user_attrs.get("hwkd.record")) for trial in trials.study.trials}
    lost = sum(line not in kept for line in study.notes(_FILED))
    keys = [r.spec.params["width"] for r in records if r.state == "completed" and r.spec]
    twice = len(keys) - len(set(keys)) + len(study.notes(_TWICE))
    return lost, twice, len(records)


def seconds_of(study: Study, workers: int) -> float:
    """Run a study without faults; returns its wall time from the first worker on."""
    crew = Crew(study, workers)
    begun = time.monotonic()
    crew.refill()
    while not crew.is_done():
        time.sleep(0.05)
    return time.monotonic() - begun


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of it, not kept")
    parser.add_argument("--faults", type=int, default=50, help="how many")
    parser.add_argument("--candidates", type=int, default=5000, help="of 64 workers")
    arguments = parser.parse_args()
    reason = why_there_is_none()
    if reason is not None:
        print(reason)
        return 2
    share = 10 if arguments.quick else 1
    faults, many = arguments.faults // share, arguments.candidates // share
    targets: list[Target] = []
    with tempfile.TemporaryDirectory() as name, running_server(durable=True) as server:
        folder = Path(name)
        study = new_study(server, "faults", folder, _PER_FAULT * faults, 0.5)
        made = with_faults(study, server, workers=8, faults=faults, seed=0)
        lost, twice, filed = lost_and_twice(study)
        targets += [
            count("faults", made, faults, at_least=True),
            count("finished trials lost under faults", lost, 0),
            count("networks trained twice under faults", twice, 0),
            count("candidates filed under faults", filed, _PER_FAULT * faults, at_least=True),
        ]
        alone = new_study(server, "alone", folder, 80 // share, 1.0)
        eight = new_study(server, "eight", folder, 80 // share, 1.0)
        gain = seconds_of(alone, 1) / seconds_of(eight, 8)
        targets.append(Target("8 workers against 1", gain, 7.0, True, scale=1.0, unit=" x"))
        curve = []
        for workers in _CURVE[:: 1 if share == 1 else 3]:
            small = new_study(server, f"crowd of {workers}", folder, _EACH * workers, 2.0)
            curve.append(load_of(server, small, workers))
            print(curve[-1], flush=True)
        crowd = new_study(server, "crowd", folder, many, 2.0)
        row = load_of(server, crowd, 64 if share == 1 else 16)
        lost, twice, filed = lost_and_twice(crowd)
        targets += [
            count("finished trials lost by 64 workers", lost, 0),
            count("networks trained twice by 64 workers", twice, 0),
            count("candidates filed by 64 workers", filed, many, at_least=True),
            Target("of one core, the database", row["of a core"], 1 / 3),
        ]
    return report(targets, {"load": [*curve, row]})


def load_of(server: Server, study: Study, workers: int) -> dict[str, Any]:
    """Run a study without faults; returns what the database and the workers computed for it."""
    database_s, workers_s = server.processor_s(), _ended_children_s()
    wall_s = seconds_of(study, workers)
    database_s, workers_s = server.processor_s() - database_s, _ended_children_s() - workers_s
    each = 1e3 / study.candidates
    return {
        "workers": workers,
        "candidates": study.candidates,
        "seconds": round(wall_s, 1),
        "a second": round(study.candidates / wall_s, 2),
        "of the ideal": round(study.candidates * study.training_s / workers / wall_s, 3),
        "database ms a candidate": round(each * database_s, 2),
        "workers ms a candidate": round(each * workers_s, 1),
        "of a core": round(database_s / wall_s, 4),
    }


def _ended_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    raise SystemExit(main())
