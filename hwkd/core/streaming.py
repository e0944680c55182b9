"""How a network takes a signal that never ends: frames in, an answer for each hop of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What a network that streams takes and keeps.

    Attributes:
        hop_frames: that each run takes: the product of its strides over time.
        window_frames: that an answer follows from.
        frame_bytes: int8 values of a frame.
        kept_bytes: of older columns and sums, from one run to the next.
        window_macs: multiply-accumulates of a whole window at once.
    """

    hop_frames: int
    window_frames: int
    frame_bytes: int
    kept_bytes: int
    window_macs: int

    @property
    def lead_frames(self) -> int:
        """Frames before the first, so that the first window ends with a hop."""
        return -self.window_frames % self.hop_frames
