"""Measures an ONNX file on this machine with ONNX Runtime.

The time of one inference is taken with the profiler off, because the profiler itself costs more
than a small operator; the shares per operator are taken in a second pass with it on.
"""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
import time
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from hwkd.core.errors import ProfilingError, first_line
from hwkd.core.measure import OpShare, Profile
from hwkd.inference.sessions import start_session
from hwkd.profiling.summary import summarise

_PROVIDER = "CPUExecutionProvider"
_ORT_TYPES = {
    "tensor(float)": np.float32,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}


def measure_latency(
    onnx_path: Path,
    *,
    runs: int = 100,
    warmup_runs: int = 10,
    threads: int = 1,
    profiled_runs: int = 20,
    max_seconds: float = 2.0,
) -> Profile:
    """Time one inference at batch 1 on random input.

    Args:
        onnx_path: a model with static shapes apart from the batch.
        runs: timed inferences; fewer (but at least 5) when `max_seconds` is reached.
        warmup_runs: inferences before the clock starts.
        profiled_runs: inferences with the profiler on, for the shares per operator; 0 skips them.
        max_seconds: bound on the timed part.

    Raises:
        ProfilingError: if ONNX Runtime cannot load or run the file.
    """
    try:
        session = start_session(onnx_path, threads=threads)
        feed = _random_feed(session)
        samples_s = _timed(session, feed, runs, warmup_runs, max_seconds)
        per_op = _profiled(onnx_path, feed, profiled_runs, threads) if profiled_runs else ()
    except ProfilingError:
        raise
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
        raise ProfilingError(
            f"{onnx_path}: ONNX Runtime cannot run it: {first_line(error)}"
        ) from error
    summary = summarise(samples_s)
    payload = onnx_path.read_bytes()
    return Profile(
        median_s=summary.median_s,
        p90_s=summary.p90_s,
        spread_s=summary.spread_s,
        runs=len(samples_s),
        warmup_runs=warmup_runs,
        threads=threads,
        file_bytes=len(payload),
        file_sha256=hashlib.sha256(payload).hexdigest(),
        provider=_PROVIDER,
        runtime_version=ort.__version__,
        host=host_name(),
        per_op=per_op,
    )


@cache
def host_name() -> str:
    """Return the processor's name as the operating system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _random_feed(session: ort.InferenceSession) -> dict[str, np.ndarray[Any, Any]]:
    generator = np.random.default_rng(0)
    feed = {}
    for argument in session.get_inputs():
        if argument.type not in _ORT_TYPES:
            raise ProfilingError(f"input {argument.name} has type {argument.type}; expected float")
        # A symbolic first axis is the batch.
        shape = [
            1 if i == 0 and not isinstance(n, int) else n for i, n in enumerate(argument.shape)
        ]
        if not all(isinstance(n, int) and n > 0 for n in shape):
            raise ProfilingError(f"input {argument.name} has shape {shape}; expected static sizes")
        values = generator.standard_normal(shape)
        feed[argument.name] = values.astype(_ORT_TYPES[argument.type])
    return feed


def _timed(
    session: ort.InferenceSession,
    feed: dict[str, np.ndarray[Any, Any]],
    runs: int,
    warmup_runs: int,
    max_seconds: float,
) -> list[float]:
    for _ in range(warmup_runs):
        session.run(None, feed)
    samples_s: list[float] = []
    deadline = time.perf_counter() + max_seconds
    while len(samples_s) < runs:
        start = time.perf_counter()
        session.run(None, feed)
        end = time.perf_counter()
        samples_s.append(end - start)
        if end > deadline and len(samples_s) >= 5:
            break
    return samples_s


def _profiled(
    onnx_path: Path, feed: dict[str, np.ndarray[Any, Any]], runs: int, threads: int
) -> tuple[OpShare, ...]:
    with tempfile.TemporaryDirectory(prefix="hwkd-profile-") as folder:
        prefix = str(Path(folder) / "trace")
        session = start_session(onnx_path, threads=threads, trace_prefix=prefix)
        for _ in range(runs + 1):  # the first one warms up and is dropped below
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
    times_us: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            times_us[(name, event["args"]["op_name"])].append(float(event["dur"]))
    means_s = {key: 1e-6 * float(np.mean(times[1:] or times)) for key, times in times_us.items()}
    total_s = sum(means_s.values())
    shares = [
        OpShare(name=name, kind=kind, mean_s=mean, share_ratio=mean / total_s if total_s else 0.0)
        for (name, kind), mean in means_s.items()
    ]
    return tuple(sorted(shares, key=lambda share: -share.mean_s))
