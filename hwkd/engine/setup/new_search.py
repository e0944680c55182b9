"""What a new search is asked before it takes any time; one that goes on was asked once."""

from __future__ import annotations

from pathlib import Path

from hwkd.core.errors import ConfigError
from hwkd.core.progress import Progress, silent
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.hardware import accelerator_device
from hwkd.engine.setup.methods import require_meaningful, require_possible
from hwkd.engine.setup.prepare import Prepared, prepare_data
from hwkd.engine.setup.resolve import screen_of
from hwkd.engine.setup.time_plan import TimeLimit

# Read within a few seconds, whatever it holds.
_SMALL_BYTES = 20_000_000


def prepare_new_search(config: SearchConfig, *, progress: Progress) -> Prepared:
    """Read the data and fill open choices; refuse what no training could do.

    Raises:
        HwkdError: for an unknown name, an accelerator that is not there, options that would do
            nothing, data that cannot be read and methods that are not for it.
    """
    screen_of(config)  # unknown names are refused before any data is read
    require_meaningful(config)
    accelerator_device(config.accelerator)
    prepared = prepare_data(config, progress=progress)
    require_possible(prepared.config, prepared.data)
    return prepared


def require_time(config: SearchConfig, limit: TimeLimit) -> None:
    """Refuse a limit of time in which nothing can be trained; small data that is bad, before that.

    Raises:
        HwkdError: as `prepare_new_search`, of data that is read in seconds; else of the limit.
    """
    try:
        limit.require_enough(verifies=config.verify_best)
    except ConfigError:
        if config.data is None or _is_small(Path(config.data)):
            prepare_new_search(config, progress=silent)
        raise


def _is_small(source: Path) -> bool:
    files = source.rglob("*") if source.is_dir() else iter([source])
    left = _SMALL_BYTES
    for path in files:
        left -= path.stat().st_size if path.is_file() else 0
        if left < 0:
            return False
    return True
