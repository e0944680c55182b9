"""Exports for Arduino and Zephyr build as those tools build them, and compute what they should."""

import re
import shutil
import subprocess
from importlib.resources import files
from types import SimpleNamespace

import pytest
import yaml
from support.listeners import LABELS, made_listener

from hwkd.core.errors import ConfigError
from hwkd.core.head import OutputForm
from hwkd.deploy.exporter import ExportOptions
from hwkd.deploy.output_folder import write_folder
from hwkd.deploy.to_c.library import unfused
from hwkd.deploy.toolchain import host_compiler
from hwkd.engine.arms.export import exporters, raw_input
from hwkd.io.discovery import output_kind

M4 = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]
needs_arm = pytest.mark.skipif(shutil.which("arm-none-eabi-g++") is None, reason="needs the core")
# What a sketch of these calls of Arduino's core, on this computer.
ARDUINO_H = """
#include <stdint.h>
#include <stdio.h>
static inline unsigned long micros() { return 0; }
static inline void delay(unsigned long) {}
struct Port {
    void begin(long) {}
    void print(const char *text) { printf("%s", text); }
    void print(int value) { printf("%d", value); }
    void println(unsigned long value) { printf("%lu\\n", value); }
    void println(const char *text) { printf("%s\\n", text); }
    int available() { return 1 << 15; }
    size_t readBytes(char *to, size_t count) { return fread(to, 1, count, stdin); }
};
static Port Serial;
"""
# What the CMakeLists.txt of a module and of an application call of Zephyr.
ZEPHYR_CMAKE = """
project(zephyr C)
add_executable(app)
function(zephyr_library)
  add_library(module STATIC)
  target_link_libraries(app PRIVATE module m)
endfunction()
function(zephyr_library_sources)
  target_sources(module PRIVATE ${ARGN})
endfunction()
function(zephyr_library_compile_options)
  target_compile_options(module PRIVATE ${ARGN})
endfunction()
function(zephyr_include_directories)
  target_include_directories(app PRIVATE ${ARGN})
endfunction()
function(zephyr_compile_definitions)
  add_compile_definitions(${ARGN})
endfunction()
include(${CMAKE_CURRENT_LIST_DIR}/settings.cmake)
foreach(module ${ZEPHYR_EXTRA_MODULES})
  add_subdirectory(${module}/zephyr module)
endforeach()
"""


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    return made_listener(tmp_path_factory.mktemp("library"), streams=True)


# Windows at once, and frame by frame.
forms = pytest.mark.parametrize("streaming", [False, True], ids=["windows", "frames"])


def exported(listener, target, folder, *, streaming=False):
    source = SimpleNamespace(
        int8_path=listener.model, told_names=LABELS, sample=lambda: None, folder=None, run=None,
        answer=output_kind("classes").answer(OutputForm()),
        raw=raw_input(listener.pipeline.record()),
    )  # fmt: skip
    options = ExportOptions(streaming=streaming)
    write_folder(exporters()[target].export(source, options).files, folder)
    return folder


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_arm
@forms
@pytest.mark.parametrize("sketch", ["Check", "Listen"])
def test_sketches_build_for_a_core_with_the_flags_of_arduino(sketch, streaming, listener, tmp_path):
    library = exported(listener, "arduino", tmp_path / "library", streaming=streaming)
    (tmp_path / "Arduino.h").write_text(ARDUINO_H)
    flags = [*M4, "-O2", "-w", f"-I{library / 'src'}", f"-I{tmp_path}"]
    sources = sorted((library / "src").glob("*.c"))
    run(["arm-none-eabi-gcc", *flags, "-std=gnu11", "-c", *sources], cwd=tmp_path)
    example = library / "examples" / sketch / f"{sketch}.ino"
    as_arduino = ["-std=gnu++14", "-include", "Arduino.h", "-x", "c++"]
    run(["arm-none-eabi-g++", *flags, *as_arduino, "-c", example, "-o", "sketch.o"], cwd=tmp_path)


@pytest.mark.slow
@needs_arm
def test_kernels_fuse_no_products_without_a_flag(listener, tmp_path):
    library = exported(listener, "arduino", tmp_path / "library") / "src"
    kernels = files("hwkd.deploy.to_c") / "kernels"
    for kernel in kernels.iterdir():
        if kernel.name != "hwkd_cmsis_nn.c":
            (library / kernel.name).write_text(unfused(kernel.name, kernel.read_text()))
    for source in sorted(library.glob("*.c")):
        fused = []
        for flag in ("fast", "off"):
            run(["arm-none-eabi-gcc", *M4, "-O2", "-w", "-std=gnu11", f"-ffp-contract={flag}", "-c",
                 source, "-o", "one.o"], cwd=tmp_path)  # fmt: skip
            code = run(["arm-none-eabi-objdump", "-d", "one.o"], cwd=tmp_path)
            fused.append(len(re.findall(r"\bv(?:fma|fms|fnma|mla|mls)", code)))
        assert fused[0] == fused[1], source.name


@pytest.mark.skipif(host_compiler() is None or not shutil.which("g++"), reason="needs compilers")
@forms
def test_sketches_compute_what_onnx_runtime_does(streaming, listener, tmp_path):
    library = exported(listener, "arduino", tmp_path / "library", streaming=streaming)
    (tmp_path / "Arduino.h").write_text(ARDUINO_H)
    run(["gcc", "-O1", "-c", *(library / "src").glob("*.c")], cwd=tmp_path)
    (tmp_path / "main.cpp").write_text(
        '#include "Arduino.h"\n#include "library/examples/Check/Check.ino"\n'
        "int main() { setup(); loop(); loop(); }\n"
    )
    run(["g++", f"-I{library / 'src'}", "main.cpp", *tmp_path.glob("*.o"), "-o", "check"],
        cwd=tmp_path)  # fmt: skip
    # A second time, too: the frames of the first are forgotten.
    told = run([tmp_path / "check"]).splitlines()
    timed = "all frames of a window" if streaming else "an inference"
    assert told == [f"0 of 4 outputs differ from ONNX Runtime; microseconds of {timed}: 0"] * 2
    assert ("MODEL_HOP_FRAMES" in (library / "src" / "model.h").read_text()) == streaming
    facts = dict(
        line.split("=", 1) for line in (library / "library.properties").read_text().splitlines()
    )
    assert {"name", "version", "author", "sentence", "url", "architectures"} <= set(facts)
    assert all((library / "src" / name).is_file() for name in facts["includes"].split(","))


@pytest.mark.slow
@pytest.mark.skipif(host_compiler() is None or not shutil.which("cmake"), reason="needs CMake")
@forms
def test_the_sample_of_a_zephyr_module_computes_what_onnx_runtime_does(
    streaming, listener, tmp_path
):
    module = exported(listener, "zephyr", tmp_path / "module", streaming=streaming)
    described = yaml.safe_load((module / "zephyr" / "module.yml").read_text())
    assert (module / described["build"]["cmake"] / "CMakeLists.txt").is_file()
    text = (module / described["build"]["kconfig"]).read_text()
    defaults = dict(re.findall(r"^config (\w+)\n\tint .*\n\tdefault (\d+)$", text, re.MULTILINE))
    settings = {f"CONFIG_{name}": value for name, value in defaults.items()}
    for line in (module / "samples/check/prj.conf").read_text().splitlines():
        name, value = line.split("=")
        settings[name] = value
    lines = [f"set({name} {value})" for name, value in settings.items()]
    (tmp_path / "settings.cmake").write_text("\n".join(lines))
    (tmp_path / "ZephyrConfig.cmake").write_text(ZEPHYR_CMAKE)
    run(["cmake", "-S", module / "samples/check", "-B", "build", f"-DZephyr_DIR={tmp_path}"],
        cwd=tmp_path)  # fmt: skip
    run(["cmake", "--build", "build"], cwd=tmp_path)
    assert run([tmp_path / "build" / "app"]) == "0 of 4 outputs differ from ONNX Runtime\n"
    assert {"CONFIG_HWKD_MODEL", "CONFIG_HWKD_MODEL_STRIDE"} <= set(settings)


@pytest.mark.parametrize("target", ["arduino", "zephyr"])
def test_kernels_whose_flags_a_library_cannot_set_are_refused(target, listener):
    with pytest.raises(ConfigError, match="goes with --target c"):
        exporters()[target].export(
            SimpleNamespace(int8_path=listener.model), ExportOptions(kernels="cmsis-nn")
        )
