"""Names and labels of any kind: the C compiles, computes the same, and runs nothing of theirs."""

import json
import shutil
import subprocess
from dataclasses import replace
from itertools import cycle

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.exported_c import export_c
from support.op_networks import OP_NETWORKS

from benchmarks.lib.c_networks import quantise
from hwkd.core.errors import ExportError
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_c.exported import read_exported
from hwkd.deploy.to_c.project_text import project_files
from hwkd.deploy.toolchain import find_host_compiler, run_tool
from hwkd.deploy.verify_layers import LayerComparison
from hwkd.deploy.verify_onnx import to_c_inputs
from hwkd.deploy.verify_run import build_host, run_host
from hwkd.engine.arms.export import raw_input
from hwkd.qgraph.foreign_text import c_comment, c_string, fresh_name, string_bytes

needs_cc = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler on PATH")

# What code generators stumble over; each is tried as a tensor's name, a node's and a label.
HOSTILE = (
    "out", "scratch", "in0", "arena", "arena + 4", "int", "return", "EOF", "model_run", "layer_0",
    "{out}", "{", "}", "{}{}", "$source", "${x}", "%s%n", 'quote"', "back\\slash", "\\", "'", "`",
    "*/ int x; /*", "/*", "*/", "//", "??/", "??=", "line\nbreak", "tab\t", "\x01", "\x7f", "\x85",
    "ünïcode", "名前", "\N{GRINNING FACE} smile", "\u202e", "a@b", "in@0", "scratch 0", "scratch 1",
    "../up", "[/0]", " ", "0", "\0", "a\0b",
)  # fmt: skip
OURS = (
    "squeeze_excite", "linear_attention", "branches", "pooling", "residual",
    "flatten_before_linear",
)  # fmt: skip


def renamed(path, target):
    """Write the model with hostile names on tensors and nodes, tensors that end up int8 first."""
    model = onnx.load(path)
    ends = {item.name for item in (*model.graph.input, *model.graph.output)}
    int8 = [n.output[0] for n in model.graph.node if n.op_type == "QuantizeLinear"]
    others = [o for n in model.graph.node for o in n.output if o not in int8 and o not in ends]
    fixed = [item.name for item in model.graph.initializer]
    old = [*int8, *others, *fixed]
    extra = (f"{name}@{number}" for number in range(99) for name in HOSTILE)
    new = dict(zip(old, [*HOSTILE, *extra], strict=False))
    for number, (node, name) in enumerate(zip(model.graph.node, cycle(HOSTILE), strict=False)):
        node.input[:] = [new.get(item, item) for item in node.input]
        node.output[:] = [new.get(item, item) for item in node.output]
        node.name = f"{name}{number}"
    for item in model.graph.initializer:
        item.name = new.get(item.name, item.name)
    del model.graph.value_info[:]
    onnx.save(model, target)
    return target


def run_on_host(path, folder):
    project = build_project(path)
    folder.mkdir()
    shape = (8, *project.input.shape[1:])
    samples = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    programs = build_host(project, folder, find_host_compiler())
    inputs = to_c_inputs(project, samples)
    comparison = LayerComparison(path, project)
    comparison.add(inputs, run_host(programs.traced, project, inputs).step_outputs)
    return run_host(programs.plain, project, inputs).outputs, comparison.steps


@pytest.mark.slow
@needs_cc
@pytest.mark.parametrize("name", OURS)
def test_names_of_tensors_and_nodes_change_nothing_in_what_is_computed(name, tmp_path):
    plain = quantise(OP_NETWORKS[name](), tmp_path, name)
    hostile = renamed(plain, tmp_path / "hostile.onnx")
    expected, layers = run_on_host(plain, tmp_path / "plain")
    outputs, found = run_on_host(hostile, tmp_path / "hostile")
    assert np.array_equal(outputs, expected)
    assert found == layers
    assert all(layer.differing == 0 for layer in found)


@needs_cc
def test_every_label_is_printed_as_it_was_given(tmp_path):
    lines = [f"    puts({c_string(text)});" for text in HOSTILE]
    body = "\n".join(lines)
    (tmp_path / "labels.c").write_text(f"#include <stdio.h>\nint main(void)\n{{\n{body}\n}}\n")
    flags = ("-std=c99", "-Wall", "-Wextra", "-Wtrigraphs", "-Werror", "-pedantic", "-trigraphs")
    run_tool([*find_host_compiler(), *flags, "labels.c", "-o", "labels"], folder=tmp_path)
    printed = subprocess.run([tmp_path / "labels"], capture_output=True, check=True).stdout
    expected = [text.encode().split(b"\0")[0] for text in HOSTILE]
    assert printed == b"".join(text + b"\n" for text in expected)


@pytest.mark.slow
@needs_cc
def test_an_export_with_hostile_labels_and_sample_builds_alone(tmp_path):
    model = quantise(OP_NETWORKS["squeeze_excite"](), tmp_path, "net")
    hostile = renamed(model, tmp_path / "x' ${source} `\n#error .onnx")
    for number in range(0, len(HOSTILE) - 2, 3):
        labels = HOSTILE[number : number + 3]
        out = tmp_path / str(number)
        export_c(hostile, out, labels=labels)
        assert json.loads((out / "model.json").read_text())["labels"] == list(labels)
        flags = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
        for source in ("model.c", "main.c"):
            run_tool([*find_host_compiler(), *flags, "-c", source], folder=out)


@given(st.text())
def test_comments_stay_on_one_line_and_open(text):
    found = c_comment(text)
    assert found.isascii()
    assert found == "" or found.isprintable()
    assert not any(pair in found for pair in ("*/", "/*", "//", "??", "`"))


@given(st.text(alphabet=st.characters(min_codepoint=0, max_codepoint=0x10FFFF)))
def test_strings_hold_their_bytes(text):
    literal = c_string(text)
    assert literal.isascii()
    assert literal.isprintable()
    assert "??" not in literal
    # Python's bytes literals read the same escapes, but for the question mark.
    read = literal[1:-1].replace("\\?", "?").encode().decode("unicode_escape").encode("latin-1")
    assert read == string_bytes(text)


def test_a_fresh_name_is_never_taken():
    assert fresh_name("x@1", {"x"}) == "x@1"
    assert fresh_name("x@1", {"x@1", "x@1_2"}) == "x@1_3"


def test_text_in_a_folders_description_is_never_compiled(tmp_path):
    """A folder whose C was altered through its description is refused, whatever it says."""
    model = quantise(OP_NETWORKS["squeeze_excite"](), tmp_path, "net")
    out = tmp_path / "c"
    export_c(model, out, labels=("a", "b", "c"))
    attack = "x */\n__attribute__((constructor)) static void f(void) { *(int *)0 = 0; }\n/*"
    facts = json.loads((out / "model.json").read_text())
    for change in ({"source": attack}, {"labels": [attack, "b", "c"]}):
        (out / "model.json").write_text(json.dumps(facts | change))
        for name in ("model.c", "model.h"):
            (out / name).write_text((out / name).read_text().replace("net.onnx", attack))
        with pytest.raises(ExportError, match="not what this hwkd exports"):
            read_exported(out, raw_input).project()
    project = replace(build_project(model), source=attack, labels=(attack, "b", "c"))
    text = project_files(project)["model.c"]
    assert "\n__attribute__((constructor))" not in text


@pytest.mark.parametrize(
    "change",
    [
        {"labels": "abc"}, {"labels": [1]}, {"source": 3}, {"rounding": "up"}, {"kernels": None},
        {"measured": {}}, {"measured": {"scores": {"x": 1}, "metrics": []}}, {"measured": 5},
        {"answer": {"kind": "classes", "mean": [10**400], "std": [1.0]}},
    ],
)  # fmt: skip
def test_a_damaged_description_is_one_line(change, tmp_path):
    model = quantise(OP_NETWORKS["squeeze_excite"](), tmp_path, "net")
    out = tmp_path / "c"
    export_c(model, out)
    facts = json.loads((out / "model.json").read_text())
    (out / "model.json").write_text(json.dumps(facts | change))
    with pytest.raises(ExportError, match="not a description"):
        read_exported(out, raw_input)
