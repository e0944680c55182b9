"""What a language model learns from another: divergences of each token's next-token distribution.

p is the student's distribution, q the teacher's; values are of each token, in nats, at temperature
1 and without its square (DistiLLM, arXiv:2402.03898, section 3; generalised Jensen-Shannon: GKD,
arXiv:2306.13649, equation 1). Nothing is detached in here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from hwkd.core.errors import ConfigError, UnknownNameError

IGNORED = -100  # label of a token that is not learned from, as of every public trainer


def forward(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(q || p): the student covers all that the teacher may say."""
    return (log_q.exp() * (log_q - log_p)).sum(-1)


def forward_of_few(log_p: Tensor, words: Tensor, chances: Tensor, other: Tensor) -> Tensor:
    """Return KL(q || p) of a teacher that tells a few words apart, in one pass over all words.

    Args:
        log_p: shape [tokens, words].
        words: numbers of the few, shape [tokens, few].
        chances: what q gives each of them, likewise.
        other: what q gives each other word, shape [tokens].
    """
    said = log_p.gather(-1, words)
    others = log_p.shape[-1] - words.shape[-1]
    own = torch.xlogy(chances, chances).sum(-1) + others * torch.xlogy(other, other)
    return own - (chances * said).sum(-1) - other * (log_p.sum(-1) - said.sum(-1))


def reverse(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(p || q): the student keeps to what the teacher says most (MiniLLM)."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def skewed_forward(log_p: Tensor, log_q: Tensor, share: float) -> Tensor:
    """Return KL(q || share q + (1 - share) p)."""
    return forward(_mixed(log_q, log_p, share), log_q)


def skewed_reverse(log_p: Tensor, log_q: Tensor, share: float) -> Tensor:
    """Return KL(p || (1 - share) q + share p)."""
    return reverse(log_p, _mixed(log_p, log_q, share))


def generalised(log_p: Tensor, log_q: Tensor, share: float) -> Tensor:
    """Return share KL(q || m) + (1 - share) KL(p || m) with m = share q + (1 - share) p."""
    middle = _mixed(log_q, log_p, share)
    return share * forward(middle, log_q) + (1.0 - share) * forward(middle, log_p)


def symmetric(log_p: Tensor, log_q: Tensor, share: float) -> Tensor:
    """Return share KL(p || q) + (1 - share) KL(q || p)."""
    return share * reverse(log_p, log_q) + (1.0 - share) * forward(log_p, log_q)


def total_variation(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return half of the sum of |p - q|, 0 to 1."""
    return 0.5 * (log_p.exp() - log_q.exp()).abs().sum(-1)


def _mixed(one: Tensor, other: Tensor, share: float) -> Tensor:
    """Return the logarithm of `share` of the first distribution and the rest of the second."""
    weights = one.new_tensor([share, 1.0 - share]).log()
    return torch.logaddexp(one + weights[0], other + weights[1])


_WITH_SHARE: Mapping[str, tuple[Callable[[Tensor, Tensor, float], Tensor], float]]
_WITH_SHARE = MappingProxyType(
    {
        "skewed-forward": (skewed_forward, 0.1),
        "skewed-reverse": (skewed_reverse, 0.1),
        "generalised": (generalised, 0.5),
        "symmetric": (symmetric, 0.5),
    }
)
_PLAIN: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"forward": forward, "reverse": reverse, "total-variation": total_variation}
)
NAMES = (*_PLAIN, *_WITH_SHARE)


@dataclass(frozen=True, slots=True)
class TokenDivergence:
    """A divergence by its name, as "skewed-reverse:share=0.1".

    Attributes:
        share: of the mixture, 0 to 1 (both excluded); None where there is none.
    """

    name: str
    share: float | None = None

    @classmethod
    def parse(cls, text: str) -> TokenDivergence:
        """Read a name and its share.

        Raises:
            UnknownNameError: with the nearest names.
            ConfigError: of a share that is none, or where the divergence has none.
        """
        name, _, option = text.partition(":")
        if name not in NAMES:
            raise UnknownNameError("divergence", name, NAMES)
        if name in _PLAIN:
            if option:
                raise ConfigError(f"--divergence {text}: {name} has no options")
            return cls(name)
        if not option:
            return cls(name, _WITH_SHARE[name][1])
        key, _, value = option.partition("=")
        try:
            share = float(value)
        except ValueError:
            share = -1.0
        if key != "share" or not 0.0 < share < 1.0:
            raise ConfigError(
                f"--divergence {text}: {option!r} is no option of {name}; expected share=0.1, "
                "between 0 and 1"
            )
        return cls(name, share)

    def __str__(self) -> str:
        return self.name if self.share is None else f"{self.name}:share={self.share:g}"

    def of(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the divergence of each token.

        Args:
            logits: the student's, shape [tokens, words].
            target: the teacher's logits, likewise.
        """
        log_p, log_q = log_softmax(logits, -1), log_softmax(target, -1)
        if self.share is None:
            return _PLAIN[self.name](log_p, log_q)
        return _WITH_SHARE[self.name][0](log_p, log_q, self.share)


def mean_of_labelled(values: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over tokens whose label is not `IGNORED`; 0 where there is none."""
    counted = labels != IGNORED
    return (values * counted).sum() / counted.sum().clamp(min=1)
