"""The one place that opens ONNX Runtime sessions: telemetry off, signed int8 kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import onnxruntime as ort

_SEVERITY = {"errors": 3, "nothing": 4}


def start_session(
    model: Path | bytes,
    *,
    threads: int = 1,
    accelerator: str = "cpu",
    says: Literal["errors", "nothing"] = "errors",
    trace_prefix: str | None = None,
) -> ort.InferenceSession:
    """Open a model; what ONNX Runtime raises is left to the caller, who knows whose file it is.

    Args:
        threads: intra-op threads; 0 leaves the number to ONNX Runtime.
        accelerator: "cuda" runs it there where ONNX Runtime can; else the processor does.
        says: what ONNX Runtime may print on stderr below a fatal error.
        trace_prefix: where its profiler writes; None leaves it off.
    """
    # `import hwkd` set the environment variable that keeps the client from starting at all; this
    # stops its events in a process that imported ONNX Runtime before.
    ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _SEVERITY[says]
    # By default ONNX Runtime on x86 rewrites signed activations as unsigned, whose kernels saturate
    # in 16 bits on processors without VNNI: outputs were off by 18 to 46 steps, and accuracy by up
    # to 1.5 points, on four Fashion-MNIST students (ONNX Runtime 1.31, AVX2).
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    # It also merges two pairs of quantise and dequantise in a row into one with other scales than
    # the file has.
    options.add_session_config_entry("session.disable_double_qdq_remover", "1")
    if trace_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = trace_prefix
    providers = ["CPUExecutionProvider"]
    if accelerator == "cuda" and "CUDAExecutionProvider" in ort.get_available_providers():
        providers.insert(0, "CUDAExecutionProvider")
    source = model if isinstance(model, bytes) else str(model)
    return ort.InferenceSession(source, options, providers=providers)
