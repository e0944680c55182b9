"""One registry class for every kind of thing that can be added in one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from hwkd.core.errors import UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to objects; filled while modules import, read-only afterwards."""

    def __init__(self, kind: str) -> None:
        """Create an empty registry; `kind` is the word used in messages, for example "device"."""
        self.kind = kind
        self._items: dict[str, T] = {}
        self._aliases: dict[str, str] = {}

    def register(self, name: str, *, aliases: tuple[str, ...] = ()) -> Callable[[T], T]:
        """Return a decorator that files the object under `name`.

        Args:
            aliases: further names that find it.

        Raises:
            ValueError: if the name is already taken.
        """

        def decorate(item: T) -> T:
            for taken in (name, *aliases):
                if taken in self:
                    raise ValueError(f"{self.kind} {taken!r} is registered twice")
            self._items[name] = item
            self._aliases.update(dict.fromkeys(aliases, name))
            return item

        return decorate

    def get(self, name: str) -> T:
        """Return the object filed under `name`.

        Raises:
            UnknownNameError: if there is none; the message offers the nearest names.
        """
        try:
            return self._items[self._aliases.get(name, name)]
        except KeyError:
            raise UnknownNameError(self.kind, name, self._items) from None

    def find(self, name: str) -> T | None:
        """Return the object filed under `name`, None where there is none."""
        found = self._items.get(name)
        if found is None and self._aliases:
            found = self._items.get(self._aliases.get(name, name))
        return found

    def take(self, name: str) -> T:
        """Return the object filed under `name` and forget it; the name must be there."""
        return self._items.pop(name)

    def names(self) -> tuple[str, ...]:
        """Return every name, sorted."""
        return tuple(sorted(self._items))

    def __contains__(self, name: object) -> bool:
        """Tell whether `name` finds something."""
        return name in self._items or name in self._aliases

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, sorted."""
        return iter(self.names())
