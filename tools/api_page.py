"""The page of the Python API: every public name, for Sphinx to fill with its docstring."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import hwkd
from hwkd.estimator import HwkdClassifier

_HEAD = """# Every function of Python

After this page you know every function, what it takes, returns and raises. Made from the
docstrings; `help(hwkd.search)` prints the same. How to use them: [hwkd from Python](../python.md).

"""


def public_objects() -> dict[str, Any]:
    """Return what users call and what they get: full name -> object.

    Functions and classes of `hwkd.__all__`, the classes that those functions return, and the
    classifier.
    """
    found = {f"hwkd.{name}": getattr(hwkd, name) for name in hwkd.__all__ if name[0] != "_"}
    for function in [each for each in found.values() if inspect.isfunction(each)]:
        for kind in _returned(function):
            if kind not in found.values():
                found[f"{kind.__module__}.{kind.__name__}"] = kind
    return {**found, "hwkd.estimator.HwkdClassifier": HwkdClassifier}


def api_page() -> str:
    """Return the page as directives of autodoc."""
    objects = public_objects()
    functions = {name: each for name, each in objects.items() if inspect.isfunction(each)}
    classes = {name: each for name, each in objects.items() if name not in functions}
    lines = ["## Functions\n", *(_directive("autofunction", name) for name in functions)]
    lines += ["## Classes\n", *(_directive("autoclass", name) for name in classes)]
    return _HEAD + "\n".join(lines)


def _directive(kind: str, name: str) -> str:
    members = "\n   :members:" if kind == "autoclass" else ""
    return f"```{{eval-rst}}\n.. {kind}:: {name}{members}\n```\n"


def _returned(function: Any) -> Iterator[type]:
    """Yield the classes of hwkd that a function returns, alone or in a tuple."""
    module = inspect.getmodule(inspect.unwrap(function))
    if module is None:
        return
    answer = inspect.unwrap(function).__annotations__["return"]
    imported = {
        alias.name: node.module
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    text = answer.__name__ if isinstance(answer, type) else str(answer)
    for word in re.findall(r"\b[A-Z]\w+", text):
        home = import_module(imported[word]) if word in imported else module
        yield getattr(home, word)
