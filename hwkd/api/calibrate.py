"""`hwkd.calibrate`: the latency of a runtime, fitted to what was measured on one's own board."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hwkd.api.common import DtypeOption, RuntimeOption
from hwkd.api.option import Here, Option, declares_options
from hwkd.core.choices import FitKind, OutlierChoice

if TYPE_CHECKING:
    from hwkd.core.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationDone:
    """What a calibration changed.

    Attributes:
        dtype: "int8" or "float32".
        started_from: published fits that it started from.
        error_before: mean relative error of the estimates before.
        error_after: after, on rows left out of the fit; None when there were too few.
        interval: 90% of measured latencies lie between these multiples of an estimate.
        interval_from: the predictions that the interval comes from, in words.
        is_written: False when the file was left as it is.
    """

    device: str
    runtime: str
    dtype: str
    rows: int
    started_from: str
    error_before: float
    error_after: float | None
    interval: tuple[float, float]
    interval_from: str
    is_written: bool


@declares_options
def calibrate(
    device: Annotated[str | Path, Option("Your device file; it is updated in place.")],
    measurements: Annotated[
        str | Path, Option("CSV: model,latency_ms (or cycles), and op for single operators.")
    ],
    *,
    runtime: Annotated[RuntimeOption, Here("The one that was measured.")] = None,
    dtype: Annotated[DtypeOption, Here("The one that was measured.")] = "int8",
    fit: Annotated[
        FitKind,
        Option("What is fitted. scale: one factor; full: every coefficient; auto: by the rows."),
    ] = "auto",
    outliers: Annotated[
        OutlierChoice,
        Option(
            "What to do with a row far from the others or from published fits, as of a wrong unit, "
            "and with rows that make estimates worse. refuse: say so and write nothing; keep: they "
            "are right."
        ),
    ] = "refuse",
    dry_run: Annotated[bool, Option("Print, do not write.")] = False,
    progress: "Progress | None" = None,
) -> CalibrationDone:
    """Fit a runtime's latency to what you measured on your board.

    One measured model sets the scale; about 20 operators set every coefficient. Prints the error
    before and, on rows left out of the fit, after; writes coefficients and provenance into the
    file.

    Args:
        progress: is told about every stage; None is silence.

    Raises:
        ConfigError: for anything wrong in the device file, the CSV or the options.
    """
    from hwkd.api.device_calibration import calibrate_file
    from hwkd.core.progress import silent

    return calibrate_file(
        Path(device),
        Path(measurements),
        runtime,
        dtype,
        fit,
        keeps_outliers=outliers == "keep",
        write=not dry_run,
        progress=progress or silent,
    )
