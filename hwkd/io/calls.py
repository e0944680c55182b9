"""Calls between machines: a server that answers bytes with bytes, and who asks it, over gRPC.

gRPC is the extra `hwkd[federated]`. Messages hold numbers and JSON, which run nothing; connections
are not encrypted, so a server listens on this machine alone unless it is told otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from hwkd.core.errors import ConfigError

# Of one message: weights of networks for small devices are far below.
_MOST_BYTES = 64 * 2**20
_SERVICE = "hwkd.Federated"
_OPTIONS = (
    ("grpc.max_receive_message_length", _MOST_BYTES),
    ("grpc.max_send_message_length", _MOST_BYTES),
    # A machine beside this one is not behind the proxy of the web.
    ("grpc.enable_http_proxy", 0),
)

Answers = Mapping[str, Callable[[bytes], bytes]]


def _grpc() -> ModuleType:
    try:
        import grpc
    except ImportError:
        raise ConfigError(
            "gRPC is not installed; run `pip install 'hwkd[federated]'` on server and clients"
        ) from None
    found: ModuleType = grpc
    return found


@contextmanager
def answering(answers: Answers, *, host: str, port: int, callers: int) -> Iterator[int]:
    """Answer calls while the block runs; gives the port.

    Args:
        answers: name of a call -> function; a `ValueError` of it is told to the caller.
        port: 0 takes a free one.
        callers: that may wait for an answer at the same time.

    Raises:
        ConfigError: if gRPC is missing, or the port cannot be had.
    """
    grpc = _grpc()
    server = grpc.server(ThreadPoolExecutor(max_workers=2 * callers + 2), options=_OPTIONS)
    handlers = {name: _handler(grpc, answer) for name, answer in answers.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    try:
        bound: int = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        bound = 0
    if not bound:
        raise ConfigError(f"--port {port}: cannot listen on {host}:{port}; choose a free port")
    server.start()
    try:
        yield bound
    finally:
        server.stop(grace=5.0).wait()


def _handler(grpc: Any, answer: Callable[[bytes], bytes]) -> Any:
    def call(asked: bytes, context: Any) -> bytes:
        try:
            return answer(asked)
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise

    return grpc.unary_unary_rpc_method_handler(call)


@contextmanager
def asking(address: str, *, timeout_s: float) -> Iterator[Callable[[str, bytes], bytes]]:
    """Give a function (name of a call, bytes) -> bytes that asks a server.

    Args:
        address: HOST:PORT.
        timeout_s: longest wait for an answer, and for the server to be there.

    Raises:
        ConfigError: if gRPC is missing, nobody answers there, or the server refused.
    """
    grpc = _grpc()
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:

        def ask(name: str, message: bytes) -> bytes:
            call = channel.unary_unary(f"/{_SERVICE}/{name}")
            try:
                answer: bytes = call(message, timeout=timeout_s, wait_for_ready=True)
            except grpc.RpcError as error:
                raise ConfigError(_said(grpc, address, error, timeout_s)) from None
            return answer

        yield ask


def _said(grpc: Any, address: str, error: Any, timeout_s: float) -> str:
    if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
        return f"{address}: refused: {error.details()}"
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        return (
            f"{address}: no answer in {timeout_s:g} s; start `hwkd federated serve` there, with as "
            "many clients as join"
        )
    return f"{address}: {error.code().name.lower()}: {error.details()}"
