"""Size and stack of each kernel of the exported C, for every core and rounding.

    python -m tools.c_code_size            # prints the table
    python -m tools.c_code_size --write    # also writes it into devices/cores/*.toml

Each kernel is linked alone with unused sections dropped. What comes from newlib or libgcc is
listed by symbol, so that several kernels that share it count it once. The stack is the compiler's
own statement (-fstack-usage): the kernel's frame and the deepest of its helpers'.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hwkd.core.core_file import Core
from hwkd.deploy.toolchain import Tools, find_tools
from hwkd.io.core_files import core_names, load_core
from hwkd.qgraph.requantise import ROUNDINGS
from tools.generated_part import with_generated

ROOT = Path(__file__).parents[1] / "hwkd" / "deploy" / "to_c"
FOLDER = Path(__file__).parents[1] / "devices" / "cores"
PROGRAM = "python -m tools.c_code_size --write"
ALWAYS = ("memset",)  # model_init


def run(*command: object, folder: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


def kernels() -> dict[str, Path]:
    """Return entry function (without prefix) -> source file."""
    found = {}
    for path in sorted((ROOT / "kernels").glob("hwkd_*.c")):
        if path.name != "hwkd_cmsis_nn.c":
            for name in re.findall(r"^void hwkd_run_(\w+)\(", path.read_text(), re.MULTILINE):
                found[name] = path
    return found


def write_headers(folder: Path, rounding: str) -> None:
    for path in (ROOT / "kernels").glob("*.h"):
        (folder / path.name).write_text(path.read_text())
    text = (ROOT / "templates" / "hwkd_config.h.in").read_text()
    (folder / "hwkd_config.h").write_text(text.replace("$rounding", rounding.upper()))


def symbol_sizes(elf: Path, tools: Tools) -> dict[str, int]:
    """Return symbol -> bytes; of symbols that overlap (aliases, entry points) only the first."""
    names = run(tools.size.with_name("arm-none-eabi-nm"), "-n", "-S", elf, folder=elf.parent)
    symbols, end = {}, 0
    for line in names.splitlines():
        parts = line.split()
        if len(parts) == 4 and parts[2] in "tTrRdDW":
            start, size = int(parts[0], 16), int(parts[1], 16)
            if start + size > end:
                symbols[parts[3]] = start + size - max(start, end)
                end = start + size
    return symbols


def own_symbols(object_file: Path, tools: Tools) -> set[str]:
    names = run(tools.size.with_name("arm-none-eabi-nm"), object_file, folder=object_file.parent)
    return {line.split()[-1] for line in names.splitlines() if " U " not in line}


def stack_bytes(core: Core, rounding: str, tools: Tools, folder: Path) -> dict[str, int]:
    """Return entry function -> bytes of stack, without what newlib and libgcc take."""
    write_headers(folder, rounding)
    flags = [*core.flags, "-std=gnu99", "-ffp-contract=off", "-O2", "-fstack-usage", "-I."]
    found: dict[str, int] = {}
    for source in sorted(set(kernels().values())):
        run(tools.compiler, *flags, "-c", source, "-o", "stack.o", folder=folder)
        lines = (folder / "stack.su").read_text().splitlines()
        frames = {line.split("\t")[0].split(":")[-1]: int(line.split("\t")[1]) for line in lines}
        entries = {name for name in frames if name.startswith("hwkd_run_")}
        helpers = max((size for name, size in frames.items() if name not in entries), default=0)
        found |= {name.removeprefix("hwkd_run_"): frames[name] + helpers for name in entries}
    return found


def measure(core: Core, rounding: str, tools: Tools, folder: Path) -> dict[str, Any]:
    write_headers(folder, rounding)
    stack = stack_bytes(core, rounding, tools, folder)
    functions: dict[str, dict[str, Any]] = {}
    library: dict[str, int] = {}
    flags = [*core.flags, "-std=gnu99", "-ffp-contract=off", "-O2", "-ffunction-sections", "-I."]
    for name, source in kernels().items():
        run(tools.compiler, *flags, "-c", source, "-o", "kernel.o", folder=folder)
        link = ["-nostartfiles", "-Wl,--gc-sections", f"-Wl,-ehwkd_run_{name}", "-lm"]
        run(tools.compiler, *core.flags, "kernel.o", *link, "-o", "kernel.elf", folder=folder)
        symbols = symbol_sizes(folder / "kernel.elf", tools)
        ours = own_symbols(folder / "kernel.o", tools)
        borrowed = {symbol: size for symbol, size in symbols.items() if symbol not in ours}
        own = sum(size for symbol, size in symbols.items() if symbol in ours)
        functions[name] = {
            "own_bytes": own,
            "stack_bytes": stack[name],
            "library": sorted(borrowed),
        }
        library |= borrowed
    return {
        "functions": functions,
        "library": dict(sorted(library.items())),
        "always": [name for name in ALWAYS if name in library],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    tools = find_tools()
    with TemporaryDirectory() as folder:
        cores = {
            name: {
                rounding: measure(load_core(name), rounding, tools, Path(folder))
                for rounding in ROUNDINGS
            }
            for name in core_names()
        }
    for name, roundings in cores.items():
        for rounding, sizes in roundings.items():
            parts = {key: item["own_bytes"] for key, item in sizes["functions"].items()}
            print(f"{name} {rounding}: {parts}")
    if arguments.write:
        compiler = tools.versions[tools.compiler.name]
        for name, roundings in cores.items():
            path = FOLDER / f"{name}.toml"
            table = {"code_sizes": {"compiler": compiler, "by_rounding": roundings}}
            path.write_text(with_generated(path, PROGRAM, table), encoding="utf-8")


if __name__ == "__main__":
    main()
