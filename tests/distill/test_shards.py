"""How samples are divided among clients, and how many bytes their schemes send."""

import pytest
import torch

from hwkd.core.errors import ConfigError
from hwkd.distill.scheme_spec import parse_scheme
from hwkd.distill.schemes.federated import FederatedScheme, Sizes
from hwkd.distill.shards import Part, Shards

LABELS = torch.arange(600) % 6


def test_every_sample_is_at_one_client_or_public():
    shards = Shards(clients=5, alpha=0.5, public=0.2)
    parts = shards.rows(LABELS)
    assert sorted(torch.cat(parts).tolist()) == list(range(600))
    assert len(parts[-1]) == 120
    again = Part(shards=shards, number=2).rows(LABELS)
    assert torch.equal(again, parts[2])
    other = Shards(clients=5, alpha=0.5, public=0.2, draw=1).rows(LABELS)
    assert not torch.equal(other[0], parts[0])


def test_a_small_alpha_makes_clients_differ():
    def least_common(alpha: float) -> float:
        """Return the largest share of one class, mean over the clients."""
        parts = Shards(clients=5, alpha=alpha, public=0.1).rows(LABELS)[:-1]
        shares = [torch.bincount(LABELS[p], minlength=6).max() / len(p) for p in parts]
        return float(torch.stack(shares).mean())

    assert least_common(0.3) > 1.5 * least_common(100.0)


def test_a_client_without_samples_is_refused():
    with pytest.raises(ConfigError, match=r"client \d has [01] of 20 samples and needs 2"):
        Shards(clients=8, alpha=0.05, public=0.1).rows(LABELS[:20])
    with pytest.raises(ConfigError, match="the public part has 0 of 600"):
        Shards(clients=2, alpha=10.0, public=1e-4).rows(LABELS)


def test_bytes_are_those_that_are_sent():
    def sent(text: str) -> int:
        scheme = parse_scheme(text)
        assert isinstance(scheme, FederatedScheme)
        return scheme.bytes_per_round(
            Sizes(weights=1000, samples=400, classes=10, trunk=50, maps=64)
        )

    assert sent("fedavg:clients=5") == sent("feddf:clients=5") == 5 * 2 * 4000
    assert sent("fedmd:clients=5,public=0.25") == 5 * 2 * 100 * 10 * 2
    # maps, logits both ways and labels of 400 samples, and the first stage both ways
    assert sent("fedgkt:clients=5") == 400 * (64 + 2 * 10) * 2 + 400 + 5 * 2 * 50 * 4
