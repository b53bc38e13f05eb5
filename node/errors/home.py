"""What can go wrong with the files of TITHE_HOME (node.home)."""

from dataclasses import dataclass
from pathlib import Path

from node.errors.tree import NodeError, short


@dataclass(eq=False)
class HomeError(NodeError):
    """Something below TITHE_HOME cannot be used as asked. See node.home."""


@dataclass(eq=False)
class BadName(HomeError):
    """A name that would not be safe as a file name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.name!r} cannot name a {self.kind}: letters, digits, dots, dashes, at most 64"


@dataclass(eq=False)
class AlreadyThere(HomeError):
    """A file that is never replaced exists."""

    path: Path

    def __str__(self) -> str:
        return f"{self.path} exists and is not replaced: move it away first, or choose another name"


@dataclass(eq=False)
class DamagedFile(HomeError):
    """A file is not what its place says it is."""

    path: Path
    problem: str

    def __str__(self) -> str:
        return f"{self.path} cannot be used: {self.problem}"


@dataclass(eq=False)
class DirectoryRefused(HomeError):
    """The system does not let us write where we must."""

    path: Path
    problem: str

    def __str__(self) -> str:
        return f"cannot write to {self.path}: {self.problem}"


@dataclass(eq=False)
class DamagedExport(HomeError):
    """A file that should be an export is none, is cut short, or was changed."""

    path: Path
    problem: str

    def __str__(self) -> str:
        return f"{self.path} is no good export: {self.problem}; nothing was changed"


@dataclass(eq=False)
class NotThisNode(HomeError):
    """The keys at hand are not those of the node whose export it is."""

    path: Path
    expected: bytes
    given: bytes

    def __str__(self) -> str:
        return (
            f"{self.path} is the export of node {short(self.expected)}, the keys at hand are those of node"
            f" {short(self.given)}; nothing was changed"
        )
