"""Which trials a page draws: all of them, or of thousands those that matter and an even sample."""

from __future__ import annotations

from collections.abc import Sequence

from hwkd.core.pareto import FrontPoint
from hwkd.core.run_record import RunRecord
from hwkd.core.trial import TrialRecord
from hwkd.report.analysis import running_best

# A page of as many stays under five megabytes and a browser draws it at once.
_MOST_DRAWN = 2_000


def drawn_trials(
    run: RunRecord,
    records: Sequence[TrialRecord],
    front: Sequence[FrontPoint],
    best: TrialRecord | None,
) -> tuple[TrialRecord, ...]:
    """Return the trials that charts and long tables show, by number.

    The front, the best trial and every improvement of the best until then are always among them, so
    lines through those are exact; the others are taken at equal distances.
    """
    if len(records) <= _MOST_DRAWN:
        return tuple(records)
    kept = {point.trial for point in front}
    if best is not None:
        kept.add(best.number)
    lowest = float("inf")
    for number, value, _ in running_best(run, records):
        if value < lowest:
            lowest = value
            kept.add(number)
    others = [record.number for record in records if record.number not in kept]
    room = max(0, _MOST_DRAWN - len(kept))
    kept.update(others[len(others) * place // room] for place in range(room))
    return tuple(record for record in records if record.number in kept)


def drawn_note(drawn: int, trials: int) -> str | None:
    """Say that not everything is drawn; None when it is."""
    if drawn == trials:
        return None
    return (
        f"Charts and long tables show {drawn:,} of {trials:,} trials: the front, every improvement "
        "of the best, and an even sample of the others. Numbers are over all trials; trials.csv "
        "lists them all."
    )
