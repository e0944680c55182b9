"""`hwkd profile`: what a network costs on a device, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.profile_data import ModelProfile


def _show(found: ModelProfile) -> None:
    from hwkd.cli.profile_view import print_profile

    print_profile(found)


COMMANDS = (
    Command(
        name="profile",
        function=hwkd.profile,
        show=_show,
        examples=(
            "hwkd profile student.onnx --device cortex-m7 --clock 216MHz --plot memory.png",
            "hwkd profile student.onnx --device cortex-m4 --max-latency 20ms --max-ram 64KiB",
        ),
    ),
)
