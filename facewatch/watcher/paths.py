"""A set of paths below a root that knows which of them lie within a folder."""

from __future__ import annotations

from collections.abc import Iterator


class Paths:
    """Finds the paths within a folder without going through the others, however many there are."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._below: dict[str, set[str]] = {}
        """For every folder above one of the paths: what lies directly in it and is one of them, or above one."""

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, path: str) -> None:
        self._paths.add(path)
        while path:
            folder = path.rpartition("/")[0]
            below = self._below.setdefault(folder, set())
            if path in below:
                return
            below.add(path)
            path = folder

    def within(self, folder: str) -> list[str]:
        """Return those that are this folder ("" is the root) or below it, sorted."""
        found, todo = [], [folder]
        while todo:
            path = todo.pop()
            if path in self._paths:
                found.append(path)
            todo += self._below.get(path, ())
        return sorted(found)

    def take_within(self, folder: str) -> list[str]:
        """Return those that are this folder or below it, sorted, and keep them no longer."""
        taken, todo = self.within(folder), [folder]
        while todo:
            todo += self._below.pop(todo.pop(), ())
        self._paths.difference_update(taken)
        self._forget_above(folder)
        return taken

    def clear(self) -> None:
        self._paths.clear()
        self._below.clear()

    def _forget_above(self, path: str) -> None:
        """Forget a path, and the folders above it that were known for nothing else."""
        while path and path not in self._paths and path not in self._below:
            folder = path.rpartition("/")[0]
            below = self._below.get(folder, set())
            below.discard(path)
            if not below:
                self._below.pop(folder, None)
            path = folder
