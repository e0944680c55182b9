"""Starts `hwkd search` as a user does: in a process of its own, on a cache of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def search_arguments(options: Sequence[str]) -> list[str]:
    """Return the argument list of `hwkd search OPTIONS --json`."""
    return [sys.executable, "-m", "hwkd", "search", *options, "--json"]


def search_environment(cache: Path) -> dict[str, str]:
    """Return this process's environment with the cache of data, teachers and logits moved.

    An installed hwkd has its bytecode; compiling it anew takes half a second in each process.
    """
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "HWKD_CACHE_DIR": str(cache)}


def run_search_command(options: Sequence[str], *, cache: Path) -> dict[str, Any]:
    """Run `hwkd search` to its end and return the object that it prints.

    Raises:
        SystemExit: with the search's own message and exit code if it failed.
    """
    print("hwkd search", *options, flush=True)
    done = subprocess.run(
        search_arguments(options),
        env=search_environment(cache),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.returncode)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
