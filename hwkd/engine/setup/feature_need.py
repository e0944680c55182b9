"""What the features of a pipeline take of a device."""

from __future__ import annotations

from hwkd.core.device import Device
from hwkd.cost.backend import backend_of
from hwkd.cost.features import FeatureNeed
from hwkd.io.core_files import load_core
from hwkd.signals.pipeline import Pipeline, shapes_of
from hwkd.signals.work import on_core


def feature_need(pipeline: Pipeline, device: Device) -> FeatureNeed | None:
    """Return what the C of a pipeline takes; None where none is in whole numbers.

    Raw values of pictures are prepared in floats, which nobody counted; a device that is timed runs
    networks alone.
    """
    if not pipeline.is_signal or backend_of(device).basis.is_timed:
        return None
    made = pipeline.to_c("prepare", put="put")
    shapes = shapes_of(pipeline.steps, pipeline.raw_shape)
    work = on_core(pipeline.steps, shapes, device.core_key)
    plain = None if work is None else load_core(device.core_key).plain_code
    return FeatureNeed(
        instructions=None if work is None else work.instructions,
        cycles_per_instruction=None if plain is None else plain.cycles_per_instruction,
        error_ratio=0.0 if work is None else work.error_ratio,
        ram_bytes=made.ram_bytes or 0,
        flash_bytes=(made.table_bytes or 0) + (0 if work is None else work.code_bytes),
    )
