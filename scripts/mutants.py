"""Mutants of Solidity files: small faults made by rule, all of them in one program.

A mutant replaces the text of one place: a comparison, an operator, a condition, a constant, a statement. As
compiling takes far longer than testing, every fault of every file is compiled once, beside what stands
there: `a < b` becomes
`(mutant() == 7 ? (a <= b) : (a < b))`, where `mutant()` is a constant that is easily found and
replaced in the bytecode.

The places come from the compiler's syntax tree. Offsets are bytes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

Node = dict[str, Any]

MAGIC = sha256(b"mutant").digest()
"""What `mutant()` returns before one is chosen: 32 bytes that nothing else contains or can shorten."""

SWITCH = f"""// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

function mutant() pure returns (uint256 id) {{
    assembly ("memory-safe") {{
        id := 0x{MAGIC.hex()}
    }}
}}
"""

YUL_SWITCH = f"""
            function mutant_() -> id {{ id := 0x{MAGIC.hex()} }}
            function pick_(id, fault, sound) -> it {{ it := sound if eq(mutant_(), id) {{ it := fault }} }}
"""

OTHER = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "+": ("-",),
    "-": ("+",),
    "*": ("+",),
    "/": ("*",),
    "<<": (">>",),
    ">>": ("<<",),
    "&": ("|",),
    "|": ("&",),
    "&&": ("||",),
    "||": ("&&",),
}
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
OTHER_YUL = {
    "lt": "gt",
    "gt": "lt",
    "eq": "gt",
    "and": "or",
    "or": "and",
    "add": "sub",
    "sub": "add",
    "shl": "shr",
    "shr": "shl",
}


@dataclass(frozen=True)
class Mutant:
    """One fault: what stands at `line` of a file, `sound`, is replaced by `fault`."""

    file: str
    function: str
    line: int
    rule: str
    sound: str
    fault: str
    number: int = 1  # among those of a function that would have one name

    @property
    def name(self) -> str:
        """What tells it from all others and outlives changes elsewhere in the file."""
        name = f"{self.file} {self.function}: {self.sound} -> {self.fault or 'nothing'}"
        return name if self.number == 1 else f"{name} ({self.number})"


@dataclass
class Place:
    """A stretch of source with what may stand there instead: `(rule, text)`."""

    start: int
    end: int
    kind: str  # "expression", "statement", or either within assembly: "yul expression", "yul statement"
    function: str
    faults: list[tuple[str, str]] = field(default_factory=list)


def find_places(tree: Node, source: bytes, constants: dict[int, str]) -> list[Place]:
    """Find every place in one file's syntax tree to which a rule applies.

    Args:
        tree: The compiler's tree of the file.
        source: Its bytes.
        constants: Types of the constants of all files by their node's id, see `find_constants`.

    """
    found: dict[tuple[int, int, str], Place] = {}

    def add(node: Node, kind: str, function: str, rule: str, fault: str, *, more: int = 0) -> None:
        start, length, _ = map(int, node["src"].split(":"))
        place = found.setdefault(
            (start, start + length + more, kind), Place(start, start + length + more, kind, function)
        )
        if all(text != fault for _, text in place.faults):
            place.faults.append((rule, fault))

    rules = Rules(add, source, constants)
    for part in tree["nodes"]:
        rules.visit(part, "")
    return sorted(found.values(), key=lambda place: (place.start, -place.end))


def find_constants(trees: dict[str, Node]) -> dict[int, str]:
    """The types of all constants, by the ids that identifiers refer to."""
    return {
        node["id"]: node["typeDescriptions"]["typeString"]
        for tree in trees.values()
        for node in walk(tree)
        if node.get("nodeType") == "VariableDeclaration" and node.get("constant")
    }


def walk(tree: Any) -> Iterator[Node]:  # noqa: ANN401 -- JSON
    """Every node of a tree, from above."""
    if isinstance(tree, dict):
        if "nodeType" in tree:
            yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            yield from walk(part)


class Rules:
    """What is done to a node of each kind."""

    def __init__(self, add: Callable[..., None], source: bytes, constants: dict[int, str]) -> None:
        self._add = add
        self._source = source
        self._constants = constants

    def text(self, node: Node) -> str:
        start, length, _ = map(int, node["src"].split(":"))
        return self._source[start : start + length].decode()

    def visit(self, node: Any, function: str) -> None:  # noqa: ANN401 -- JSON
        """Apply the rules to a node and to all below it."""
        if isinstance(node, list):
            for part in node:
                self.visit(part, function)
            return
        if not isinstance(node, dict) or node.get("constant"):
            return  # a constant is changed where it is used
        kind = node.get("nodeType", "")
        if kind in {"FunctionDefinition", "ModifierDefinition"}:
            function = node["name"] or node["kind"]
        rule = getattr(self, "on_" + kind, None)
        if rule is not None and rule(node, function):
            return
        for name, part in node.items():
            if name not in {"typeDescriptions", "typeName", "leftHandSide", "parameters", "baseFunctions"}:
                self.visit(part, function)

    # -------------------------------------------------------------------------------- expressions

    def on_BinaryOperation(self, node: Node, function: str) -> bool:
        """Put a neighbouring operator in the place of each."""
        left, right = self.text(node["leftExpression"]), self.text(node["rightExpression"])
        rule = "comparison" if node["operator"] in COMPARISONS else "operator"
        for other in OTHER.get(node["operator"], ()):
            self._add(node, "expression", function, rule, f"({left}) {other} ({right})")
        if node["commonType"]["typeString"] == "bytes32":  # its zero cannot be counted up
            self.visit(node["leftExpression"], function)
            return True
        return False

    def on_UnaryOperation(self, node: Node, function: str) -> None:
        """Take a negation away."""
        if node["operator"] in {"!", "~"}:
            self._add(node, "expression", function, "operator", self.text(node["subExpression"]))

    def on_Literal(self, node: Node, function: str) -> None:
        """Raise a number by one."""
        if node["kind"] == "number" and node["typeDescriptions"]["typeString"].startswith("int_const"):
            self._add(node, "expression", function, "constant", f"uint256({self.text(node)}) + 1")

    def on_Identifier(self, node: Node, function: str) -> None:
        """Raise a constant by one, or flip its lowest bit."""
        match self._constants.get(node.get("referencedDeclaration", -1)):
            case "uint256":
                self._add(node, "expression", function, "constant", f"{node['name']} + 1")
            case "bytes32":
                self._add(node, "expression", function, "constant", f"{node['name']} ^ bytes32(uint256(1))")

    def on_MemberAccess(self, node: Node, function: str) -> None:
        """The same for a constant of a library."""
        if self._constants.get(node.get("referencedDeclaration", -1)) == "bytes32":
            self._add(node, "expression", function, "constant", f"{self.text(node)} ^ bytes32(uint256(1))")

    def on_FunctionCall(self, node: Node, function: str) -> bool:
        """Make another address of the zero address."""
        if node["kind"] == "typeConversion" and self.text(node) == "address(0)":
            self._add(node, "expression", function, "constant", "address(1)")
            return True
        return False

    # -------------------------------------------------------------------------------- statements

    def _condition(self, node: Node, function: str, *faults: str) -> None:
        for fault in faults:
            self._add(node["condition"], "expression", function, "condition", fault)

    def on_IfStatement(self, node: Node, function: str) -> None:
        self._condition(node, function, "true", "false")

    def on_Conditional(self, node: Node, function: str) -> None:
        self._condition(node, function, "true", "false")

    def on_ForStatement(self, node: Node, function: str) -> bool:
        """The step of a loop stays: without it the loop would only never end."""
        self._condition(node, function, "false")
        for part in ("initializationExpression", "condition", "body"):
            self.visit(node.get(part), function)
        return True

    def on_DoWhileStatement(self, node: Node, function: str) -> None:
        self._condition(node, function, "false")

    def on_ExpressionStatement(self, node: Node, function: str) -> None:
        """Leave a statement out, unless the compiler insists on a pointer's value."""
        if is_pointer(node["expression"].get("leftHandSide", node["expression"])):
            return
        written = node["expression"].get("leftHandSide", {}).get("memberName") == "slot"
        rule = "storage write" if written else "statement"
        self._add(node, "statement", function, rule, "", more=1)

    def on_EmitStatement(self, node: Node, function: str) -> None:
        self._add(node, "statement", function, "statement", "", more=1)

    def on_Return(self, node: Node, function: str) -> bool:
        """Go on instead. What is returned is changed where it is computed; a plain zero says nothing."""
        values = node.get("expression") or {}
        parts = values.get("components", [values])
        if not any(is_pointer(part) for part in parts):
            self._add(node, "statement", function, "early return", "", more=1)
        self.visit([part for part in parts if part.get("nodeType") != "Literal"], function)
        return True

    def on_Continue(self, node: Node, function: str) -> None:
        self._add(node, "statement", function, "early return", "", more=1)

    # -------------------------------------------------------------------------------- assembly

    def on_YulFunctionCall(self, node: Node, function: str) -> None:
        """Put another instruction in the place of one that compares or computes."""
        name = node["functionName"]["name"]
        arguments = ", ".join(self.text(argument) for argument in node["arguments"])
        if "call(" in arguments:
            return  # sound and faulty are both computed, and what calls must not be computed twice
        if name in OTHER_YUL:
            rule = "comparison" if name in {"lt", "gt", "eq"} else "operator"
            self._add(node, "yul expression", function, rule, f"{OTHER_YUL[name]}({arguments})")
        elif name == "iszero":
            self._add(node, "yul expression", function, "operator", arguments)

    def on_YulIf(self, node: Node, function: str) -> None:
        for fault in ("1", "0"):
            self._add(node["condition"], "yul expression", function, "condition", fault)

    def on_YulLiteral(self, node: Node, function: str) -> None:
        self._add(node, "yul expression", function, "constant", f"add({self.text(node)}, 1)")

    def on_YulCase(self, node: Node, function: str) -> bool:
        """A case is a literal, nothing else."""
        self.visit(node["body"], function)
        return True

    def on_YulIdentifier(self, node: Node, function: str) -> None:
        if node["name"].isupper():  # as constants are written
            self._add(node, "yul expression", function, "constant", f"add({node['name']}, 1)")

    def on_YulExpressionStatement(self, node: Node, function: str) -> None:
        self._add(node, "yul statement", function, "statement", "")

    def on_YulAssignment(self, node: Node, function: str) -> None:
        if all(
            "." not in variable["name"] for variable in node["variableNames"]
        ):  # a pointer's parts have to be set
            self._add(node, "yul statement", function, "statement", "")


def is_pointer(node: Node) -> bool:
    """Whether it is a place in storage or calldata, or a tuple with one: the compiler wants its value."""
    kind = node.get("typeDescriptions", {}).get("typeString", "")
    return (
        any(word in kind for word in ("storage pointer", " calldata")) and node["nodeType"] != "FunctionCall"
    )


def instrument(source: bytes, places: list[Place], first: int) -> tuple[bytes, list[tuple[Place, str, str]]]:
    """Write every fault beside what stands there; number them from `first`.

    Returns:
        The new source, and `(place, rule, fault)` of each number.

    """
    numbered: list[tuple[Place, str, str]] = []

    def write(start: int, end: int, inner: list[Place]) -> bytes:
        pieces, at = [], start
        while inner:
            place, *rest = inner
            below = [other for other in rest if other.end <= place.end]
            inner = rest[len(below) :]
            numbers = {}
            for rule, fault in place.faults:
                numbered.append((place, rule, fault))
                numbers[first + len(numbered) - 1] = fault
            pieces += [source[at : place.start], switch(place, numbers, write(place.start, place.end, below))]
            at = place.end
        return b"".join([*pieces, source[at:end]])

    return write(0, len(source), places), numbered


def switch(place: Place, faults: dict[int, str], sound: bytes) -> bytes:
    """The faults of one place and what stood there, one of which runs."""
    text = sound.decode()
    match place.kind:
        case "expression":
            choices = "".join(f"mutant() == {number} ? ({fault}) : " for number, fault in faults.items())
            return f"({choices}({text}))".encode()
        case "yul expression":
            for number, fault in faults.items():
                text = f"pick_({number}, {fault}, {text})"
            return text.encode()
        case "yul statement":
            (number,) = faults
            return f"if iszero(eq(mutant_(), {number})) {{ {text} }}".encode()
    (number,) = faults
    return f"if (mutant() != {number}) {{ {text} }}".encode()
