"""Objects of C sources that were compiled before with the same flags are copied, not made again.

Most of the time of a build goes into the kernels, which are the same for every network.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from hwkd.deploy.toolchain import run_tool

_INCLUDE = re.compile(rb'^\s*#\s*include\s+"([^"]+)"', re.M)


class CompiledOnce:
    """Stands in for `hwkd.deploy.toolchain.run_tool`; everything but `-c` runs as it is."""

    def __init__(self, folder: Path) -> None:
        """Keep objects in a folder that several processes may share."""
        self.folder = folder
        self.copied = 0

    def __call__(
        self, command: Sequence[str | Path], *, folder: Path, timeout_s: float = 600
    ) -> str:
        if "-c" not in command:
            return run_tool(command, folder=folder, timeout_s=timeout_s)
        target = folder / str(command[-1])
        digest = _digest(command, folder)
        stored = None if digest is None else self.folder / digest
        if stored is not None and stored.is_file():
            shutil.copyfile(stored, target)
            self.copied += 1
            return ""
        printed = run_tool(command, folder=folder, timeout_s=timeout_s)
        if stored is not None:
            unfinished = stored.with_name(f"{digest}.{os.getpid()}.{target.parent.name}")
            shutil.copyfile(target, unfinished)
            unfinished.replace(stored)
        return printed


def _digest(command: Sequence[str | Path], folder: Path) -> str | None:
    """Name an object by its command and all it reads; None if a header lies elsewhere."""
    source = str(command[list(command).index("-c") + 1])
    read: dict[str, bytes] = {}
    to_read = [source]
    while to_read:
        name = to_read.pop()
        if name not in read:
            path = folder / name
            if not path.is_file():
                return None
            read[name] = path.read_bytes()
            to_read += [found.decode() for found in _INCLUDE.findall(read[name])]
    digest = hashlib.sha256(repr([str(part) for part in command]).encode())
    for name in sorted(read):
        digest.update(name.encode() + b"\0" + read[name] + b"\0")
    return digest.hexdigest()
