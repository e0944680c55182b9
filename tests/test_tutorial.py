"""The tutorial is followed as it is printed: its files are saved, its commands run, a light blinks.

Only the five minutes of the search are shortened, to an amount of work instead of a time; what
would import hwkd anew runs in this process.
"""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwkd.cli.app import main

PAGE = (Path(__file__).parents[1] / "docs/tutorial.md").read_text()
TOOLS = ("make", "arm-none-eabi-gcc", "qemu-system-arm")
CLASSES = ("cup", "key", "shoe")
SHORT = (
    "--trials 2 --brief-epochs 1 --full-epochs 2 --controls 0 --workers 1 --teacher-time 2s "
    "--space narrow_deep"
)
SAVED = re.compile(r"Save as `([^`]+)`:\n\n```\w+\n(.*?)^```$", flags=re.M | re.S)
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", flags=re.M | re.S)


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """A folder with photos and the files that the page says to save."""
    folder = tmp_path_factory.mktemp("desk")
    generator = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        (folder / "photos" / name).mkdir(parents=True)
        for index in range(1, 31):
            pixels = generator.integers(0, 60, size=(40, 40, 3), dtype=np.uint8)
            pixels[:, :, number] += 150
            Image.fromarray(pixels).save(folder / "photos" / name / f"{index}.jpg")
    for name, text in SAVED.findall(PAGE):
        (folder / name).write_text(text)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}")
def test_the_tutorial_ends_in_a_light_that_blinks_the_answer(desk, monkeypatch, capfd):
    monkeypatch.chdir(desk)
    monkeypatch.setenv("HWKD_CACHE_DIR", str(desk / "cache"))
    for line in "".join(COMMANDS.findall(PAGE)).splitlines():
        program, *words = shlex.split(line.replace("--timeout 5min", SHORT))
        if program == "hwkd":
            assert main(words) == 0
        elif program == "python":
            monkeypatch.setattr("sys.argv", words)
            runpy.run_path(words[0])
        else:
            subprocess.run(line, shell=True, check=True)
    output = capfd.readouterr().out
    says = re.search(r"the network says: (\w+)", output)
    assert says is not None
    assert output.count("0% -> 100%") == CLASSES.index(says[1]) + 1
