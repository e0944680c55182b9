"""Arena predicted against the arena that TensorFlow Lite Micro really uses.

`python -m benchmarks.accuracy.memory_tflm` checks the predictor against `facts/tflm_arena.json`,
which needs nothing but hwkd. `--measure` writes that file anew: it samples networks from every
search space, adds the MLPerf Tiny reference shapes, writes each as an int8 .tflite file and asks
the interpreter of the `tflite-micro` wheel (pip install --no-deps tflite-micro flatbuffers pyyaml).

The wheel runs on a 64-bit host with TFLM's reference kernels, so the prediction is made for 8-byte
pointers (`facts/tflm-reference-64.toml`); on a microcontroller the same structures hold 4-byte
ones. The numbers come from chains of equal operators; no network of this file was fitted.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.lib.graph_json import graph_from_json, graph_to_json
from benchmarks.lib.verdict import Target, report
from hwkd.core.graph import OpGraph
from hwkd.cost.fuse import fuse
from hwkd.cost.memory import plan_memory
from hwkd.io.runtime_files import load_runtime

FACTS = Path(__file__).parents[1] / "facts" / "tflm_arena.json"
WHEEL = FACTS.with_name("tflm-reference-64.toml")
SAMPLES_PER_SPACE = 12
INPUT_SHAPES = ((1, 28, 28), (3, 32, 32), (1, 49, 10), (3, 48, 48), (1, 8, 8), (20, 64))
REFERENCES = ("ad01", "ic01", "kws01", "vww01", "sww01")


def targets() -> list[Target]:
    """Return mean and worst error over every network of the facts file; prints each."""
    errors = []
    print(f"{'network':28} {'ops':>4} {'TFLM bytes':>11} {'predicted':>10} {'error':>8}")
    facts = json.loads(FACTS.read_text(encoding="utf-8"))
    for name, fact in facts["networks"].items():
        predicted = predict_arena_bytes(graph_from_json(fact["graph"]))
        error = predicted / fact["arena_bytes"] - 1
        errors.append(abs(error))
        ops = len(fact["graph"]["ops"])
        print(f"{name:28} {ops:4} {fact['arena_bytes']:11,} {predicted:10,} {error:+8.2%}")
    print(f"measured with {facts['runtime']}")
    mean = sum(errors) / len(errors)
    return [
        Target(f"mean error of the arena, {len(errors)} networks", mean, 0.01),
        Target("worst error of the arena", max(errors), 0.03),
    ]


def predict_arena_bytes(graph: OpGraph) -> int:
    """Predict what the wheel's interpreter uses: reference kernels, 64-bit pointers."""
    fused = fuse(graph, load_runtime("tflm-reference").fusion)
    return plan_memory(fused.stored, load_runtime(str(WHEEL)).memory, 1).peak_ram_bytes


def measure_all() -> None:
    """Measure every network and write the facts file."""
    import tflite_micro

    networks = {}
    for name, graph in _networks().items():
        arena, file_bytes = _measure(graph)
        sizes = {"arena_bytes": arena, "tflite_bytes": file_bytes}
        networks[name] = {**sizes, "graph": graph_to_json(graph)}
        print(f"measured {name}: {arena:,} bytes", file=sys.stderr)
    facts = {
        "source": "python -m benchmarks.accuracy.memory_tflm --measure",
        "runtime": f"tflite-micro {tflite_micro.__version__}, x86-64, reference kernels",
        "networks": networks,
    }
    text = json.dumps(facts, separators=(",", ":")).replace('},"', '},\n"')
    FACTS.write_text(text + "\n", encoding="utf-8")


def _networks() -> dict[str, OpGraph]:
    from benchmarks.lib.published import graph_of
    from hwkd.core.catalog import SEARCH_SPACES
    from hwkd.core.chooser import RandomChooser
    from hwkd.cost.graph import build_graph
    from hwkd.io.discovery import discover

    discover("hwkd.search_spaces")
    networks = {name: graph_of(name) for name in REFERENCES}
    for space_name in SEARCH_SPACES.names():
        space = SEARCH_SPACES.get(space_name)
        for seed in range(SAMPLES_PER_SPACE):
            shape = INPUT_SHAPES[seed % len(INPUT_SHAPES)]
            spec = space.suggest(RandomChooser(seed), input_shape=shape, num_outputs=10)
            networks[f"{space_name}-{seed}"] = build_graph(space.layers(spec))
    return networks


def _measure(graph: OpGraph) -> tuple[int, int]:
    """Return the arena that the interpreter used and the size of the file."""
    import os
    import re
    import tempfile

    from tflite_micro.python.tflite_micro import runtime

    from benchmarks.lib.tflite_writer import write_tflite

    data = write_tflite(fuse(graph, load_runtime("tflm-reference").fusion).stored)
    interpreter = runtime.Interpreter.from_bytes(data, arena_size=16 * 1024 * 1024)
    interpreter.invoke()
    # The recorder prints from C to file descriptor 2.
    with tempfile.TemporaryFile() as log:
        stderr = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            interpreter.print_allocations()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        log.seek(0)
        text = log.read().decode()
    found = re.search(r"Arena allocation total (\d+) bytes", text)
    if found is None:
        raise SystemExit(f"the interpreter reported no arena: {text!r}")
    return int(found[1]), len(data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="measure again with tflite-micro")
    if parser.parse_args().measure:
        measure_all()
    sys.exit(report(targets()))
