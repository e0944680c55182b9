"""The documentation site builds without a warning, names everything, says what it is for."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hwkd
from hwkd.cli.app import COMMANDS
from hwkd.core.catalog import FEATURES, SCHEMES
from tools import site_links, site_pages
from tools.api_page import public_objects

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
WITH_A_PURPOSE = [
    *(page for page in PAGES if page.name != "index.md"),
    *sorted((DOCS / "decisions").glob("*.md")),
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
]
PURPOSE = "After this page "


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return {name: make() for name, make in site_pages.PAGES.items()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_site_builds_without_a_warning_and_needs_no_network(tmp_path):
    pytest.importorskip("furo")
    pytest.importorskip("myst_parser")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "--keep-going", "-W", DOCS, tmp_path / "site"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    pages = [page.read_text() for page in (tmp_path / "site").rglob("*.html")]
    assert len(pages) > len(PAGES)
    fetched = r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//|<link[^>]*href="(?:https?:)?//'
    assert not [found for page in pages for found in re.findall(fetched, page)]


@pytest.mark.parametrize("page", WITH_A_PURPOSE, ids=lambda page: page.stem)
def test_a_page_says_first_what_its_reader_can_do_afterwards(page):
    title, first = page.read_text().split("\n\n")[:2]
    assert title.startswith("# ")
    assert first.startswith(PURPOSE)


def test_generated_pages_say_it_too(generated):
    for name, text in generated.items():
        assert text.split("\n\n")[1].startswith(PURPOSE), name


def test_every_page_is_in_the_contents():
    contents = (DOCS / "index.md").read_text()
    for page in PAGES:
        assert page.name == "index.md" or f"\n{page.stem}\n" in contents, page.name
    for name in [*site_pages.PAGES, *(Path(copy).name for copy in site_links.COPIES.values())]:
        assert f"\ngenerated/{Path(name).stem}\n" in contents


def test_every_public_name_is_documented():
    for name, found in public_objects().items():
        assert inspect.getdoc(found), name
        for member, value in vars(found).items() if inspect.isclass(found) else ():
            if member[0] != "_" and (inspect.isroutine(value) or isinstance(value, property)):
                assert inspect.getdoc(value), f"{name}.{member}"


def test_every_public_name_is_on_the_page_of_the_api(generated):
    page = generated["python-api.md"]
    for name in hwkd.__all__:
        assert name.startswith("_") or f":: hwkd.{name}\n" in page


def test_the_page_of_python_names_the_function_of_every_command():
    page = (DOCS / "python.md").read_text()
    for command in COMMANDS:
        name = command.function.__name__
        assert f"hwkd.{name}(" in page or f"`{name}(" in page, name


def test_everything_registered_is_on_a_generated_page(generated):
    for method in hwkd.methods():
        assert f"### {method.name}\n" in generated["methods.md"]
        assert method.formula.replace("|", "\\|") in generated["methods.md"]
    for device in hwkd.devices():
        assert f"## {device.name}\n" in generated["devices.md"]
    for name in (*SCHEMES, *FEATURES):
        assert f"## {name}\n" in generated["schemes.md"] or f"| {name} |" in generated["parts.md"]
    names = [*(task.name for task in hwkd.tasks()), *(space.name for space in hwkd.spaces())]
    for name in names:
        assert f"| {name} |" in generated["parts.md"]


def test_how_to_pages_name_every_device_task_and_target(generated):
    boards = (DOCS / "how-to-devices.md").read_text()
    assert all(f"`{device.name}`" in boards for device in hwkd.devices())
    tasks = (DOCS / "how-to-tasks.md").read_text()
    headings = " ".join(re.findall(r"^## .*\((`.*`)\)$", tasks, flags=re.M))
    assert all(f"`{task.name}`" in headings for task in hwkd.tasks())
    targets = (DOCS / "how-to-targets.md").read_text()
    listed = generated["parts.md"].split("## Export targets")[1].split("## ")[0]
    for name in re.findall(r"^\| (\S+) \| ", listed, flags=re.M)[2:]:
        assert f"`{name}`" in targets, name


def test_pages_say_of_the_first_command_what_its_run_says():
    facts = json.loads((DOCS / "pictures/run.json").read_text())
    minutes, seconds = divmod(facts["seconds"], 60)
    readme = (ROOT / "README.md").read_text()
    for page in (readme, (DOCS / "start.md").read_text()):
        assert f"{minutes} min {seconds} s" in page
    assert f"trained {facts['trained']} networks, {facts['on_the_front']} of which" in readme
    assert f"{facts['test_accuracy_int8']:.1%}".replace("%", " %") in readme


@pytest.mark.parametrize(
    ("page", "text", "there"),
    [
        ("docs/numbers.md", "[b](../benchmarks/README.md)", "[b](generated/benchmarks.md)"),
        ("benchmarks/README.md", "[n](../docs/numbers.md#x)", "[n](../numbers.md#x)"),
        ("CONTRIBUTING.md", "[d](docs/decisions)", "d"),
        ("docs/guide.md", "[s](python.md), [w](https://x.org)", "[s](python.md), [w](https://x.org)"),
        ("docs/start.md", "![p](pictures/front.png)", "![p](pictures/front.png)"),
    ],
)  # fmt: skip
def test_links_lead_to_what_the_site_holds(page, text, there):
    assert site_links.site_text(text, page) == there
