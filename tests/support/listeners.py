"""A small int8 file of motions that says what it is, and a recording for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.lib.c_networks import NetworkBuilder, quantise
from hwkd.core.decision_record import DecisionRecord
from hwkd.deploy.student_facts import METADATA_KEY
from hwkd.signals.pipeline import Pipeline
from hwkd.signals.tried import tried_signals
from support.signals import made_pipeline

LABELS = ("up", "down", "left", "right")
WINDOW, RATE_HZ = 300, 50.0
IMU = "imu:window=0.5s,stride=0.5s"


@dataclass(frozen=True, kw_only=True)
class Listener:
    """The file, its pipeline, and a recording, int16 of shape [2, samples], as heard.csv too."""

    model: Path
    pipeline: Pipeline
    recording: NDArray[np.int16]
    csv: Path


def made_listener(
    folder: Path,
    features: str = IMU,
    *,
    channels: int = 2,
    decision: DecisionRecord | None = None,
    streams: bool = False,
) -> Listener:
    """Write heard.onnx and heard.csv.

    Args:
        streams: pad nothing over time.
    """
    signals = tried_signals(16, channels, WINDOW)
    pipeline = made_pipeline(features, signals, RATE_HZ)
    values, time = pipeline.apply(signals[:1]).shape[1:]
    net = NetworkBuilder((values, time))
    net.reshape(1, values, 1, time)
    net.conv(8, (1, min(3, time)), relu="Relu", **({"pads": (0, 0, 0, 0)} if streams else {}))
    net.classifier(len(LABELS))
    model = onnx.load(quantise(net, folder, "net"))
    facts = {
        "data": {"task": "gesture", "sample_rate_hz": RATE_HZ},
        "preprocessing": pipeline.record().model_dump(mode="json"),
        "answer": {
            "kind": "classes",
            "labels": LABELS,
            "mean": [],
            "std": [],
            "decision": None if decision is None else decision.model_dump(mode="json"),
        },
    }
    model.metadata_props.add(key=METADATA_KEY, value=json.dumps(facts))
    onnx.save(model, folder / "heard.onnx")
    recording = np.concatenate(list(tried_signals(8, channels, WINDOW, seed=3)), axis=1)
    heading = ",".join(f"axis {number}" for number in range(1, channels + 1))
    np.savetxt(
        folder / "heard.csv", recording.T, fmt="%d", delimiter=",", header=heading, comments=""
    )
    return Listener(
        model=folder / "heard.onnx", pipeline=pipeline, recording=recording,
        csv=folder / "heard.csv",
    )  # fmt: skip
