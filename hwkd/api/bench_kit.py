"""`hwkd.bench_kit`: models to time on a board, before calibrating it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hwkd.api.common import DeviceOption
from hwkd.api.option import Option, declares_options

if TYPE_CHECKING:
    from hwkd.core.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchKit:
    """A folder of models to time on a board.

    Attributes:
        folder: that holds them and `measurements.csv`.
        factor_before: uncertainty of a coefficient as a factor, median, one standard deviation.
        factor_after: the same once every model is measured.
    """

    models: int
    folder: Path
    factor_before: float
    factor_after: float


@declares_options
def bench_kit(
    out: Annotated[str | Path, Option("New folder for models and CSV template.")],
    *,
    device: DeviceOption = "cortex-m4",
    count: Annotated[int, Option("Number of operators.", minimum=8, maximum=120)] = 40,
    progress: "Progress | None" = None,
) -> BenchKit:
    """Write small models whose timing on a board identifies every coefficient.

    Each holds one operator, as float ONNX and int8 ONNX, chosen by a greedy D-optimal design over
    400 candidates: the next model is the one that leaves the least uncertain. Time each on the
    board, fill in `measurements.csv`, then `hwkd devices calibrate`.

    Args:
        progress: is told about every stage; None is silence.

    Raises:
        ConfigError: if the folder exists.
    """
    from hwkd.api.bench_models import write_bench_kit
    from hwkd.core.progress import silent
    from hwkd.io.device_catalog import load_device

    return write_bench_kit(load_device(device), Path(out), count, progress=progress or silent)
