"""Students whose operators are counted for the fit of `hwkd-c`: kinds that few networks hold."""

from __future__ import annotations

from collections.abc import Callable

from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import Layers


def maps() -> Layers:
    """Return operators of networks that answer with maps, small and large."""
    b = LayersBuilder((2, 8, 10))
    x = b.conv("input", "stem", 6, kernel=3, activation="relu")
    few = b.conv_transpose(x, "spread_few", 4, norm=False)
    near = b.upsample(x, "near_few", factor=(2, 2))
    between = b.upsample(x, "between_few", factor=(2, 2), mode="half_pixel")
    x = b.concat([few, near, between], "joined_few")
    x = b.slice(x, "cut_few", start=3, stop=11)
    deep = b.conv(x, "deep", 24, kernel=3, stride=2, activation="relu")
    many = b.conv_transpose(deep, "spread_many", 16, kernel=4, norm=False)
    near = b.upsample(deep, "near_many", factor=(2, 2))
    between = b.upsample(deep, "between_many", factor=(2, 2), mode="align_corners")
    x = b.concat([many, near, between], "joined_many")
    x = b.slice(x, "cut_many", start=0, stop=40)
    x = b.slice(x, "cut_columns", start=2, stop=18, axis=2)
    x = b.conv(x, "narrow", 10, kernel=3, stride=2, activation="relu")
    x = b.conv_transpose(x, "spread_wide", 5, kernel=3, stride=1, norm=False)
    x = b.upsample(x, "near_odd", factor=(3, 2))
    b.classifier(b.slice(x, "cut_rows", start=4, stop=20, axis=1), 3)
    return b.build()


def poolings() -> Layers:
    """Return poolings that overlap and that do not, products, and what joins branches."""
    b = LayersBuilder((4, 18, 20))
    x = b.conv("input", "stem", 20, kernel=3, activation="relu")
    x = b.max_pool(x, "max_over", kernel=3, stride=1)
    y = b.avg_pool(x, "average_over", kernel=2, stride=1)
    x = b.max_pool(y, "max_two", kernel=2)
    gate = b.conv(x, "gate", 20)
    x = b.mul(x, gate, "product")
    squeezed = b.conv(b.global_avg_pool(x, "mean"), "squeezed", 20)
    x = b.mul(x, squeezed, "scaled")
    x = b.concat([x, gate, x], "three")
    x = b.slice(x, "rest", start=12, stop=60)
    x = b.avg_pool(x, "average_two", kernel=2)
    x = b.max_pool(x, "max_three", kernel=(3, 2), stride=1)
    b.classifier(x, 4)
    return b.build()


def groups() -> Layers:
    """Return convolutions in groups, shuffled channels and windows with holes."""
    b = LayersBuilder((4, 12, 14))
    x = b.conv("input", "stem", 16, kernel=3, activation="relu")
    for name, kernel, parts in (("a", 1, 4), ("b", 3, 2), ("c", 3, 8), ("d", 1, 2)):
        channels = b.shape(x)[0]
        x = b.conv(x, f"{name}_parts", 24 if channels == 16 else 16, kernel=kernel, groups=parts)
        channels, height, width = b.shape(x)
        x = b.reshape(x, f"{name}_groups", (2, channels // 2, height * width))
        x = b.transpose(x, f"{name}_order", (1, 0, 2))
        x = b.reshape(x, f"{name}_shuffled", (channels, height, width))
    x = b.conv(x, "holes", 12, kernel=3, dilation=2)
    x = b.conv(x, "wide_holes", 20, kernel=(3, 1), dilation=(4, 1))
    x = b.conv(x, "long_holes", 9, kernel=3, dilation=(1, 3))
    x = b.conv(x, "odd_holes", 16, kernel=3, dilation=2)
    x = b.conv(b.conv(x, "many", 64), "many_holes", 8, kernel=3, dilation=(2, 1))
    x = b.conv(b.conv(x, "fewer", 32, stride=2), "wide_gaps", 24, kernel=3, dilation=2)
    b.classifier(x, 3)
    return b.build()


def depthwise() -> Layers:
    """Return depthwise convolutions with windows of many shapes, over images and over time."""
    b = LayersBuilder((3, 16, 18))
    x = b.conv("input", "stem", 12, kernel=3, activation="relu")
    for name, kernel, stride in (
        ("tall", (3, 1), 1), ("wide", (1, 5), 1), ("square", 3, 1), ("five", 5, 1),
        ("skips", (5, 1), (2, 1)), ("seven", 7, 1), ("halves", 3, 2),
    ):  # fmt: skip
        x = b.conv(x, name, b.shape(x)[0], kernel=kernel, stride=stride, groups=b.shape(x)[0])
    height = b.shape(x)[1]
    x = b.conv(x, "odd", 22)
    x = b.conv(x, "odd_window", 22, kernel=3, groups=22)
    x = b.conv(x, "whole", 22, kernel=(height, 1), groups=22, padded=False)
    x = b.conv(x, "in_time", 22, kernel=(1, 5), groups=22)
    x = b.conv(x, "apart", 22, kernel=(1, 3), groups=22, dilation=(1, 2))
    b.classifier(x, 3)
    return b.build()


def small() -> Layers:
    """Return operators so small that what a call takes shows."""
    b = LayersBuilder((4, 1, 20))
    x = b.conv("input", "stem", 8, kernel=(1, 3), stride=(1, 2), activation="hard_swish")
    y = b.conv(x, "holes", 8, kernel=(1, 3), dilation=(1, 2), activation="sigmoid")
    x = b.add(x, y, "sum")
    x = b.conv(x, "far_holes", 24, kernel=(1, 5), dilation=(1, 4), activation="hard_swish")
    y = b.conv(x, "plain", 24)
    x = b.mul(x, y, "product")
    x = b.conv(x, "parts", 24, groups=4)
    x = b.add(b.conv(x, "short", 10, kernel=(1, 3), stride=(1, 2), activation="sigmoid"),
              b.conv(x, "cut", 10, stride=(1, 2)), "few")  # fmt: skip
    x = b.conv(x, "window", 10, kernel=(1, 3), groups=10)
    x = b.avg_pool(x, "average", kernel=(1, 2))
    x = b.hard_swish(b.global_avg_pool(x, "mean"), "swish")
    x = b.conv(x, "excited", 10, activation="hard_sigmoid")
    b.classifier(x, 2)
    return b.build()


def _attention(b: LayersBuilder, source: str, name: str, depth: int, positions: int) -> str:
    rows = b.transpose(
        b.reshape(source, f"{name}_flat", (depth, positions)), f"{name}_rows", (1, 0)
    )
    normal = b.layer_norm(rows, f"{name}_normal")
    columns = b.transpose(normal, f"{name}_columns", (1, 0))
    chances = b.softmax(b.matmul(normal, columns, f"{name}_scores"), f"{name}_chances")
    mixed = b.matmul(chances, normal, f"{name}_mixed")
    return b.transpose(mixed, f"{name}_back", (1, 0))


def sequences() -> Layers:
    """Return attention over few positions and over many, in narrow and in wide vectors."""
    b = LayersBuilder((3, 12, 12))
    x = b.conv("input", "stem", 8, kernel=3, stride=2, activation="relu")
    x = b.reshape(_attention(b, x, "narrow", 8, 36), "narrow_map", (8, 6, 6))
    x = b.conv(x, "wider", 40, kernel=3, stride=2)
    x = b.reshape(_attention(b, x, "wide", 40, 9), "wide_map", (40, 3, 3))
    x = b.conv(x, "widest", 96, kernel=3, stride=3)
    y = b.reshape(x, "heads", (4, 4, 6))
    y = b.softmax(b.matmul(y, b.transpose(y, "turned", (0, 2, 1)), "few_scores"), "few_chances")
    b.classifier(b.reshape(y, "flat", (16, 2, 2)), 3)
    return b.build()


def remainders() -> Layers:
    """Return dense layers over few pixels, whose number is no multiple of four."""
    b = LayersBuilder((6, 1, 45))
    x = b.conv("input", "wide_steps", 20, kernel=(1, 4), stride=(1, 4), padded=False)
    x = b.conv(x, "eleven", 28, kernel=(1, 3))
    x = b.conv(x, "eleven_alone", 36)
    x = b.conv(x, "seven", 18, kernel=(1, 5), padded=False)
    x = b.conv(x, "seven_alone", 40)
    x = b.conv(x, "three", 22, kernel=(1, 3), stride=(1, 2), padded=False)
    x = b.conv(x, "three_alone", 30)
    x = b.conv(x, "three_again", 34, kernel=(1, 3))
    x = b.conv(x, "two", 24, kernel=(1, 2), padded=False)
    x = b.conv(x, "two_alone", 21)
    b.classifier(b.conv(x, "one", 26, kernel=(1, 2), padded=False), 9)
    return b.build()


def lookups() -> Layers:
    """Return rows of tables, short and long, of numbers of one digit to three, and no more."""
    b = LayersBuilder((4, 6, 16))
    sizes = (
        (1, 256, 4), (2, 32, 16), (3, 8, 24), (1, 64, 9), (2, 16, 48), (4, 4, 32), (1, 16, 1),
        (2, 8, 7),
    )  # fmt: skip
    for digits, base, features in sizes:
        name = f"rows_of_{features}"
        numbers = b.reshape("input", f"numbers_of_{features}", (384 // digits, digits))
        b.embedding(numbers, name, features, base=base)
    return b.build(*(f"rows_of_{features}" for _, _, features in sizes))


COUNTED: dict[str, Callable[[], Layers]] = {
    "maps": maps, "poolings": poolings, "groups": groups, "depthwise": depthwise, "small": small,
    "sequences": sequences, "remainders": remainders,
    "lookups": lookups,
}  # fmt: skip
