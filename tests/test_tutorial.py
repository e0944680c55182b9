"""The tutorial is followed as it is printed: its files are saved, its commands run, a light blinks.

Only the five minutes of the search are shortened, to an amount of work instead of a time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PAGE = (Path(__file__).parents[1] / "docs/tutorial.md").read_text()
TOOLS = ("make", "arm-none-eabi-gcc", "qemu-system-arm")
CLASSES = ("cup", "key", "shoe")
SHORT = "--trials 2 --brief-epochs 1 --full-epochs 2 --controls 0 --workers 1 --teacher-time 2s"
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
def test_the_tutorial_ends_in_a_light_that_blinks_the_answer(desk):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HWKD_CACHE_DIR": str(desk / "cache")}
    output = ""
    for line in "".join(COMMANDS.findall(PAGE)).splitlines():
        ran = subprocess.run(
            line.replace("--timeout 5min", SHORT),
            shell=True, cwd=desk, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        output += ran.stdout
    says = re.search(r"the network says: (\w+)", output)
    assert says is not None
    assert output.count("0% -> 100%") == CLASSES.index(says[1]) + 1
