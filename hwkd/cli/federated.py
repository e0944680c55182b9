"""`hwkd federated serve` and `join`: a training whose samples stay where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.federated import FederatedOutcome


def _show(found: FederatedOutcome) -> None:
    from rich.console import Console

    whose = "the clients" if found.clients is None else f"{found.clients} clients"
    Console().print(
        f"{found.path}: weights of the network of {whose}; received {found.received_bytes:,} "
        f"bytes, sent {found.sent_bytes:,}",
        highlight=False,
        soft_wrap=True,
    )


COMMANDS = (
    Command(
        name="federated serve",
        function=hwkd.federated_serve,
        show=_show,
        examples=(
            "hwkd federated serve runs/digits --clients 2 --out mean.safetensors",
            "hwkd federated serve runs/digits --by fedmd --public seen.npz --out mean.safetensors",
        ),
    ),
    Command(
        name="federated join",
        function=hwkd.federated_join,
        show=_show,
        examples=(
            "hwkd federated join runs/digits --data mine.npz --server 127.0.0.1:8766 "
            "--out mine.safetensors",
        ),
    ),
)
