"""Structural mutants of ONNX files through a command: each is taken or refused in one line.

    python -m benchmarks.robustness.fuzz_onnx --count 3000 --seed 0 FILE.onnx ...
    python -m benchmarks.robustness.fuzz_onnx --through export INT8.onnx ...

`profile` costs a mutant; `export` writes its C, and what passes goes on to the TFLite writer;
`verify` also compiles it and holds every layer against ONNX Runtime's.

A mutant is a parsed file with one to four changes that a broken exporter or a hostile hand could
make: nodes, names, shapes, attributes, types and constants moved, copied, emptied or overdone; some
have bytes changed instead. The mutants run in a child process, so that a crash of a C library, a
hang or a flood of memory is a finding too. Faults are kept as files beside the report.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import multiprocessing
import random
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto

from benchmarks.lib.verdict import Target, report

_DEVICES = ("cortex-m4", "cortex-m7", "esp32-s3", "cortex-m33")
# Of the processor for one mutant; and without any report, which a busy machine may delay.
_MOST_SECONDS = 5
_MOST_SILENT_SECONDS = 120
_MOST_MEMORY_BYTES = 6 * 2**30
_SIZES = (-1, 0, 1, 2, 3, 7, 64, 1000, 2**16, 2**31, 2**40, 2**62, -(2**62))
_NAMES = (
    "", "[/0]", "[bold]", "out", "a\nb", "\x1b[31m", "\x00", "x" * 5000, "\u202e", "π", "0", " ",
)  # fmt: skip
_KINDS = (
    "Add", "AveragePool", "BatchNormalization", "Cast", "Concat", "Conv", "ConvTranspose",
    "DequantizeLinear", "Dropout", "Flatten", "Gather", "Gemm", "GlobalAveragePool", "Identity",
    "If", "LSTM", "Loop", "MatMul", "MaxPool", "Pad", "QLinearConv", "QuantizeLinear",
    "ReduceMean", "Relu", "Reshape", "Shape", "Slice", "Softmax", "Split", "Squeeze", "Transpose",
)  # fmt: skip

Mutation = Callable[[ModelProto, random.Random], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mutants; returns 1 when one of them is neither taken nor refused in one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--through", choices=("profile", "export", "verify"), default="profile")
    parser.add_argument("--out", type=Path, default=Path("fuzz"))
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    outcomes: Counter[str] = Counter()
    start = 0
    while start < given.count:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        child = multiprocessing.get_context("fork").Process(
            target=_run,
            args=(given.files, given.seed, start, given.count, given.out, given.through, sender),
        )
        child.start()
        sender.close()
        start = _collect(receiver, start, outcomes, given.out)
        child.kill()
        child.join()
    for outcome, count in outcomes.most_common():
        print(f"{count:6} {outcome}")
    faults = sum(n for outcome, n in outcomes.items() if outcome not in ("taken", "refused"))
    what = f"faults of {given.count:,} mutants of ONNX files through `hwkd {given.through}`"
    return report([Target(what, faults, 0, scale=1, unit="")], dict(outcomes))


def _collect(receiver: Connection, start: int, outcomes: Counter[str], out: Path) -> int:
    """Take reports until the child is done, silent for too long, or dead; return the next index."""
    while True:
        outcome = "hang"
        if receiver.poll(_MOST_SILENT_SECONDS):
            try:
                outcome = receiver.recv()
            except EOFError:
                outcome = "crash"
        if outcome == "done":
            return start
        if outcome in ("hang", "crash"):
            (out / f"{start}.onnx").write_bytes((out / "current.onnx").read_bytes())
        outcomes[outcome] += 1
        start += 1
        if outcome in ("hang", "crash"):
            return start


def _run(
    files: Sequence[Path],
    seed: int,
    start: int,
    count: int,
    out: Path,
    through: str,
    sender: Connection,
) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    faulthandler.enable()
    sources = [path.read_bytes() for path in files]
    for index in range(start, count):
        generator = random.Random(seed * 1_000_003 + index)
        data = mutant(sources[index % len(sources)], generator)
        current = out / "current.onnx"
        current.write_bytes(data)
        started = time.process_time()
        device, as_json = generator.choice(_DEVICES), generator.random() < 0.5
        if through == "profile":
            outcome = _outcome(["profile", str(current), "--device", device], as_json=as_json)
        else:
            outcome = _exported(current, as_json=as_json)
            if outcome == "taken" and through == "verify":
                outcome = _compared(current)
        # The first one also imports everything.
        if index > start and time.process_time() - started > _MOST_SECONDS:
            outcome = f"more than {_MOST_SECONDS} s, {outcome}"
        if outcome not in ("taken", "refused"):
            (out / f"{index}.onnx").write_bytes(data)
        sender.send(outcome)
    sender.send("done")


def _exported(path: Path, *, as_json: bool) -> str:
    from hwkd.core.errors import HwkdError
    from hwkd.deploy.to_tflite import write_tflite
    from hwkd.qgraph.read_qdq import read_qdq

    with tempfile.TemporaryDirectory() as folder:
        words = ["export", str(path), "--target", "c", "--out", f"{folder}/c"]
        outcome = _outcome(words, as_json=as_json)
    if outcome == "taken":
        try:
            write_tflite(read_qdq(path))
        except HwkdError as error:
            return outcome if str(error).isprintable() else f"unprintable: {str(error)[:80]!r}"
        except BaseException as error:  # whatever it is, it is what is looked for
            return _described(error)
    return outcome


def _compared(path: Path) -> str:
    """Return "taken" where the C computes what ONNX Runtime does."""
    from hwkd.deploy.to_c.export import build_project
    from hwkd.deploy.toolchain import find_host_compiler
    from hwkd.deploy.verify import seeded_samples
    from hwkd.deploy.verify_layers import LayerComparison
    from hwkd.deploy.verify_onnx import reference_outputs, to_c_inputs
    from hwkd.deploy.verify_run import build_host, run_host

    try:
        project = build_project(path)
        samples = seeded_samples(path, 8)
        steps = to_c_inputs(project, samples)
        comparison = LayerComparison(path, project)
        with tempfile.TemporaryDirectory() as folder:
            programs = build_host(project, Path(folder), find_host_compiler())
            ours = run_host(programs.plain, project, steps).outputs
            comparison.add(steps, run_host(programs.traced, project, steps).step_outputs)
        is_same = ours == reference_outputs(path, project, samples)
    except BaseException as error:  # whatever it is, it is what is looked for
        return _described(error)
    if any(step.differing for step in comparison.steps):
        return "layers differ from ONNX Runtime's"
    return "taken" if is_same[~comparison.has_other_tie].all() else "outputs differ"


def _described(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {error}"[:160]


def _outcome(words: list[str], *, as_json: bool) -> str:
    from hwkd.cli.app import main as hwkd

    printed, said = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
            code = hwkd([*words, *["--json"] * as_json])
    except BaseException as error:  # whatever it is, it is what is looked for
        return _described(error)
    if code == 0:
        return "taken"
    lines = said.getvalue().splitlines()
    if code != 2 or len(lines) != 1 or printed.getvalue() or not lines[0].isprintable():
        return f"exit code {code}, {len(lines)} lines on stderr: {said.getvalue()[:80]!r}"
    return "refused"


def mutant(data: bytes, generator: random.Random) -> bytes:
    """Return a changed copy of a serialised model."""
    if generator.random() < 0.1:
        return _with_other_bytes(data, generator)
    model = ModelProto()
    model.ParseFromString(data)
    for _ in range(generator.randint(1, 4)):
        # A field may not take a value, or be empty already; the next mutation has its turn.
        with contextlib.suppress(ValueError, TypeError, LookupError, OverflowError):
            generator.choice(_MUTATIONS)(model, generator)
    data = model.SerializeToString()
    return _with_other_bytes(data, generator) if generator.random() < 0.05 else data


def _with_other_bytes(data: bytes, generator: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(generator.randint(1, 6)):
        changed[generator.randrange(len(changed))] = generator.randrange(256)
    return bytes(
        changed[: generator.randrange(len(changed))] if generator.random() < 0.1 else changed
    )


def _node(model: ModelProto, generator: random.Random) -> NodeProto:
    found: NodeProto = generator.choice(model.graph.node)
    return found


def _drop_node(model: ModelProto, generator: random.Random) -> None:
    del model.graph.node[generator.randrange(len(model.graph.node))]


def _copy_node(model: ModelProto, generator: random.Random) -> None:
    copy = NodeProto()
    copy.CopyFrom(_node(model, generator))
    model.graph.node.insert(generator.randrange(len(model.graph.node)), copy)


def _rename_node(model: ModelProto, generator: random.Random) -> None:
    _node(model, generator).name = generator.choice((*_NAMES, _node(model, generator).name))


def _other_kind(model: ModelProto, generator: random.Random) -> None:
    _node(model, generator).op_type = generator.choice(_KINDS)


def _other_domain(model: ModelProto, generator: random.Random) -> None:
    _node(model, generator).domain = generator.choice(("com.microsoft", "ai.onnx", "ai.onnx.ml"))


def _rewire(model: ModelProto, generator: random.Random) -> None:
    node = _node(model, generator)
    names = [name for other in model.graph.node for name in (*other.input, *other.output)]
    ends = generator.choice((node.input, node.output))
    action = generator.randrange(4)
    if action == 0:
        ends[generator.randrange(len(ends))] = generator.choice((*names, *_NAMES))
    elif action == 1:
        del ends[generator.randrange(len(ends))]
    elif action == 2:
        ends.append(generator.choice((*names, "")))
    else:
        ends.insert(0, generator.choice((*names, "")))


def _rename_tensor(model: ModelProto, generator: random.Random) -> None:
    node = _node(model, generator)
    old, new = generator.choice((*node.input, *node.output)), generator.choice(_NAMES)
    for other in model.graph.node:
        for ends in (other.input, other.output):
            for index, name in enumerate(ends):
                if name == old:
                    ends[index] = new
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        if value.name == old:
            value.name = new


def _other_attribute(model: ModelProto, generator: random.Random) -> None:
    node = generator.choice([node for node in model.graph.node if node.attribute])
    attribute = generator.choice(node.attribute)
    action = generator.randrange(7)
    if action == 0 and attribute.ints:
        attribute.ints[generator.randrange(len(attribute.ints))] = generator.choice(_SIZES)
    elif action == 1:
        attribute.i = generator.choice(_SIZES)
    elif action == 2:
        del attribute.ints[-1:]
    elif action == 3:
        attribute.ints.append(generator.choice(_SIZES))
    elif action == 4:
        attribute.type = generator.choice(AttributeProto.AttributeType.values())
    elif action == 5:
        attribute.ref_attr_name = "outer"
    else:
        attribute.name = generator.choice(("axis", "pads", "group", "to", *_NAMES))


def _other_input_shape(model: ModelProto, generator: random.Random) -> None:
    value = generator.choice((*model.graph.input, *model.graph.output, *model.graph.value_info))
    tensor = value.type.tensor_type
    action = generator.randrange(6)
    if action == 0:
        generator.choice(tensor.shape.dim).dim_value = generator.choice(_SIZES)
    elif action == 1:
        generator.choice(tensor.shape.dim).dim_param = generator.choice((*_NAMES, "N", "frames"))
    elif action == 2:
        tensor.shape.dim.add(dim_value=generator.choice(_SIZES))
    elif action == 3:
        del tensor.shape.dim[-1:]
    elif action == 4:
        tensor.elem_type = generator.choice(TensorProto.DataType.values())
    else:
        value.type.Clear()


def _other_constant(model: ModelProto, generator: random.Random) -> None:
    tensor = generator.choice(model.graph.initializer)
    action = generator.randrange(9)
    if action == 0:
        tensor.dims[generator.randrange(len(tensor.dims))] = generator.choice(_SIZES)
    elif action == 1:
        tensor.dims.append(generator.choice((1, 1, *_SIZES)))
    elif action == 2:
        del tensor.dims[-1:]
    elif action == 3:
        tensor.data_type = generator.choice(TensorProto.DataType.values())
    elif action == 4:
        tensor.ClearField("raw_data")
    elif action == 5:
        tensor.raw_data = bytes(generator.randrange(256) for _ in range(len(tensor.raw_data)))
    elif action == 6:
        tensor.data_location = TensorProto.EXTERNAL
        place = generator.choice(("\x00", "a" * 5000, "../w", "/", ".", "current.onnx", ""))
        tensor.external_data.add(key="location", value=place)
        tensor.external_data.add(key="offset", value=generator.choice(("0", "9" * 5000, "-1", "x")))
    elif action == 7:
        # The same shape with its numbers changed: targets of reshapes, amounts of pads.
        values = onnx.numpy_helper.to_array(tensor).copy()
        values.reshape(-1)[generator.randrange(values.size)] = generator.choice(_SIZES[:9])
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    else:
        copy = TensorProto()
        copy.CopyFrom(tensor)
        model.graph.initializer.append(copy)


def _transpose_constant(model: ModelProto, generator: random.Random) -> None:
    tensor = generator.choice(model.graph.initializer)
    dims = list(tensor.dims)
    generator.shuffle(dims)
    del tensor.dims[:]
    tensor.dims.extend(dims)


def _weight_as_input(model: ModelProto, generator: random.Random) -> None:
    index = generator.randrange(len(model.graph.initializer))
    tensor = model.graph.initializer[index]
    model.graph.input.append(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
    )
    if generator.random() < 0.5:
        del model.graph.initializer[index]


def _other_outputs(model: ModelProto, generator: random.Random) -> None:
    if generator.random() < 0.3:
        del model.graph.output[:]
    node = _node(model, generator)
    model.graph.output.add(name=generator.choice(node.output))


def _other_opset(model: ModelProto, generator: random.Random) -> None:
    generator.choice(model.opset_import).version = generator.choice((1, 6, 9, 11, 13, 18, 21, 24))


def _insert_view(model: ModelProto, generator: random.Random) -> None:
    """Put an operator between a tensor and one reader."""
    index = generator.randrange(len(model.graph.node))
    node = model.graph.node[index]
    at = generator.randrange(len(node.input))
    new = f"between_{index}_{generator.randrange(10**6)}"
    kind = generator.choice(("Transpose", "Identity", "Flatten", "Shape", "Sigmoid", "Cast"))
    attributes: dict[str, Any] = {}
    if kind == "Cast":
        attributes["to"] = generator.choice((1, 3, 6, 7, 10, 11))
    model.graph.node.insert(
        index, onnx.helper.make_node(kind, [node.input[at]], [new], **attributes)
    )
    model.graph.node[index + 1].input[at] = new


def _other_quantisation(model: ModelProto, generator: random.Random) -> None:
    """Give one quantise or dequantise node a scale, zero point, type or axis of its own."""
    kinds = ("QuantizeLinear", "DequantizeLinear")
    node = generator.choice([node for node in model.graph.node if node.op_type in kinds])
    stored = {item.name: item for item in model.graph.initializer}
    name = f"own_{generator.randrange(10**6)}"
    action = generator.randrange(6)
    if action == 0:
        del node.input[2:]
    elif action == 1:
        axis = onnx.helper.make_attribute("axis", generator.randrange(-4, 5))
        del node.attribute[:]
        node.attribute.append(axis)
    elif action == 2:
        position = generator.choice((1, 2))
        others = [other.input[position] for other in model.graph.node if other.op_type in kinds]
        node.input[position] = generator.choice(others)
    elif action < 5:
        values = onnx.numpy_helper.to_array(stored[node.input[1]]).copy()
        change = generator.choice((0.5, 0.9, 1.1, 2.0, 1e-30, 1e30, 0.0, -1.0, float("nan")))
        where = generator.choice((slice(None), slice(0, 1)))
        values.reshape(-1)[where] *= change
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
        node.input[1] = name
    else:
        values = onnx.numpy_helper.to_array(stored[node.input[2]]).copy()
        values.reshape(-1)[:] = generator.choice((0, 1, 5, 100, -1, -7, -128))
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
        node.input[2] = name


_MUTATIONS: tuple[Mutation, ...] = (
    _drop_node, _copy_node, _rename_node, _other_kind, _other_domain, _rewire, _rewire,
    _rename_tensor, _other_attribute, _other_attribute, _other_input_shape, _other_input_shape,
    _other_constant, _other_constant, _transpose_constant, _weight_as_input, _other_outputs,
    _other_opset, _insert_view, _other_quantisation, _other_quantisation,
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
