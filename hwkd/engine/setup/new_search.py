"""What a new search is asked before it takes any time; one that goes on was asked once."""

from __future__ import annotations

from hwkd.core.progress import Progress
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.hardware import accelerator_device
from hwkd.engine.setup.methods import require_meaningful, require_possible
from hwkd.engine.setup.prepare import Prepared, prepare_data
from hwkd.engine.setup.resolve import screen_of


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
