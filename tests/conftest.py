"""What every test shares: a cache of its own, one thread, no plugins, no screen."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from optuna.storages._rdb.storage import _VersionManager
from support.compiled_once import CompiledOnce
from support.made_once import MadeOnce
from support.processes import ON_PATH, Processes
from support.unforced import unforced

# For `benchmarks` and `tools`, which are not installed; last, so that an installed hwkd wins.
sys.path.append(str(Path(__file__).parents[1]))

from benchmarks.lib.postgresql import Server, running_server, why_there_is_none
from hwkd.engine.arms.children import Nursery
from hwkd.engine.setup.feasibility import survey

# Set before anything imports what reads them. Each test process gets one core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HWKD_NO_PLUGINS"] = "1"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["MPLBACKEND"] = "Agg"
# Processes that tests start find the bytecode of hwkd: compiling it takes half a second in each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ON_PATH), os.getenv("PYTHONPATH"))))
# Terminal colours and widths of the developer's shell must not change what is printed.
for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):
    os.environ.pop(name, None)

# The same examples on every machine; a busy machine must not fail a test.
settings.register_profile(
    "hwkd",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("hwkd")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return one process more than there are cores: slow tests wait, for a lease or a worker."""
    is_quick = config.option.markexpr == "not slow"
    return (os.cpu_count() or 1) + (not is_quick)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Let no garbage collection look at what is imported: an eighth of the time of all tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep teachers and logits of the whole session, away from the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWKD_CACHE_DIR", str(folder))
        # Benchmarks that tests run must not renew the results that the project publishes.
        patch.setenv("HWKD_BENCHMARK_RESULTS", str(folder / "results"))
        yield folder


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """Give a PostgreSQL server that all tests of this process share; each makes studies in it."""
    reason = why_there_is_none()
    if reason is not None:
        pytest.skip(reason)
    with running_server() as server:
        yield server


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start commands as processes of their own, in which all is imported already."""
    with Nursery() as nursery:
        yield Processes(nursery, tmp_path)


@pytest.fixture(scope="session", autouse=True)
def _few_students_before_a_search() -> Iterator[None]:
    """Cost 20 students of each space before a search, not 200: what is found needs no more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hwkd.engine.setup.prepare.survey", partial(survey, samples=20))
        yield


@pytest.fixture(scope="session", autouse=True)
def _unforced() -> Iterator[None]:
    """Wait for no disk."""
    with unforced():
        yield


@pytest.fixture(scope="session", autouse=True)
def _revisions_read_once() -> Iterator[None]:
    """Let Optuna load its revisions of the tables once, not for every database that is opened."""
    read = _VersionManager._create_alembic_script
    found: list[object] = []

    def revisions(manager: _VersionManager) -> object:
        if not found:  # the same whatever the database
            found.append(read(manager))
        return found[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_VersionManager, "_create_alembic_script", revisions)
        yield


def _of_all_processes(factory: pytest.TempPathFactory) -> Path:
    """Return a folder of the whole session, whichever of its processes asks."""
    folder = factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Make folders that are only read once for every process and file of the session."""
    return MadeOnce(_of_all_processes(tmp_path_factory) / "made")


@pytest.fixture(scope="session", autouse=True)
def _objects_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compile each kernel once for every core and set of flags, for all processes together."""
    folder = _of_all_processes(tmp_path_factory) / "objects"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hwkd.deploy.verify_run.run_tool", CompiledOnce(folder))
        yield
