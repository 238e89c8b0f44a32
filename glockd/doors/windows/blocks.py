"""Blocks of time that do not overlap, and the gaps between them: each call takes O(log n).

A treap (Seidel and Aragon, 1996): a search tree by start that is a heap by priority, and so nearly balanced. Each node
knows the bounds of its subtree and the longest gap within, so that gaps which are too short are passed by as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

# Multiples of it are spread evenly (Knuth, The Art of Computer Programming, 6.4): priorities without a random number.
_SPREAD: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1


class _Node:
    __slots__ = ("begin", "end", "first", "gap", "last", "left", "priority", "right")

    def __init__(self, begin: int, end: int, priority: int) -> None:
        self.begin = self.first = begin  # first: where the subtree begins
        self.end = self.last = end  # last: where it ends
        self.gap = 0  # the longest gap between two blocks of the subtree
        self.priority = priority
        self.left: _Node | None = None
        self.right: _Node | None = None

    def pull(self) -> _Node:
        """Know again what the subtree is, of which a child has changed."""
        gap = 0
        left, right = self.left, self.right
        if left is None:
            self.first = self.begin
        else:
            self.first = left.first
            gap = max(left.gap, self.begin - left.last)
        if right is None:
            self.last = self.end
        else:
            self.last = right.last
            gap = max(gap, right.gap, right.first - self.end)
        self.gap = gap
        return self


class Blocks:
    """Blocks of time, each half-open and at least a second long, none of which overlap."""

    __slots__ = ("_root", "_serial")

    def __init__(self) -> None:
        self._root: _Node | None = None
        self._serial = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """All blocks, by start."""
        return _walk(self._root)

    def add(self, begin: int, end: int) -> None:
        """Add a block where there is none."""
        self._serial += 1
        node = _Node(begin, end, self._serial * _SPREAD & _MASK)
        self._root = _insert(self._root, node)

    def discard(self, begin: int) -> None:
        """Take the block away that begins there.

        Raises:
            KeyError: there is none.
        """
        self._root = _without(self._root, begin)

    def at(self, moment: int) -> tuple[int, int]:
        """The block that has a moment in it.

        Raises:
            KeyError: there is none.
        """
        node = self._root
        while node is not None:
            if moment < node.begin:
                node = node.left
            elif moment >= node.end:
                node = node.right
            else:
                return node.begin, node.end
        raise KeyError(moment)

    def cover(self, begin: int, end: int) -> None:
        """Let one block cover a stretch and all blocks that it meets; those that it touches stay what they are."""
        before, rest = _split(self._root, begin)
        if before is not None and before.last > begin:
            last = _rightmost(before)
            begin, end = last.begin, max(end, last.end)
            before = _without(before, last.begin)
        met, after = _split(rest, end)
        if met is not None:
            end = max(end, met.last)
        self._root = _join(before, after)
        self.add(begin, end)

    def __bool__(self) -> bool:
        """Whether there is any block."""
        return self._root is not None

    def forget(self, until: int) -> None:
        """Take the blocks away that are over by then."""
        before, after = _split(self._root, until)
        if before is None or before.last <= until:
            self._root = after
        else:
            last = _rightmost(before)
            self._root = after
            self.add(last.begin, last.end)

    def first_gap(self, begin: int, length: int) -> int:
        """The first moment from `begin` on from which `length` seconds are free."""
        return _first_gap(self._root, begin, length)[0]

    def gaps(self, begin: int, end: int, length: int) -> Iterator[tuple[int, int]]:
        """The gaps between `begin` and `end`, cut there, that are at least `length` long, by start.

        No block may be added or taken away meanwhile.
        """
        at = begin
        while (at := self.first_gap(at, length)) + length <= end:
            until = min(end, self._next(at))
            yield at, until
            at = until
            if at >= end:
                break

    def _next(self, moment: int) -> int:
        """Where the first block behind a moment begins."""
        node, found = self._root, None
        while node is not None:
            if node.begin >= moment:
                found, node = node.begin, node.left
            else:
                node = node.right
        return FAR if found is None else found


FAR: Final = 1 << 62  # later than any moment


def _insert(root: _Node | None, node: _Node) -> _Node:
    if root is None:
        return node
    if node.priority > root.priority:
        node.left, node.right = _split(root, node.begin)
        return node.pull()
    if node.begin < root.begin:
        root.left = _insert(root.left, node)
    else:
        root.right = _insert(root.right, node)
    return root.pull()


def _split(root: _Node | None, begin: int) -> tuple[_Node | None, _Node | None]:
    """The blocks that begin before a moment, and the others."""
    if root is None:
        return None, None
    if root.begin < begin:
        root.right, rest = _split(root.right, begin)
        return root.pull(), rest
    before, root.left = _split(root.left, begin)
    return before, root.pull()


def _join(left: _Node | None, right: _Node | None) -> _Node | None:
    """One tree of two, the second of which lies behind the first."""
    if left is None or right is None:
        return right if left is None else left
    if left.priority > right.priority:
        left.right = _join(left.right, right)
        return left.pull()
    right.left = _join(left, right.left)
    return right.pull()


def _without(root: _Node | None, begin: int) -> _Node | None:
    if root is None:
        raise KeyError(begin)
    if root.begin == begin:
        return _join(root.left, root.right)
    if begin < root.begin:
        root.left = _without(root.left, begin)
    else:
        root.right = _without(root.right, begin)
    return root.pull()


def _rightmost(root: _Node) -> _Node:
    while root.right is not None:
        root = root.right
    return root


def _walk(root: _Node | None) -> Iterator[tuple[int, int]]:
    if root is not None:
        yield from _walk(root.left)
        yield root.begin, root.end
        yield from _walk(root.right)


def _first_gap(root: _Node | None, at: int, length: int) -> tuple[int, bool]:
    """Where there is room from `at` on: before or within the subtree (True), or not before its end (False)."""
    if root is None or root.last <= at:
        return at, False
    if at + length <= root.first:
        return at, True
    if at <= root.first and root.gap < length:
        return root.last, False
    at, is_found = _first_gap(root.left, at, length)
    if is_found:
        return at, True
    if at + length <= root.begin:
        return at, True
    return _first_gap(root.right, max(at, root.end), length)
