from __future__ import annotations

import pytest

from hwkd.core.layers_builder import LayersBuilder
from hwkd.cost import training_time
from hwkd.cost.graph import build_graph
from hwkd.cost.training_time import predicted_training_s, training_work


def dense(channels: int):
    builder = LayersBuilder((1, 8, 8))
    x = builder.conv(builder.image, "stem", channels, kernel=3, activation="relu")
    builder.classifier(builder.conv(x, "wide", channels, kernel=3), 4)
    return build_graph(builder.build())


def separable(channels: int):
    builder = LayersBuilder((1, 8, 8))
    x = builder.depthwise(builder.image, "spatial", kernel=3)
    builder.classifier(builder.conv(x, "point", channels), 4)
    return build_graph(builder.build())


def test_work_is_sorted_by_kind_of_convolution():
    work = training_work(dense(4))
    assert work.dense_macs == 64 * 9 * (1 * 4 + 4 * 4)
    assert work.pointwise_macs == 4 * 4
    assert work.depthwise_macs == 0
    # stem, its ReLU, the second convolution, pooling, the reshape, the classifier
    assert work.operators == 6
    assert work.elements == 3 * 256 + 4 + 4 + 4

    builder = LayersBuilder((3, 8, 8))
    builder.classifier(builder.depthwise(builder.image, "spatial", kernel=3), 4)
    assert training_work(build_graph(builder.build())).depthwise_macs == 3 * 64 * 9
    assert training_work(separable(4)).pointwise_macs == 64 * 4 + 4 * 4


def test_time_grows_with_the_samples_and_shrinks_with_the_batch():
    graph = dense(8)
    once = predicted_training_s(graph, samples_seen=1_000)
    assert predicted_training_s(graph, samples_seen=3_000) == pytest.approx(3 * once)
    assert predicted_training_s(graph, samples_seen=1_000, batch_size=16) > once
    calls_s = training_time._OPERATOR_S * 6
    single = predicted_training_s(graph, samples_seen=1, batch_size=1)
    many = predicted_training_s(graph, samples_seen=1, batch_size=10**9)
    assert single - many == pytest.approx(calls_s, rel=1e-6)


def test_a_wider_network_takes_longer():
    assert predicted_training_s(dense(16), samples_seen=1) > predicted_training_s(
        dense(8), samples_seen=1
    )


def test_depthwise_networks_take_longer_than_dense_ones_of_as_many_multiplications():
    """As measured: 0.32M of a depthwise network take longer than 0.35M of a plain one."""
    builder = LayersBuilder((1, 28, 28))
    x = builder.conv(builder.image, "stem", 16, kernel=3, stride=2, activation="relu")
    for name, channels, stride in (("a", 24, 1), ("b", 32, 2), ("c", 64, 2)):
        x = builder.depthwise(x, f"{name}_d", kernel=3, stride=stride, activation="relu")
        x = builder.conv(x, f"{name}_p", channels, activation="relu")
    builder.classifier(x, 10)
    slow = build_graph(builder.build())
    builder = LayersBuilder((1, 28, 28))
    x = builder.conv(builder.image, "stem", 8, kernel=3, stride=2, activation="relu")
    for name, channels, stride in (("a", 16, 2), ("b", 16, 1), ("c", 32, 2), ("d", 24, 1)):
        x = builder.conv(x, name, channels, kernel=3, stride=stride, activation="relu")
    builder.classifier(x, 10)
    fast = build_graph(builder.build())
    assert fast.macs > 0.8 * slow.macs
    ratio = predicted_training_s(slow, samples_seen=1) / predicted_training_s(fast, samples_seen=1)
    assert ratio > 1.8
