"""What trains: the accelerator, and how many threads it computes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hwkd.core.errors import ConfigError


def accelerator_device(name: str) -> torch.device:
    """Return the torch device for `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        ConfigError: if that accelerator is not there.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(candidate for candidate, is_there in available.items() if is_there)
    if not available[name]:
        there = ", ".join(candidate for candidate, is_there in available.items() if is_there)
        raise ConfigError(
            f"--accelerator {name}: there is none on this machine; available: {there}"
        )
    return torch.device(name)


@contextmanager
def fewer_threads(*, is_busy: bool) -> Iterator[None]:
    """Compute on one thread while a machine is busy.

    Threads that wait for each other lose ten times the time that another process takes from one of
    them: 2.6 instead of 33 passes of a teacher in 50 s, beside a process of the lowest priority.
    """
    threads = torch.get_num_threads()
    if is_busy:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
