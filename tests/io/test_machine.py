"""Threads of processes that train."""

from __future__ import annotations

import pytest

from hwkd.io import machine


def test_a_training_has_one_thread_unless_more_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "available_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [machine.threads_per_worker(workers) for workers in (1, 3, 20)] == [1, 1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert [machine.threads_per_worker(workers) for workers in (1, 2, 20)] == [4, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    assert machine.threads_per_worker(1) == 8
