"""Clients of a federation in threads, as if each were a machine of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hwkd.engine.distill.federation import Ask, Said, Server, joined
from hwkd.nn.build import StudentModule
from support.staged import student


def run_clients(
    found: Server, client: Callable[[int, Said, Ask], StudentModule]
) -> list[StudentModule]:
    """Run clients in threads that joined in their order.

    One trains at a time: threads share torch's random numbers, which machines do not.
    """
    calls, turn = found.answers(), threading.Lock()

    def ask(name: str, message: bytes) -> bytes:
        turn.release()
        try:
            return calls[name](message)
        finally:
            turn.acquire()

    def trains(number: int) -> StudentModule:
        with turn:
            return client(number, plans[number], ask)

    plans = [
        joined(student(), lambda name, message: calls[name](message)) for _ in range(found.clients)
    ]
    with ThreadPoolExecutor(found.clients) as pool:
        running = [pool.submit(trains, n) for n in range(found.clients)]
        found.wait(lambda *_: None)
        return [each.result(60) for each in running]
