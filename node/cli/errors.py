"""What the command line itself refuses, and how any error becomes one line and an exit code.

    CliError
    ├── UsageFault      2  what was typed cannot be meant: BadAmount, BadDuration, BadSize, ...
    ├── Locked          3  no password, or not the right one: NoPassword, PasswordsDiffer, ...
    ├── NoChain         4  no chain is recorded, or not the one named
    └── NoWallet, NotDone  1  the thing asked could not be done, or was not confirmed

Exit codes: 0 done; 1 failed; 2 usage; 3 password; 4 chain; 130 interrupted (also in `tithe --help`); 5 and 6
are `tithe farm check`'s.
"""

from dataclasses import dataclass
from typing import ClassVar

from node.errors import NodeError

DONE, FAILED, USAGE, LOCKED, CHAIN, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Exit codes."""

_OURS = ("payments", "settlement", "node", "contracts")
_LONGEST_LINE = 600


class CliError(NodeError):
    """Root of what the command line refuses. Raised as one of its branches."""

    exit_code: ClassVar[int] = FAILED


class UsageFault(CliError):
    """What was typed cannot be meant."""

    exit_code = USAGE


class Locked(CliError):
    """A key stays locked."""

    exit_code = LOCKED


@dataclass(eq=False)
class NotDone(CliError):
    """The thing asked could not be done; `reason` is the whole sentence."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class Unusable(UsageFault):
    """Arguments that do not go together; `reason` is the whole sentence."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class BadAmount(UsageFault):
    """Text that is no amount of tokens."""

    text: str

    def __str__(self) -> str:
        return f"{self.text!r} is no amount: write tokens as digits, with a point if need be, such as 12.5"


@dataclass(eq=False)
class TooFineAmount(UsageFault):
    """An amount with more digits after the point than the token has."""

    text: str
    decimals: int

    def __str__(self) -> str:
        return f"{self.text} is finer than the token, which has {self.decimals} digits after the point"


@dataclass(eq=False)
class TooLargeAmount(UsageFault):
    """An amount beyond the contract's uint96."""

    text: str

    def __str__(self) -> str:
        return f"{self.text} tokens are more than a channel can hold (2^96 base units)"


@dataclass(eq=False)
class BadDuration(UsageFault):
    """Text that is no duration."""

    text: str

    def __str__(self) -> str:
        return f"{self.text!r} is no duration: write a number and one of s, m, h, d, w, such as 30d"


@dataclass(eq=False)
class BadRange(UsageFault):
    """Text that is no range of bytes."""

    text: str

    def __str__(self) -> str:
        return f"{self.text!r} is no range of bytes: write 0-499, 500- (to the end) or -500 (the last)"


@dataclass(eq=False)
class BadSize(UsageFault):
    """Text that is no number of bytes."""

    text: str

    def __str__(self) -> str:
        return f"{self.text!r} is no size: write a number and a unit such as 500MB, 10GB or 64MiB"


@dataclass(eq=False)
class BadHex(UsageFault):
    """Text that is not the hex it should be; never used for secrets, since the text is shown."""

    what: str
    text: str
    size: int

    def __str__(self) -> str:
        return f"{self.text!r} is no {self.what}: write 0x and {2 * self.size} hex digits"


@dataclass(eq=False)
class BadChecksum(UsageFault):
    """An address whose capitals do not fit its digits (EIP-55): most likely mistyped."""

    text: str

    def __str__(self) -> str:
        return f"{self.text} is mistyped: its capitals are those of another address (EIP-55)"


@dataclass(eq=False)
class UnknownId(UsageFault):
    """Nothing known has an id that begins like this."""

    what: str
    text: str

    def __str__(self) -> str:
        return f"no {self.what} begins with {self.text}"


@dataclass(eq=False)
class AmbiguousId(UsageFault):
    """Several known ids begin like this."""

    what: str
    text: str
    count: int

    def __str__(self) -> str:
        return f"{self.count} ids of a {self.what} begin with {self.text}: write more of it"


@dataclass(eq=False)
class NoPassword(Locked):
    """A password is needed and there is nobody to ask."""

    what: str

    def __str__(self) -> str:
        return (
            f"{self.what} needs its password and this is no terminal:"
            " give --password-file FILE, --password-fd N, or set TITHE_PASSWORD_FILE"
        )


@dataclass(eq=False)
class PasswordUnreadable(Locked):
    """The file or descriptor that should hold the password cannot be read, or holds nothing."""

    source: str
    problem: str

    def __str__(self) -> str:
        return f"no password in {self.source}: {self.problem}"


@dataclass(eq=False)
class PasswordsDiffer(Locked):
    """The two entries of a new password are not the same."""

    def __str__(self) -> str:
        return "the two passwords differ; nothing was created, try again"


@dataclass(eq=False)
class NoChain(CliError):
    """No chain is named, or none of that name is recorded."""

    exit_code = CHAIN

    name: str | None
    recorded: tuple[str, ...]

    def __str__(self) -> str:
        if not self.recorded:
            return (
                "no chain is recorded: deploy to a local one (tithe chain up, tithe chain deploy)"
                " or join somebody's deployment (tithe chain add URL RECORD)"
            )
        known = ", ".join(self.recorded)
        if self.name is None:
            return (
                f"several chains are recorded ({known}): choose one by tithe chain use NAME, or --chain NAME"
            )
        return f"no chain {self.name!r} is recorded, only {known}: see tithe chain list"


@dataclass(eq=False)
class NoWallet(CliError):
    """No wallet is named, or there is none of that name."""

    name: str | None
    kept: tuple[str, ...]

    def __str__(self) -> str:
        if not self.kept:
            return "there is no wallet here yet: make one with tithe wallet new"
        known = ", ".join(self.kept)
        if self.name is None:
            return f"several wallets are here ({known}): choose one by --wallet NAME"
        return f"no wallet {self.name!r} is here, only {known}"


@dataclass(eq=False)
class StaysLocked(Locked):
    """No key was opened, and yet something was to be signed."""

    what: str

    def __str__(self) -> str:
        return f"the renter's {self.what} is locked in this command: try one that asks for the password"


@dataclass(eq=False)
class NotThePassword(Locked):
    """The password given does not open the key."""

    what: str

    def __str__(self) -> str:
        return f"wrong password for {self.what}"


def exit_code(error: BaseException) -> int:
    """Choose the exit code for an error of any package."""
    if isinstance(error, CliError):
        return error.exit_code
    return _EXIT_CODES.get(getattr(error, "code", ""), FAILED)


_EXIT_CODES = {
    "WRONG_PASSWORD": LOCKED,
    "CHAIN_UNREACHABLE": CHAIN,
    "WRONG_CHAIN": CHAIN,
    "WRONG_GENESIS": CHAIN,
    "CONTRACT_MISSING": CHAIN,
    "CONTRACT_DIFFERENT": CHAIN,
    "MALFORMED_DEPLOYMENT": CHAIN,
    "DEPLOYMENT_UNFINISHED": CHAIN,
    "BAD_NAME": USAGE,
}


def one_line(error: BaseException) -> str:
    """Say an error in one line: our sentences as they are, the system's with the file, others by class."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    elif type(error).__module__.partition(".")[0] in _OURS:
        text = str(error)
    else:
        text = f"unexpected {type(error).__name__}: {error} (tithe --debug shows where)"
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"
