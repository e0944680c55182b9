"""What a factory's teacher is made of: the code that runs, and every number that the module holds.

`state_dict` is not all of a module: buffers may be left out of it, and a tensor in a plain
attribute, in a list or in a closure is in none of it. So the object itself is walked.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hwkd.core.errors import TeacherError

# Set on a module of the user's: the SHA-256 of its file when it was first seen in this process.
_SEEN_ATTRIBUTE = "__hwkd_file_sha256__"
# Switched by us, and no part of what a network computes in evaluation mode.
_NOT_STATE = frozenset({"training"})


def factory_identity(reference: str, module: nn.Module) -> str:
    """Return a SHA-256 of what a factory made, 64 hex digits.

    It covers the source files of the factory, of every class in the module and of whatever those
    files import outside Python's own and installed packages; and all tensors, numbers and text
    that can be reached from the module.

    Args:
        reference: "package.module:factory".
        module: what the factory returned, with its weights loaded, in evaluation mode.

    Raises:
        TeacherError: if a source file changed after this process had imported it, because what
            runs is then not what the file says.
    """
    digest = hashlib.sha256(f"{reference}\n{module!r}\n".encode(errors="surrogateescape"))
    for name, content in sorted(_sources(reference, module).items()):
        digest.update(f"{name} {content}\n".encode())
    digest.update(object_digest(module).encode())
    return digest.hexdigest()


def object_digest(root: object) -> str:
    """Return a SHA-256 of every value that can be reached from an object, 64 hex digits.

    Values of types that are not known here count by their type and their attributes.
    """
    walk = _Walk()
    walk.add(root)
    return walk.digest.hexdigest()


class _Walk:
    """Feeds an object graph into a hash, each object once."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        # The objects themselves are kept: the id of one that is gone may be given again.
        self._seen: dict[int, tuple[int, object]] = {}

    def add(self, root: object) -> None:
        """Feed a value; a stack and not recursion, because a module may be nested deeply."""
        stack: list[object] = [root]
        while stack:
            value = stack.pop()
            if isinstance(value, (bool, int, float, complex, str, bytes, type(None))):
                self._say(f"{type(value).__name__} {value!r}")
                continue
            if id(value) in self._seen:
                self._say(f"again {self._seen[id(value)][0]}")
                continue
            self._seen[id(value)] = (len(self._seen), value)
            stack.extend(reversed(list(self._parts(value))))

    def _say(self, text: str) -> None:
        self.digest.update(f"{text}\n".encode(errors="surrogateescape"))

    def _parts(self, value: Any) -> Iterator[object]:
        """Feed what a value is itself and return what it holds."""
        if isinstance(value, Tensor):
            self._add_tensor(value)
        elif isinstance(value, (np.ndarray, np.generic)):
            self._add_array(np.asarray(value))
        elif isinstance(value, type):
            self._say(f"type {value.__module__}.{value.__qualname__}")
        elif isinstance(value, ModuleType):
            self._say(f"module {value.__name__}")
        elif isinstance(value, Mapping):
            self._say(f"{type(value).__name__} of {len(value)}")
            for key, entry in list(value.items()):
                # Keys that are numbers count hooks since the process began.
                yield from (key, entry) if isinstance(key, str) else (entry,)
        elif isinstance(value, (list, tuple)):
            self._say(f"{type(value).__name__} of {len(value)}")
            yield from value
        elif isinstance(value, (set, frozenset)):
            self._say(f"{type(value).__name__} of {len(value)}")
            yield from sorted(value, key=repr)
        elif isinstance(value, FunctionType):
            self._say(f"function {value.__module__}.{value.__qualname__}")
            yield from (value.__defaults__, value.__kwdefaults__)
            yield from (_content(cell) for cell in value.__closure__ or ())
        elif isinstance(value, MethodType):
            yield from (value.__func__, value.__self__)
        elif isinstance(value, functools.partial):
            yield from (value.func, value.args, value.keywords)
        else:
            self._say(f"{type(value).__module__}.{type(value).__qualname__}")
            for name, entry in sorted(getattr(value, "__dict__", {}).items()):
                if name not in _NOT_STATE:
                    yield from (name, entry)

    def _add_tensor(self, tensor: Tensor) -> None:
        if tensor.is_sparse or tensor.is_quantized or tensor.is_nested:
            tensor = tensor.to_dense() if tensor.is_sparse else tensor.dequantize()
        values = tensor.detach().cpu().contiguous()
        self._say(f"tensor {values.dtype} {tuple(values.shape)}")
        if values.numel():
            self.digest.update(values.flatten().view(torch.uint8).numpy().data)

    def _add_array(self, array: np.ndarray[Any, Any]) -> None:
        self._say(f"array {array.dtype.str} {array.shape}")
        if array.dtype != object:
            self.digest.update(np.ascontiguousarray(array).tobytes())


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # a variable that was never set
        return None


def _sources(reference: str, module: nn.Module) -> dict[str, str]:
    """Return name -> SHA-256 of the files of all code of the user's that the module runs."""
    own = reference.partition(":")[0]
    waiting = [own, *sorted({type(part).__module__ for part in module.modules()})]
    found: dict[str, str] = {}
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        loaded = sys.modules.get(name)
        file = _file_of(loaded)
        if name in seen or loaded is None or file is None or not _is_users(name, file, own):
            continue
        seen.add(name)
        content = file.read_bytes()
        found[name] = _unchanged_digest(loaded, file, content)
        waiting += _imported(content, loaded)
    return found


def _file_of(loaded: ModuleType | None) -> Path | None:
    name = getattr(loaded, "__file__", None)
    return Path(name) if name and Path(name).is_file() else None


def _is_users(name: str, file: Path, own: str) -> bool:
    """Tell code of the user's from Python's and from installed packages, whose updates are small.

    The factory's own package counts wherever it lies.
    """
    if name.partition(".")[0] == own.partition(".")[0]:
        return True
    paths = sysconfig.get_paths()
    installed = [Path(paths[key]) for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    here = file.resolve()
    return not any(here.is_relative_to(folder.resolve()) for folder in installed) and not any(
        part in ("site-packages", "dist-packages") for part in here.parts
    )


def _unchanged_digest(loaded: ModuleType, file: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    before = loaded.__dict__.setdefault(_SEEN_ATTRIBUTE, digest)
    if before != digest:
        raise TeacherError(
            f"{file}: changed after this process had imported it, so an older teacher would run "
            "under the new file's name; start a new process (restart the notebook's kernel)"
        )
    return digest


def _imported(content: bytes, loaded: ModuleType) -> Iterable[str]:
    """Return the names of modules that a file asks for, wherever in the file it does."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError):  # a compiled extension
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                yield from (".".join(parts[: end + 1]) for end in range(len(parts)))
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            try:
                base = importlib.util.resolve_name(relative, loaded.__package__ or "")
            except ImportError:
                continue
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
