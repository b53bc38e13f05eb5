"""Sites: every place in the source that commits, sends, answers or broadcasts, found by reading it.

A site's name is its kind, module and function, and a number where a function has several; what a process is
told is where that lies today.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from settlement.steps import Kind, Moment

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("payments", "settlement", "node")
SENDS: Final = frozenset({"describe", "get", "post", "delete", "upload", "read"})
"""The transport's methods."""
WRITES: Final = frozenset({"write", "write_sync"})
NO_DATABASE: Final = frozenset(
    {
        "exports",
        "file",
        "incoming",
        "out",
        "output",
        "self._out",
        "sink",
        "self._file",
        "self._stream",
        "self.transport",
        "sys.stdout",
        "sys.stderr",
        "os",
    }
)
"""What else is written to."""
NO_TRANSPORT: Final = frozenset(
    {"opened.renter.files", "stage.renter.files", "self._farmer", "self._getter", "uploader"}
)
"""What else has methods of these names that are awaited."""


@dataclass(frozen=True, slots=True)
class Site:
    """One place. `lines`: of the call, "-" where the name says it all."""

    name: str
    kind: Kind
    origin: str
    lines: str

    def point(self, moment: Moment, times: int = 1) -> str:
        """Where a process is to die, as `settlement.steps` reads it."""
        return f"{moment} {self.kind} {self.origin} {self.lines} {times}"


@cache
def find_sites() -> dict[str, Site]:
    """Every site of the source, by name."""
    found: dict[str, Site] = {}
    counts = Counter[str]()
    for kind, origin, function, lines in _everywhere():
        name = f"{kind} {origin}:{function}" if function else f"{kind} {origin}"
        counts[name] += 1
        if counts[name] > 1:
            name = f"{name}#{counts[name]}"
        found[name] = Site(name, kind, origin, lines)
    return found


def _everywhere() -> Iterator[tuple[Kind, str, str, str]]:
    answers = set[str]()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            tree = ast.parse(path.read_text())
            for function, call, awaited in _calls(tree, []):
                kind = _kind(call, awaited=awaited)
                if kind is not None:
                    yield kind, module, function, f"{call.lineno}-{call.end_lineno}"
            if module.startswith("node.api."):
                answers |= set(_handlers(tree))
    yield from ((Kind.ANSWER, handler, "", "-") for handler in sorted(answers))


def _calls(
    node: ast.AST, within: list[str], *, awaited: bool = False
) -> Iterator[tuple[str, ast.Call, bool]]:
    """Every call, in its order, with the function it stands in and whether it is awaited on the spot."""
    for child in ast.iter_child_nodes(node):
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        inner = [*within, child.name] if named else within  # type: ignore[attr-defined]
        if isinstance(child, ast.Call):
            yield ".".join(within), child, awaited
        yield from _calls(child, inner, awaited=isinstance(child, ast.Await))


def _kind(call: ast.Call, *, awaited: bool) -> Kind | None:
    """What a call is, by the method's name; what has such a method and is no such thing is listed above."""
    if not isinstance(call.func, ast.Attribute):
        return None
    method, target = call.func.attr, ast.unparse(call.func.value)
    if method in WRITES and target not in NO_DATABASE:
        return Kind.COMMIT
    if method in SENDS and awaited and target not in NO_TRANSPORT:
        return Kind.SEND
    return Kind.BROADCAST if method == "send_raw" else None


def _handlers(tree: ast.Module) -> Iterator[str]:
    """The handlers in a table of routes, or added as one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple) and len(node.elts) == len(("method", "path", "handler")):
            handler = node.elts[2]
            if isinstance(handler, ast.Attribute) and ast.unparse(handler.value) == "self":
                yield handler.attr
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".add_route"):
            path, added = node.args
            if isinstance(path, ast.Constant):
                yield ast.unparse(added)
