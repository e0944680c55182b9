"""Which commands let workers' imports begin before they are read."""

import pytest

from hwkd.api import ahead


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["search", "--device", "cortex-m4"], True),
        (["finish", "run"], True),
        (["search", "--help"], False),
        (["report", "search"], False),
        ([], False),
    ],
)
def test_commands_with_workers_begin_early(monkeypatch, words, begins):
    begun = []
    monkeypatch.setattr("hwkd.engine.arms.children.import_ahead", lambda: begun.append(True))
    ahead.begin_early(words)
    assert bool(begun) is begins
