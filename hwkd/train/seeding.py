"""One seed -> independent seeds for everything random, so that nothing shares a generator."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *parts: str | int) -> int:
    """Return the seed of one use, for example `derive_seed(0, "trial", 7)`.

    Args:
        parts: name the use; other parts, other seed.

    Returns:
        An integer in [0, 2**31), which Python, NumPy, torch and Optuna all accept.
    """
    text = "\0".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
