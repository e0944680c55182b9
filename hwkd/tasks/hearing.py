"""When classes count as heard: thresholds on probabilities, chosen on validation and judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import softmax

from hwkd.core.arrays import Doubles, Floats, Ints
from hwkd.core.decision_record import CountRecord, DecisionRecord
from hwkd.core.errors import DataError
from hwkd.core.likeliest import likeliest
from hwkd.core.listening import WHOLE
from hwkd.core.metric import Metric, Scores

FALSE_REJECTS = Metric(name="false rejects", unit="ratio", direction="min")
FALSE_ACCEPTS = Metric(name="false accepts", unit="per hour", direction="min")
FALSE_ACCEPTS_PER_HOUR = 0.5
FALSE_ALARMS_RATIO = 0.01
# Inferences whose mean is tried; more answer later than a speaker waits.
_SMOOTHINGS = (1, 2, 3, 4)
# Of many: how many times the false accepts allowed the error of a window looks at.
_LOOSER = (1, 10, 100)
_CURVE = (*range(1, 900, 50), *range(900, 980, 10), *range(980, WHOLE + 2, 2))
_HOUR_S = 3600.0
# Below it the class is not the likeliest of two.
_LEAST = WHOLE // 2


class Hears(Protocol):
    """What listens; `targets` are class indices, shape [n], examples of a whole in their order."""

    def decide(self, outputs: Floats, targets: Ints, wholes: Ints | None) -> DecisionRecord:
        """Choose the threshold."""
        ...

    def scores(
        self,
        outputs: Floats,
        targets: Ints,
        wholes: Ints | None,
        decision: DecisionRecord | None,
    ) -> Scores:
        """Return metrics at a threshold; None takes the one that suits the outputs."""
        ...

    def falsely(
        self, outputs: Floats, targets: Ints, wholes: Ints | None, decision: DecisionRecord
    ) -> CountRecord:
        """Count what is heard falsely at a threshold."""
        ...


def chances_of(outputs: Floats) -> Ints:
    """Return probabilities in thousandths, shape [n, classes]."""
    whole: Ints = np.rint(WHOLE * softmax(outputs.astype(np.float64), axis=1)).astype(np.int64)
    return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """One class that is listened for in continuous audio, as `model_process` does in C.

    A whole is a recording. One with an example of the class is accepted if any mean over so many
    inferences reaches the threshold. In the others each accept is a false one; those within a
    window of an accept belong to it.

    Attributes:
        heard: index of the class.
        stride: samples from one inference to the next.
        rate_hz: of those samples.
        apart: inferences from an accept to the next that counts.
        most_per_hour: false accepts in an hour of audio.
        name: of the class.
    """

    heard: int
    name: str
    stride: int
    rate_hz: float
    apart: int = 4
    most_per_hour: float = FALSE_ACCEPTS_PER_HOUR

    @classmethod
    def of(cls, decision: DecisionRecord, names: tuple[str, ...]) -> Hearing:
        """Return what chose a threshold.

        Raises:
            DataError: if it is for none of the classes.
        """
        if decision.answer not in names:
            raise DataError(
                f"a threshold was chosen for {decision.answer!r}, which is no class of the student "
                f"({', '.join(names[:6])}); its description was changed, export it again"
            )
        return cls(
            heard=names.index(decision.answer),
            name=decision.answer,
            stride=decision.stride or 1,
            rate_hz=decision.rate_hz or 1.0,
            most_per_hour=decision.wanted,
        )

    @property
    def stride_s(self) -> float:
        """From one inference to the next."""
        return self.stride / self.rate_hz

    def decide(self, outputs: Floats, targets: Ints, wholes: Ints | None) -> DecisionRecord:
        """Return smoothing and lowest threshold with the fewest false rejects.

        Of smoothings that reject as few, the one that answers first.
        """
        best, threshold = self._chosen(outputs, targets, wholes)
        return DecisionRecord(
            answer=self.name,
            threshold=threshold / WHOLE,
            rate="false accepts in audio without it",
            unit=FALSE_ACCEPTS.unit,
            wanted=self.most_per_hour,
            reached=best.falsely(threshold).rate,
            detected=1.0 - best.rejected(threshold),
            smoothing=best.smoothing,
            stride=self.stride,
            rate_hz=self.rate_hz,
            curve=tuple(dict.fromkeys((best.falsely(at).rate, best.rejected(at)) for at in _CURVE)),
            on_validation=best.falsely(threshold),
        )

    def _chosen(self, outputs: Floats, targets: Ints, wholes: Ints | None) -> tuple[_Stream, int]:
        tried = [self._stream(outputs, targets, wholes, smoothing) for smoothing in _SMOOTHINGS]
        found = [(each, each.threshold(self.most_per_hour)) for each in tried]
        return min(found, key=lambda one: one[0].rejected(one[1]))

    def scores(
        self,
        outputs: Floats,
        targets: Ints,
        wholes: Ints | None,
        decision: DecisionRecord | None,
    ) -> Scores:
        """Return the share of wholes with the class that is missed, and false accepts per hour."""
        if decision is None:
            stream, threshold = self._chosen(outputs, targets, wholes)
        else:
            stream, threshold = self._decided(outputs, targets, wholes, decision)
        return {
            FALSE_REJECTS.name: stream.rejected(threshold),
            FALSE_ACCEPTS.name: stream.falsely(threshold).rate,
        }

    def falsely(
        self, outputs: Floats, targets: Ints, wholes: Ints | None, decision: DecisionRecord
    ) -> CountRecord:
        """Count false accepts in the hours of wholes without the class."""
        stream, threshold = self._decided(outputs, targets, wholes, decision)
        return stream.falsely(threshold)

    def _decided(
        self, outputs: Floats, targets: Ints, wholes: Ints | None, decision: DecisionRecord
    ) -> tuple[_Stream, int]:
        stream = self._stream(outputs, targets, wholes, decision.smoothing or 1)
        return stream, round(WHOLE * decision.threshold)

    def errors(self, outputs: Floats, targets: Ints) -> Doubles:
        """Return what each window of the class adds to the share of missed ones.

        It is a mean over thresholds that let through the windows allowed, and ten and a hundred
        times as many, so that weak networks can be told apart. Windows of the other classes add
        nothing by themselves.
        """
        rest = np.delete(outputs.astype(np.float64), self.heard, axis=1).max(axis=1)
        lead, is_heard = outputs[:, self.heard] - rest, targets == self.heard
        errors = np.zeros(len(targets))
        if is_heard.all() or not is_heard.any():
            return errors
        others = np.sort(lead[~is_heard])[::-1]
        allowed = self.most_per_hour * len(others) * self.stride_s / _HOUR_S
        # Few windows allow none, and ten times none would be none.
        for looser in _LOOSER:
            place = min(int(looser * max(allowed, 1.0)) - 1, len(others) // 2)
            errors[is_heard] += lead[is_heard] <= others[place]
        whole: Doubles = errors / (len(_LOOSER) * is_heard.mean())
        return whole

    def _stream(
        self,
        outputs: Floats,
        targets: Ints,
        wholes: Ints | None,
        smoothing: int,
    ) -> _Stream:
        count = len(targets)
        numbers = np.arange(count) if wholes is None else wholes
        begins = np.ones(count, dtype=bool)
        begins[1:] = numbers[1:] != numbers[:-1]
        of_whole = np.cumsum(begins) - 1
        since = np.arange(count) - np.flatnonzero(begins)[of_whole]
        mean = _trailing_mean(chances_of(outputs)[:, self.heard], since, smoothing)
        starts = np.flatnonzero(begins)
        has_word = np.logical_or.reduceat(targets == self.heard, starts)
        is_audio = ~has_word[of_whole]
        return _Stream(
            smoothing=smoothing,
            apart=self.apart,
            loudest=np.maximum.reduceat(mean, starts)[has_word],
            audio=mean[is_audio],
            # No accept reaches from one recording into the next.
            moments=(np.arange(count) + self.apart * of_whole)[is_audio],
            hours=max(int(is_audio.sum()), 1) * self.stride_s / _HOUR_S,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stream:
    """What was heard with one smoothing; probabilities in thousandths.

    Attributes:
        loudest: of each whole with the class.
        audio: of each inference in the others.
        moments: when those were, in inferences.
    """

    smoothing: int
    apart: int
    loudest: Ints
    audio: Ints
    moments: Ints
    hours: float

    def rejected(self, threshold: int) -> float:
        """Return the share of wholes with the class that never reach the threshold."""
        return float((self.loudest < threshold).mean()) if len(self.loudest) else 0.0

    def accepts(self, threshold: int) -> int:
        """Count false accepts."""
        moments = self.moments[self.audio >= threshold]
        count = place = 0
        while place < len(moments):
            count += 1
            place = int(np.searchsorted(moments, moments[place] + self.apart))
        return count

    def falsely(self, threshold: int) -> CountRecord:
        """Return false accepts and the hours that they are of."""
        return CountRecord(events=self.accepts(threshold), base=self.hours)

    def threshold(self, most_per_hour: float) -> int:
        """Return the lowest threshold with so few false accepts; one more than all has none."""
        allowed = most_per_hour * self.hours + 1e-9
        low, high = 1, WHOLE + 1
        while low < high:
            middle = (low + high) // 2
            if self.accepts(middle) <= allowed:
                high = middle
            else:
                low = middle + 1
        return low


def _trailing_mean(values: Ints, since: Ints, smoothing: int) -> Ints:
    """Return the mean of each value and those before it in its whole, rounded down.

    Args:
        since: values of its whole before each.
        smoothing: values at most.
    """
    sums = np.concatenate([[0], np.cumsum(values)])
    known = np.minimum(since + 1, smoothing)
    ends = np.arange(1, len(values) + 1)
    mean: Ints = (sums[ends] - sums[ends - known]) // known
    return mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusing:
    """Words among classes that are none, as unknown words and silence.

    Attributes:
        quiet: indices of the classes that are none.
        most_ratio: share of their examples that may be taken for a word.
    """

    quiet: tuple[int, ...]
    most_ratio: float = FALSE_ALARMS_RATIO

    def decide(self, outputs: Floats, targets: Ints, wholes: Ints | None) -> DecisionRecord:
        """Return the lowest threshold that keeps the share of false alarms, a half at least."""
        del wholes
        chances = chances_of(outputs)
        named, sure = likeliest(chances), chances.max(axis=1)
        is_word, says_word = (~np.isin(each, self.quiet) for each in (targets, named))
        alarms = np.sort(sure[~is_word & says_word])[::-1]
        allowed = int(self.most_ratio * (~is_word).sum())
        threshold = _LEAST
        if len(alarms) > allowed:
            threshold = max(_LEAST, int(alarms[allowed]) + 1)
        heard = says_word & (sure >= threshold)
        false = self._false(chances[~is_word], threshold)
        return DecisionRecord(
            answer="a word",
            threshold=threshold / WHOLE,
            rate="false alarms of clips without a word",
            wanted=self.most_ratio,
            reached=false.rate,
            detected=float((heard & (named == targets))[is_word].mean()) if is_word.any() else 0.0,
            on_validation=false,
        )

    def falsely(
        self, outputs: Floats, targets: Ints, wholes: Ints | None, decision: DecisionRecord
    ) -> CountRecord:
        """Count clips without a word in which one is heard."""
        del wholes
        chances = chances_of(outputs)[np.isin(targets, self.quiet)]
        return self._false(chances, round(WHOLE * decision.threshold))

    def _false(self, chances: Ints, threshold: int) -> CountRecord:
        """Count clips without a word in which one is heard, of the chances of all such."""
        sure = chances.max(axis=1, initial=0) >= threshold
        heard = sure & ~np.isin(likeliest(chances), self.quiet)
        return CountRecord(events=int(heard.sum()), base=len(chances))

    def scores(
        self,
        outputs: Floats,
        targets: Ints,
        wholes: Ints | None,
        decision: DecisionRecord | None,
    ) -> Scores:
        """Return nothing: clips are judged by their likeliest class."""
        del outputs, targets, wholes, decision
        return {}
