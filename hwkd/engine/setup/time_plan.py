"""The wall time of one command: how a limit is divided among the stages, and what is left of it.

A limit counts from the first line to the last file. Every stage has a share and a hard end, and
what must follow (verification, report) is taken off before anything is shared out, at the pace
measured so far: on a busy machine everything takes longer, the report as well.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from hwkd.core.errors import ConfigError
from hwkd.io.machine import available_cores

Stage: TypeAlias = Literal["teacher", "search", "final training", "verification", "report"]

# Of what is left when the data is read, less what must follow the training. A teacher that takes
# more of the time costs its students more in training than it can give them.
_TEACHER_SHARE = 0.15
# Of what is left after the teacher: brief trainings rank networks, the full one makes the best.
_SEARCH_SHARE = 0.42
# Where a full training makes few passes, by the fastest candidate's pace, every further one still
# makes it better (errors fall with the passes to the power of .15: docs/decisions), and the
# textbook designs that come first are soon compared.
_SEARCH_SHARE_OF_FEW_PASSES, _MANY_PASSES = 0.3, 400
# Of an idle core: reports of a search of 40 candidates, and 512 inputs on an emulated core.
_REPORT_S = 1.0
_VERIFICATION_S = 20.0
# The command line that starts, processes that end, files that are moved: what no stage counts.
_MARGIN_S = 1.0
# So many candidates a worker at least where each of them learns something: fewer compare nothing.
_FEWEST_PER_WORKER = 6
# A full training is worth its while from two brief ones on, and if it is as long as both. Of parts
# to detect, on a busy machine, the first design alone had mAP@50 .629 after 87 s, the best of four
# of 87 s; and .772 where it went on for 320 s. Where time is shorter, candidates are given up
# before it: two learn two thirds of what they should, then one is all that is tried, and trained as
# long again.
_FEWEST_TO_REFINE, _BARELY_LEARNED, _FEWEST_TO_COMPARE = 2, 2 / 3, 4
# Processor time of exporting, rounding and scoring a student for the first time in a process. A
# full training does so before it begins, to know how long it takes, and after it in several forms.
_FIRST_SCORING_S, _SCORINGS_OF_FULL = 1.0, 4.0
# A search needs two students of a second each, or it has nothing to compare.
_LEAST_TRAINING_S = 2.0
# Reading a small data set and finding what fits takes so much of what importing the code took.
_SMALL_DATA_RATIO = 0.6
_MOST_SLOWDOWN = 12.0
# Processor time of importing the code, in this process and in the one that forks others; and of
# what starting looks like to need, what a limit has to hold: a pace may rise.
_IMPORTING_S, _SURE_START_SHARE, _LEAST_START_S = 4.5, 0.8, 0.1
# Of a machine that is busier than this when a command begins, a moment later says more.
_MOST_WAITING = 20.0
# Wall time over processor time from which somebody else is computing on this machine, too.
_BUSY = 1.3
# What is shorter, as the start of a call from Python that has imported everything, tells no pace.
_TELLING_S = 1.0
# Of what is left, trainings get so much however slow the report would be.
_LEAST_SHARE = 0.5


@dataclass
class TimeLimit:
    """What a command may take and has taken.

    Attributes:
        limit_s: of the whole command; None is none.
        started_s: when the command began, by `clock`.
        clock: seconds, monotonic: a clock that is set does not move it.
        imported_s: when the code was imported, since the command began.
        start_up_s: when the data was read and what fits was known, since the command began.
        child_s: what a worker process takes until it has code and data; 0 until that is known.
        slowdown: wall time over processor time of what was timed last, 1 on an idle machine.
        report_s: what the report takes; replaced once one was written.
        learning_s: processor time in which the candidate that trains fastest learns something; 0
            where it is unknown.
        pass_s: processor time of one pass of it over the train split; 0 where it is unknown.
    """

    limit_s: float | None
    started_s: float
    clock: Callable[[], float] = time.monotonic
    imported_s: float = 0.0
    start_up_s: float = 0.0
    child_s: float = 0.0
    slowdown: float = 1.0
    report_s: float = _REPORT_S
    learning_s: float = 0.0
    pass_s: float = 0.0
    _cpu_started_s: float = field(default_factory=time.process_time)

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return self.limit_s is not None

    @property
    def wants_one_thread(self) -> bool:
        """Whether to compute on one thread, since others compute too.

        The number of threads decides the last bits of weights, and so what is found: only under a
        limit, which no two runs keep alike, may the load of the machine change it.
        """
        return self.is_limited and self.slowdown > _BUSY

    def spent_s(self) -> float:
        """Return the seconds since the command began."""
        return self.clock() - self.started_s

    def left_s(self) -> float:
        """Return the seconds until the limit, negative when it has passed; infinite without one."""
        return math.inf if self.limit_s is None else self.limit_s - self.spent_s()

    def code_is_imported(self) -> None:
        """Note it, and the pace: the imports end before the first line of a search."""
        self.imported_s = self.spent_s()
        self._take_pace(self.imported_s, time.process_time() - self._cpu_started_s)

    def data_is_read(self, *, imports_again: bool) -> None:
        """Note it: what follows before the first training is arithmetic.

        Args:
            imports_again: a worker process has to import the code, too, not to read data alone.
        """
        spent_s = self.spent_s()
        self.child_s = spent_s if imports_again else spent_s - self.imported_s

    def is_ready(self, *, beside_s: float = 0.0) -> None:
        """Take the pace: how long starting took, and how much others slow this machine down.

        Args:
            beside_s: processor time of a process of ours that imported meanwhile; on one core that
                slows this one down, and ends with the imports.
        """
        self.start_up_s = self.spent_s()
        cpu_s = time.process_time() - self._cpu_started_s
        self._take_pace(self.start_up_s, max(cpu_s, (cpu_s + beside_s) / available_cores()))

    @contextmanager
    def pacing(self) -> Iterator[None]:
        """Take the pace of what this process computes meanwhile."""
        begun_s, cpu_s = self.clock(), time.process_time()
        yield
        self._take_pace(self.clock() - begun_s, time.process_time() - cpu_s)

    @contextmanager
    def timing_report(self) -> Iterator[None]:
        """Time a report that is written meanwhile: the last one takes as long, at this pace."""
        begun_s = self.clock()
        with self.pacing():
            yield
        self.report_s = self.clock() - begun_s

    def _take_pace(self, wall_s: float, cpu_s: float) -> None:
        if wall_s > _TELLING_S and cpu_s > 0:
            self.slowdown = min(_MOST_SLOWDOWN, max(1.0, wall_s / cpu_s))
        self.report_s = _REPORT_S * self.slowdown

    def candidate_share_s(self, search_s: float, *, is_last: bool = False) -> float:
        """Return how long one candidate of a search may take.

        A part of a worker's time that is the smaller the more candidates there is time for, each
        long enough to learn something at the pace of now.

        Args:
            is_last: the full training was given up, so that candidates ship as they are: fewer than
                four give way to one that learns for as long.
        """
        learned = self._learned(search_s - self.search_start_s)
        if is_last and learned < _FEWEST_TO_COMPARE:
            learned = 1.0
        count = int(min(_FEWEST_PER_WORKER, max(1.0, learned)))
        if _BARELY_LEARNED * _FEWEST_TO_REFINE <= learned < _FEWEST_TO_REFINE:
            count = _FEWEST_TO_REFINE
        return max(search_s - self.child_s, _LEAST_SHARE * search_s) / count

    @property
    def first_scoring_s(self) -> float:
        """What judging a student takes the first time in a process, at the pace of now."""
        return _FIRST_SCORING_S * self.slowdown

    @property
    def search_start_s(self) -> float:
        """What the search takes beside training: a process that starts, and judges for once."""
        return self.child_s + self.first_scoring_s

    @property
    def full_start_s(self) -> float:
        """What the full training takes beside training, and the report that is written before."""
        return self.child_s + _SCORINGS_OF_FULL * self.first_scoring_s + self.report_s

    def _learned(self, seconds: float) -> float:
        """Return how many candidates one worker can teach something, one after the other."""
        one_s = self.learning_s * self.slowdown
        return max(0.0, seconds) / one_s if one_s > 0 else math.inf

    def closing_s(self, *, verifies: bool) -> float:
        """Return what follows the last training: verification, report, tidying up."""
        verification_s = _VERIFICATION_S * self.slowdown if verifies else 0.0
        return verification_s + self.report_s + _MARGIN_S * self.slowdown

    def require_enough(self, *, verifies: bool) -> None:
        """Refuse a limit in which no student can be trained, before anything is trained.

        Asked as soon as the code is imported, it goes by what that took; once the data is read, by
        what that took, too. What follows is taken at the pace of now: who starts with less than
        that ends late, and with next to nothing.

        Raises:
            ConfigError: says the least that works, from the pace measured.
        """
        ending_s = self.closing_s(verifies=verifies) + _LEAST_TRAINING_S * self.slowdown
        if self.is_limited and not self.start_up_s:
            reading_s = _SMALL_DATA_RATIO * self.spent_s()
            self.require_left(
                2.0 * reading_s + ending_s, what="small data, training, testing and the report"
            )
            return
        self.require_left(self.child_s + ending_s, what="training, testing and the report")

    def require_start(self, waiting_ratio: float | None, *, verifies: bool = False) -> None:
        """Refuse a limit of which starting alone leaves nothing, before the code is imported.

        Args:
            waiting_ratio: how much longer than an idle machine this one takes, by what waits for
                a core; None where that is not known.
            verifies: as `closing_s` takes it.

        Raises:
            ConfigError: says the least that works, as it looks.
        """
        if waiting_ratio is None or waiting_ratio < _BUSY or not self.is_limited:
            return
        if self.spent_s() < _LEAST_START_S:  # a call from Python, which has imported what it needs
            return
        waiting_ratio = min(_MOST_WAITING, waiting_ratio)
        importing_s = waiting_ratio * _IMPORTING_S
        reading_s = _SMALL_DATA_RATIO * (self.spent_s() + importing_s)
        following = _LEAST_TRAINING_S + _REPORT_S + _MARGIN_S + verifies * _VERIFICATION_S
        needed_s = importing_s + 2.0 * reading_s + waiting_ratio * following
        if self.left_s() < _SURE_START_SHARE * needed_s:
            self.require_left(needed_s, what="the rest of it, training, testing and the report")

    def require_reading(
        self, least_s: float, likely_s: float, *, what: str, verifies: bool
    ) -> None:
        """Refuse a limit that reading the data leaves nothing of, while it is read.

        Args:
            least_s: what is left of reading at least.
            likely_s: likewise, as it looks.
            what: is being done, for people.

        Raises:
            ConfigError: says the least that works, as it looks.
        """
        ending_s = self.closing_s(verifies=verifies) + _LEAST_TRAINING_S * self.slowdown
        if self.left_s() < least_s + ending_s:
            self.require_left(
                max(likely_s, least_s) + ending_s,
                what=f"the rest of {what!r}, training, testing and the report",
            )

    def require_training(self, training_s: float, *, verifies: bool) -> None:
        """Refuse a limit in which a training of a known length does not end.

        Args:
            training_s: with all that is measured of it, at the pace of earlier ones.

        Raises:
            ConfigError: says the least that works.
        """
        self.require_left(
            self.child_s + training_s + self.closing_s(verifies=verifies),
            what=f"a training that can better what the folder holds ({training_s:.0f} s), testing "
            "and the report",
        )

    def require_left(self, needed_s: float, *, what: str) -> None:
        """Refuse a limit of which less is left than what follows needs.

        Args:
            what: follows, for people.

        Raises:
            ConfigError: says the least that works.
        """
        if self.limit_s is not None and self.left_s() < needed_s:
            least_s = math.ceil(self.spent_s() + needed_s)
            raise ConfigError(
                f"--timeout {self.limit_s:g}s: starting took {self.spent_s():.1f} s, and {what} "
                f"need about {needed_s:.0f} s more here; give at least --timeout {least_s}s"
            )

    def plan(
        self,
        *,
        trains_teacher: bool,
        final: bool,
        verifies: bool,
        searches: bool = True,
        has_teacher: bool = False,
    ) -> Mapping[Stage, float]:
        """Divide what is left, all of it, among the stages to come; seconds each.

        Empty without a limit. The report's share holds what no other stage counts.

        On a machine so slow that candidates barely learn in their share, what helps least is left
        out: first the teacher, then candidates, then full trainings. What each stage takes before
        anything is trained, a process that starts and reads the data, counts.

        Args:
            trains_teacher: a teacher is still to be made ready, its outputs included.
            final: the best student is trained in full.
            verifies: its C is run on an emulated core.
            has_teacher: the teacher to be made ready was given, and only has to answer.
        """
        if self.limit_s is None:
            return {}
        closing_s = self.closing_s(verifies=verifies)
        left_s = max(0.0, self.left_s())
        training_s = max(_LEAST_SHARE * left_s, left_s - closing_s)
        closing_ratio = (left_s - training_s) / closing_s
        stages: dict[Stage, float] = {}
        search_share = self._search_share(training_s) if final else 1.0
        after_teacher_s = (1.0 - _TEACHER_SHARE) * training_s
        carries_both = self._learned(search_share * after_teacher_s) >= _FEWEST_PER_WORKER
        if trains_teacher and (has_teacher or carries_both):
            stages["teacher"] = training_s - after_teacher_s
            training_s = after_teacher_s
        search_s = training_s * search_share
        if searches and self._is_short(search_s, training_s - search_s if final else None):
            net_s = training_s - self.search_start_s - self.full_start_s
            final = final and self._learned(net_s / 2) >= _BARELY_LEARNED
            search_s = self.search_start_s + net_s / 2 if final else training_s
        if searches:
            stages["search"] = search_s
        if final:
            stages["final training"] = training_s - stages.get("search", 0.0)
        if verifies:
            stages["verification"] = _VERIFICATION_S * self.slowdown * closing_ratio
        stages["report"] = left_s - math.fsum(stages.values())
        return stages

    def _is_short(self, search_s: float, full_s: float | None) -> bool:
        """Tell whether two candidates barely learn in a search, or what follows it is no longer."""
        parts = [search_s - self.search_start_s]
        parts += [] if full_s is None else [full_s - self.full_start_s]
        return any(self._learned(part) < _FEWEST_TO_REFINE for part in parts)

    def _search_share(self, training_s: float) -> float:
        """Return the part of the search where a full training follows."""
        full_s = (1.0 - _SEARCH_SHARE) * training_s
        makes_few = full_s < _MANY_PASSES * self.pass_s * self.slowdown
        return _SEARCH_SHARE_OF_FEW_PASSES if makes_few else _SEARCH_SHARE

    def deadline_s(self, stage_s: float) -> float:
        """Return when a stage that begins now and may take so long ends, by `clock`."""
        return self.clock() + stage_s
