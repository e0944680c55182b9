"""Students of texts: hidden layers over the words of a text, or along its words or pieces."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.attention import append_linear_attention
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder, max_stages
from hwkd.core.numbered import BASES, are_numbers
from hwkd.core.room import Room
from hwkd.core.space import Params, Space, activation_of
from hwkd.core.stem import choose_activation
from hwkd.core.student import Chooser, Layers, StudentSpec

_HIDDEN = (4, 32)
_EMBEDDED = (8, 48)
_WIDTHS = (8, 112)
_KERNELS = (3, 5, 7)
# Of a table: features of a row; and of what follows it.
_ROWS = (4, 32)
_MOST_ALONG, _KEY_DIM = 3, 8


@dataclass(frozen=True)
class TextSpace(Space):
    """Embeddings of words, summed or in their order.

    Of weights of words, shape (1, words), the first layer is the sum of what each word is embedded
    as (arXiv:1607.01759, fastText); a further hidden layer may follow. Without hidden layers
    that is logistic regression, in a part of the weights. Of codes in their order, shape
    (digits, places), a 1x1 convolution embeds each place, and separable convolutions along the
    text follow, each halving it. Of numbers of bytes or pieces, shape (digits, 1, places), a table
    embeds each place; without layers their mean is what is told apart (fastText again), else
    convolutions along the text follow, and attention where it is chosen.
    """

    name: str = "text"
    summary: str = "embeddings of words, summed or in their order (only when named)"
    is_default: bool = False

    def choose(self, chooser: Chooser, input_shape: tuple[int, ...], room: Room) -> Params:
        """Sample widths, depths and the activation."""
        params: Params = dict(choose_activation(chooser, room))
        if _is_bag(input_shape):
            params["layers"] = chooser.integer("layers", 0, 2)
            if params["layers"]:
                params["hidden"] = chooser.integer("hidden", *room.widths(*_HIDDEN, step=2), step=2)
        elif are_numbers(input_shape):
            params |= _choose_embedding(chooser, input_shape, room)
        else:
            most = max_stages((input_shape[0], input_shape[-1]))
            params["embedded"] = chooser.integer("embedded", *room.widths(*_EMBEDDED), step=4)
            params["width"] = chooser.integer("width", *room.widths(*_WIDTHS), step=4)
            params["kernel"] = chooser.categorical("kernel", _KERNELS)
            params["layers"] = chooser.integer("layers", 1, most)
        return params

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""
        builder = LayersBuilder(spec.input_shape)
        if are_numbers(spec.input_shape):
            _embedded(builder, spec)
        else:
            (_bag if _is_bag(spec.input_shape) else _sequence)(builder, spec)
        return builder.build()


def _choose_embedding(chooser: Chooser, input_shape: tuple[int, ...], room: Room) -> Params:
    """Sample the length of rows and what is computed along them."""
    most = max_stages((1, input_shape[-1]))
    params: Params = {
        "embedded": chooser.integer("embedded", *room.widths(*_ROWS), step=4),
        "layers": chooser.integer("layers", 0, min(most, _MOST_ALONG)),
    }
    if params["layers"]:
        params |= {
            "width": chooser.integer("width", *room.widths(*_WIDTHS), step=4),
            "kernel": chooser.categorical("kernel", _KERNELS),
            "first_stride": chooser.categorical("first_stride", (1, 2)),
            "attention": chooser.categorical("attention", (False, True)),
            "pooled": chooser.categorical("pooled", ("mean", "max")),
        }
    return params


def _is_bag(input_shape: tuple[int, ...]) -> bool:
    return len(input_shape) == 2 and input_shape[0] == 1


def _bag(builder: LayersBuilder, spec: StudentSpec) -> None:
    """Append the sum of embeddings, hidden layers and the classifier."""
    p = spec.params
    x = builder.reshape(builder.image, "words", (spec.input_shape[1],))
    for number in range(1, int(p["layers"]) + 1):
        # A normalisation would undo the decay of weights, which rare words need.
        x = builder.linear(x, f"hidden{number}", int(p["hidden"]), activation=activation_of(spec))
        builder.tap(f"stage{number}", x)
    builder.tap("embedding", x)
    builder.linear(x, "logits", spec.num_outputs)


def _sequence(builder: LayersBuilder, spec: StudentSpec) -> None:
    """Append an embedding of each place, convolutions along the text and the classifier."""
    p = spec.params
    activation, width = activation_of(spec), int(p["width"])
    x = builder.conv(builder.image, "embedded", int(p["embedded"]), activation=activation)
    for number in range(1, int(p["layers"]) + 1):
        name = f"stage{number}"
        x = builder.depthwise(
            x, f"{name}_along", kernel=int(p["kernel"]), stride=2, activation=activation
        )
        x = builder.conv(x, f"{name}_mix", width, activation=activation)
        builder.tap(name, x)
    builder.classifier(x, spec.num_outputs)


def _embedded(builder: LayersBuilder, spec: StudentSpec) -> None:
    """Append rows of a table for each place, what is computed along them and the classifier."""
    p = spec.params
    activation, layers = activation_of(spec), int(p["layers"])
    numbers = builder.transpose("input", "numbers", (1, 2, 0))
    rows = builder.embedding(numbers, "rows", int(p["embedded"]), base=BASES[spec.input_shape[0]])
    x = builder.transpose(rows, "embedded", (2, 0, 1))
    for number in range(1, layers + 1):
        name, width = f"stage{number}", int(p["width"])
        if number == 1:
            # Of few features: every window sees them all.
            x = builder.conv(
                x, name, width, kernel=int(p["kernel"]), stride=int(p["first_stride"]),
                activation=activation,
            )  # fmt: skip
        else:
            x = builder.depthwise(
                x, f"{name}_along", kernel=int(p["kernel"]), stride=2, activation=activation
            )
            x = builder.conv(x, f"{name}_mix", width, activation=activation)
        builder.tap(name, x)
    if layers and p["attention"]:
        mixed = append_linear_attention(builder, x, "attention", heads=1, key_dim=_KEY_DIM)
        projected = builder.conv(mixed, "attention_projected", int(p["width"]))
        x = builder.add(x, projected, "attention_skip", activation=activation)
    if layers and p["pooled"] == "max":
        channels, _, places = builder.shape(x)
        x = builder.max_pool(x, "most", kernel=(1, places))
        x = builder.reshape(x, "embedding", (channels,))
        builder.tap("embedding", x)
        builder.linear(x, "logits", spec.num_outputs)
    else:
        builder.classifier(x, spec.num_outputs)


SEARCH_SPACES.register("text")(TextSpace())
