"""Which split a name speaks of: of a folder, an array or a file, in the words that people use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from hwkd.tasks.base import SplitName

SplitRole: TypeAlias = SplitName | Literal["unlabelled"]

_ROLES: MappingProxyType[str, SplitRole] = MappingProxyType(
    {
        "train": "train", "training": "train", "trn": "train", "trainval": "train",
        "validation": "validation", "valid": "validation", "val": "validation",
        "validate": "validation", "dev": "validation", "devel": "validation",
        "development": "validation",
        "test": "test", "testing": "test", "tst": "test", "t10k": "test", "holdout": "test",
        "eval": "test", "evaluation": "test", "evaluate": "test",
        "unlabeled": "unlabelled", "unlabelled": "unlabelled", "unlabel": "unlabelled",
        "nolabel": "unlabelled", "unsup": "unlabelled", "unsupervised": "unlabelled",
        "pred": "unlabelled", "predict": "unlabelled", "prediction": "unlabelled",
        "predictions": "unlabelled",
    }
)  # fmt: skip
# Words that say nothing about what a folder holds.
_FILLERS = frozenset(
    {
        "set", "sets", "data", "dataset", "datasets", "split", "splits", "folder", "dir", "part",
        "image", "images", "img", "imgs", "picture", "pictures", "pics", "photo", "photos",
        "sample", "samples", "seg", "cls", "class", "classes", "raw", "resized", "all", "full",
        "new", "final", "my", "the", "x", "y",
    }
)  # fmt: skip
# People judge by "eval" with or without a "test" beside it; beside one it is what they tune on.
_EVALUATION = frozenset({"eval", "evaluation", "evaluate"})
_WORD = re.compile(r"t10k|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_]+|\d+")
_GLUED = re.compile(r"(set|sets|data|images|imgs|folder|dir)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitMeaning:
    """What a name says about splits.

    Attributes:
        is_plain: nothing but the split is named ("train", "test_set2"); "bullet_train" and
            "asl_test" hold other words, so they may be classes as well.
        is_evaluation: the word is "eval", which some use for validation and some for test.
    """

    role: SplitRole
    is_plain: bool
    is_evaluation: bool

    @property
    def is_plain_unlabelled(self) -> bool:
        """Whether nothing is named but that there are no labels ("unlabeled", "pred")."""
        return self.is_plain and self.role == "unlabelled"


def split_meaning(name: str) -> SplitMeaning | None:
    """Return what `name` says about splits; None when its first and last words say nothing.

    `seg_train`, `training_set`, `TestImages`, `val2017` and `my-data-dev` are splits.
    """
    words = [word for word in name_words(name) if not word.isdigit()]
    telling = [word for word in words if word not in _FILLERS]
    ends = [word for word in (telling[:1] + telling[-1:]) if word in _ROLES]
    if not ends:
        return None
    roles = {_ROLES[word] for word in telling if word in _ROLES}
    # "train_val" is what training takes; "unlabeled_train" has no labels.
    role = "unlabelled" if "unlabelled" in roles else _ROLES[ends[0]]
    return SplitMeaning(
        role=role,
        is_plain=all(word in _ROLES for word in telling),
        is_evaluation=ends[0] in _EVALUATION,
    )


def name_words(name: str) -> list[str]:
    """Return the words and numbers of `name`, lower case: "TrainSet2" gives train, set, 2."""
    words = []
    for match in _WORD.finditer(name):
        word = match[0].lower()
        stem = _GLUED.sub("", word)
        words += [stem, word[len(stem) :]] if stem in _ROLES and stem != word else [word]
    return words


def one_per_split(names: Iterable[str]) -> tuple[dict[str, SplitRole], list[list[str]]]:
    """Return the split of each name, and the groups of names that claim one split.

    `eval` beside a test split is validation. Several unlabelled parts are no contradiction.

    Args:
        names: whose `split_meaning` is not None.
    """
    meanings = {name: found for name in names if (found := split_meaning(name)) is not None}
    roles = {name: meaning.role for name, meaning in meanings.items()}
    surely_test = any(m.role == "test" and not m.is_evaluation for m in meanings.values())
    has_validation = "validation" in roles.values()
    if surely_test and not has_validation:
        roles |= {name: "validation" for name, m in meanings.items() if m.is_evaluation}
    claims: dict[str, list[str]] = {}
    for name, role in roles.items():
        claims.setdefault(role, []).append(name)
    doubled = [group for role, group in claims.items() if role != "unlabelled" and len(group) > 1]
    return roles, doubled
