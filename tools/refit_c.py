"""Fits latency and instructions of hwkd's own C and writes it into `devices/runtimes/hwkd-c.toml`.

usage: python -m tools.refit_c [--check]

The instructions are those of benchmarks/facts/c_instructions.csv; `python -m tools.c_instructions`
counts them again. With --check nothing is written: the exit code is 1 when the file differs.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from benchmarks.lib.c_fit import CORES, instruction_forms, latency_model
from hwkd.io.fact_files import parse_facts
from tools.generated_part import with_generated
from tools.refit import FOLDER, is_equal

_PROGRAM = "python -m tools.refit_c"
# What the instructions were counted of.
_VERSION = "-O2, GCC 12.2"


@cache
def core_fits() -> dict[str, dict[str, Any]]:
    """Return core -> version, latency and instructions."""
    return {
        core: {
            "version": _VERSION,
            "latency": {"int8": latency_model(core).model_dump(mode="json")},
            "instructions": instruction_forms(core),
        }
        for core in sorted(CORES)
    }


def main(arguments: list[str]) -> int:
    """Write the file, or compare it."""
    path, cores = FOLDER / "hwkd-c.toml", core_fits()
    if "--check" in arguments:
        kept = parse_facts(path.read_text(encoding="utf-8"), path.name).get("cores", {})
        return 0 if is_equal(kept, cores) else 1
    path.write_text(with_generated(path, _PROGRAM, {"cores": cores}), encoding="utf-8")
    print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
