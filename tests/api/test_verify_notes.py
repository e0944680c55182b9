"""What `hwkd verify RUN` says beside its numbers."""

from types import SimpleNamespace

import pytest

from hwkd.api.verify import flash_apart


@pytest.mark.parametrize(
    ("reported", "said"),
    [(14_924, "the report says 14,924 bytes of flash, the program has 27,680, 85% more"),
     (30_000, "the report says 30,000 bytes of flash, the program has 27,680, 8% less"),
     (27_000, "")],
)  # fmt: skip
def test_a_report_that_is_off_is_named(reported, said):
    cost = SimpleNamespace(runtime="hwkd-c", device="cortex-m4", flash_bytes=reported)
    run = SimpleNamespace(final=SimpleNamespace(own_c=None, cost=cost))
    found = SimpleNamespace(device="cortex-m4", flash_bytes=27_680)
    assert "".join(flash_apart(run, found)).startswith(said)
    assert bool(flash_apart(run, found)) == bool(said)
    assert not flash_apart(run, SimpleNamespace(device="cortex-m7", flash_bytes=27_680))
