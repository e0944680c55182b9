"""The random chooser that stands in for a study."""

from __future__ import annotations

from collections import Counter

from hwkd.core.chooser import RandomChooser


def test_same_seed_gives_the_same_choices() -> None:
    first, second = RandomChooser(4), RandomChooser(4)
    for _ in range(50):
        assert first.integer("a", 1, 99) == second.integer("a", 1, 99)
        assert first.categorical("b", (1, 2, 3)) == second.categorical("b", (1, 2, 3))


def test_integers_cover_the_grid_and_nothing_else() -> None:
    chooser = RandomChooser(0)
    seen = Counter(chooser.integer("a", 4, 18, step=4) for _ in range(2000))
    assert set(seen) == {4, 8, 12, 16}
    assert min(seen.values()) > 400


def test_logarithmic_integers_favour_small_values() -> None:
    chooser = RandomChooser(0)
    seen = Counter(chooser.integer("a", 1, 64, log=True) for _ in range(4000))
    assert set(seen) <= set(range(1, 65))
    assert max(seen) > 56
    small = sum(count for value, count in seen.items() if value <= 8)
    assert 0.4 < small / 4000 < 0.65
