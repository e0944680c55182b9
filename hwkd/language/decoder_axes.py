"""What the axes of each weight of a transformer stand for, by family: a fact of its architecture.

Cutting one is taking the same indices along every axis of one kind. A further family is a row here.
Of a model that reads pictures, each part is a family: the weights of the other part are left alone.
Names of weights are those of the transformers library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, TypeAlias

# "heads" are the channels of all attention heads, "groups" those of all heads of keys and values,
# "heads*3" queries, keys and values one after another; "" is not cut.
Axes: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How decoders of one kind are built.

    Attributes:
        config: where in the model's configuration its sizes are; empty: they are all of it.
        layers: what the names of a layer's weights begin with, its number behind.
        weights: pattern of a name behind that, or of a whole name -> its axes.
        mixed: module of a layer whose input are the heads' outputs.
        grown: module of a layer whose input are the channels of the feed-forward part.
        norms: names of modules that normalise the hidden state.
        attends: module of a layer that gives its output and how its tokens heed each other.
        values: module of a layer whose output is, or ends with, the values.
        parts_with_values: parts of that output: 1, or 3 with queries and keys.
        grown_width: name in the configuration of the width of the feed-forward part.
        has_groups: whether several heads may share keys and values.
        heads_fill_hidden: whether the hidden width is the number of heads times a head's.
    """

    layers: str
    weights: Mapping[str, Axes]
    mixed: str
    grown: str
    norms: str
    attends: str
    values: str
    parts_with_values: int
    grown_width: str
    has_groups: bool
    heads_fill_hidden: bool
    config: str = ""

    def sizes_in(self, config: Any) -> Any:
        """Return the configuration that holds its sizes."""
        return getattr(config, self.config) if self.config else config

    def axes(self, name: str) -> tuple[int | None, Axes] | None:
        """Return the layer (None: of none) and the axes of a weight; None if it is not known."""
        found = re.fullmatch(rf"{re.escape(self.layers)}\.(\d+)\.(.+)", name)
        layer, rest = (int(found[1]), found[2]) if found else (None, name)
        for pattern, axes in self.weights.items():
            if re.fullmatch(pattern, rest):
                return layer, axes
        return None


_LLAMA: Final = Family(
    layers="model.layers",
    weights=MappingProxyType(
        {
            r"(model\.embed_tokens|lm_head)\.weight": ("", "hidden"),
            r"(model\.norm|input_layernorm|post_attention_layernorm)\.weight": ("hidden",),
            r"self_attn\.q_proj\.weight": ("heads", "hidden"),
            r"self_attn\.q_proj\.bias": ("heads",),
            r"self_attn\.[kv]_proj\.weight": ("groups", "hidden"),
            r"self_attn\.[kv]_proj\.bias": ("groups",),
            r"self_attn\.o_proj\.weight": ("hidden", "heads"),
            r"self_attn\.o_proj\.bias": ("hidden",),
            r"mlp\.(gate|up)_proj\.weight": ("grown", "hidden"),
            r"mlp\.(gate|up)_proj\.bias": ("grown",),
            r"mlp\.down_proj\.weight": ("hidden", "grown"),
            r"mlp\.down_proj\.bias": ("hidden",),
        }
    ),
    mixed="self_attn.o_proj",
    grown="mlp.down_proj",
    norms=r".*(input_layernorm|post_attention_layernorm|model\.norm)",
    attends="self_attn",
    values="self_attn.v_proj",
    parts_with_values=1,
    grown_width="intermediate_size",
    has_groups=True,
    heads_fill_hidden=False,
)
# Its projections hold weights as [inputs, outputs].
_GPT2: Final = Family(
    layers="transformer.h",
    weights=MappingProxyType(
        {
            r"(transformer\.wte|transformer\.wpe|lm_head)\.weight": ("", "hidden"),
            r"(transformer\.ln_f|ln_1|ln_2)\.(weight|bias)": ("hidden",),
            r"attn\.c_attn\.weight": ("hidden", "heads*3"),
            r"attn\.c_attn\.bias": ("heads*3",),
            r"attn\.c_proj\.weight": ("heads", "hidden"),
            r"attn\.c_proj\.bias": ("hidden",),
            r"mlp\.c_fc\.weight": ("hidden", "grown"),
            r"mlp\.c_fc\.bias": ("grown",),
            r"mlp\.c_proj\.weight": ("grown", "hidden"),
            r"mlp\.c_proj\.bias": ("hidden",),
        }
    ),
    mixed="attn.c_proj",
    grown="mlp.c_proj",
    norms=r".*(ln_1|ln_2|ln_f)",
    attends="attn",
    values="attn.c_attn",
    parts_with_values=3,
    grown_width="n_inner",
    has_groups=False,
    heads_fill_hidden=True,
)

# Llava: a decoder of Llama's blocks that reads what an encoder of CLIP's sees, through two layers
# between them. Their inner channels are as many as the decoder's hidden ones and go with those.
_BETWEEN = r"model\.multi_modal_projector\."
_LLAVA_DECODER: Final = replace(
    _LLAMA,
    config="text_config",
    layers="model.language_model.layers",
    weights=MappingProxyType(
        {
            **_LLAMA.weights,
            r"(model\.language_model\.embed_tokens|lm_head)\.weight": ("", "hidden"),
            r"model\.language_model\.norm\.weight": ("hidden",),
            _BETWEEN + r"linear_1\.weight": ("hidden", ""),
            _BETWEEN + r"linear_2\.weight": ("hidden", "hidden"),
            _BETWEEN + r"linear_[12]\.bias": ("hidden",),
            r"model\.vision_tower\..+": (),
        }
    ),
    norms=r"model\.language_model\.(.*layernorm|norm)",
)
_LLAVA_ENCODER: Final = Family(
    config="vision_config",
    layers="model.vision_tower.encoder.layers",
    weights=MappingProxyType(
        {
            r"model\.vision_tower\.embeddings\.class_embedding": ("hidden",),
            r"model\.vision_tower\.embeddings\.patch_embedding\.weight": ("hidden", "", "", ""),
            r"model\.vision_tower\.embeddings\.position_embedding\.weight": ("", "hidden"),
            r"model\.vision_tower\.(pre_layrnorm|post_layernorm)\.(weight|bias)": ("hidden",),
            r"layer_norm[12]\.(weight|bias)": ("hidden",),
            r"self_attn\.[qkv]_proj\.weight": ("heads", "hidden"),
            r"self_attn\.[qkv]_proj\.bias": ("heads",),
            r"self_attn\.out_proj\.weight": ("hidden", "heads"),
            r"self_attn\.out_proj\.bias": ("hidden",),
            r"mlp\.fc1\.weight": ("grown", "hidden"),
            r"mlp\.fc1\.bias": ("grown",),
            r"mlp\.fc2\.weight": ("hidden", "grown"),
            r"mlp\.fc2\.bias": ("hidden",),
            _BETWEEN + r"linear_1\.weight": ("", "hidden"),
            _BETWEEN + r"linear_(1\.bias|2\.(weight|bias))": (),
            r"(model\.language_model\..+|lm_head\.weight)": (),
        }
    ),
    mixed="self_attn.out_proj",
    grown="mlp.fc2",
    norms=r"model\.vision_tower\.(.*layer_norm[12]|pre_layrnorm)",
    attends="self_attn",
    values="self_attn.v_proj",
    parts_with_values=1,
    grown_width="intermediate_size",
    has_groups=False,
    heads_fill_hidden=True,
)

# `model_type` of a configuration -> part -> family. Other decoders have Llama's blocks, too.
FAMILIES: Mapping[str, Mapping[str, Family]] = MappingProxyType(
    {
        "llama": {"decoder": _LLAMA},
        "mistral": {"decoder": _LLAMA},
        "qwen2": {"decoder": _LLAMA},
        "gpt2": {"decoder": _GPT2},
        "llava": {"decoder": _LLAVA_DECODER, "encoder": _LLAVA_ENCODER},
    }
)
