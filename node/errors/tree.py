"""The trunk of the error tree: the root, four branches by whose fault it is, and how values are shown."""

from typing import ClassVar

from payments.errors import upper_snake


class NodeError(Exception):
    """Root of the tree; never raised itself."""

    code: ClassVar[str] = "NODE_ERROR"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.code = upper_snake(cls.__name__)

    @property
    def detail(self) -> dict[str, object]:
        """The offending values: bytes as 0x-hex, integers beyond 2**53 as decimal strings."""
        return {name: plain(value) for name, value in vars(self).items() if not name.startswith("_")}


class PeerFault(NodeError):
    """The peer broke the rules."""


class OwnFault(NodeError):
    """We broke the rules."""


class CannotCheck(NodeError):
    """The thing could not be looked at."""


class CheckFailed(NodeError):
    """The thing was looked at and is not what it must be."""


def short(name: bytes) -> str:
    """Return an id as sentences show it: 0x and its first eight bytes; the whole stands in a field."""
    shown = 8
    return "0x" + name[:shown].hex() + ("…" if len(name) > shown else "")


def plain(value: object) -> object:
    """Put a value in JSON's terms, as `detail` shows it."""
    match value:
        case bytes():
            return "0x" + value.hex()
        case bool() | None | str():
            return value
        case int():
            return value if abs(value) <= 2**53 else str(value)
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return str(value)
