"""What makes a renter's whole action impossible; trouble with one farmer is a Fault in the report instead.

NodeError
+-- OwnFault          ImpossibleShape, NameTaken, UnknownFile, UnknownPeer, UnknownChannel, NothingToDo,
|                     PayerMissing, WithdrawalNotOpen, Unfunded, NoOpenChannel, TokensMissing, AuditOpen,
|                     NotReconciled, RangeOutOfFile, AboveLimit
+-- PeerFault         OtherNetwork, OtherNode
+-- CannotCheck       NoQuote, NotEnoughFarmers, PutFailed, FileUnavailable
+-- CheckFailed       FileCorrupt
"""

from collections.abc import Iterable
from dataclasses import dataclass

from node.errors import CannotCheck, CheckFailed, OwnFault, PeerFault, short
from node.renter.reports import Fault

TOLD = 5
"""Farmers whose trouble a sentence tells; all of them are in the error's fields."""


@dataclass(eq=False)
class ImpossibleShape(OwnFault):
    """No erasure code has this k and n."""

    k: int
    n: int
    limit: int

    def __str__(self) -> str:
        return f"{self.k} of {self.n} is no shape: 1 <= k <= n <= {self.limit}"


@dataclass(eq=False)
class NameTaken(OwnFault):
    """A file of this name is stored, or being stored."""

    name: str

    def __str__(self) -> str:
        return f"there is a file {self.name!r} already: remove it first (tithe rm), or choose another name"


@dataclass(eq=False)
class UnknownFile(OwnFault):
    """No file of this name is stored."""

    name: str

    def __str__(self) -> str:
        return f"no file {self.name!r} is stored: tithe ls lists those that are"


@dataclass(eq=False)
class UnknownPeer(OwnFault):
    """The farmer is not in the peer book."""

    node: bytes

    def __str__(self) -> str:
        return f"farmer {short(self.node)} is not known: add it (tithe peers add URL)"


@dataclass(eq=False)
class UnknownChannel(OwnFault):
    """No channel of ours has this id."""

    channel_id: bytes

    def __str__(self) -> str:
        return f"no channel {short(self.channel_id)} of ours is known: tithe channel list shows them"


@dataclass(eq=False)
class NothingToDo(OwnFault):
    """Nothing is left for this action."""

    purpose: str
    reason: str

    def __str__(self) -> str:
        return f"nothing to {self.purpose}: {self.reason}"


@dataclass(eq=False)
class PayerMissing(OwnFault):
    """The payer's key is not at hand, so nothing can be sent in its name."""

    payer: bytes

    def __str__(self) -> str:
        return f"the key of payer 0x{self.payer.hex()} is not here: use --unsigned and its own wallet"


@dataclass(eq=False)
class WithdrawalNotOpen(OwnFault):
    """The challenge period is not over yet, or was not begun (`opens_at` 0). Times are chain time."""

    channel_id: bytes
    opens_at: int
    now: int

    def __str__(self) -> str:
        if not self.opens_at:
            return f"channel {short(self.channel_id)} is not closing: request it first (tithe channel close)"
        wait = self.opens_at - self.now
        return (
            f"the rest of channel {short(self.channel_id)} can be withdrawn in {wait} s, at {self.opens_at}"
        )


@dataclass(eq=False)
class Unfunded(OwnFault):
    """The channel to this farmer holds less than the next voucher needs."""

    farmer: bytes
    needed: int
    deposit: int

    def __str__(self) -> str:
        return (
            f"the channel to farmer {short(self.farmer)} holds {self.deposit} base units, {self.needed} are "
            "needed: top it up (tithe channel fund)"
        )


@dataclass(eq=False)
class AboveLimit(OwnFault):
    """A farmer asks more than the owner allows (or, of an interval, less); `option` changes the limit."""

    farmer: bytes
    what: str
    asked: int
    limit: int
    option: str = ""
    unit: str = "base units"

    def __str__(self) -> str:
        remedy = f"tithe rent limits {self.option}".rstrip()
        return (
            f"farmer {short(self.farmer)} wants {self.asked} {self.unit} {self.what}, your limit is"
            f" {self.limit} {self.unit}: leave it out, or change the limit ({remedy})"
        )


@dataclass(eq=False)
class NoOpenChannel(OwnFault):
    """No funded, open channel leads to this farmer."""

    farmer: bytes

    def __str__(self) -> str:
        return f"there is no funded channel to farmer {short(self.farmer)}: open one (tithe channel fund)"


@dataclass(eq=False)
class NotReconciled(OwnFault):
    """Our books are an old copy, and what was signed since is not known yet."""

    farmer: bytes
    reason: str

    def __str__(self) -> str:
        return (
            f"the channel to farmer {short(self.farmer)} was restored from a copy and signs nothing until"
            f" it is reconciled: {self.reason}"
        )


@dataclass(eq=False)
class TokensMissing(OwnFault):
    """The payer has fewer tokens than the plan moves."""

    payer: bytes
    needed: int
    balance: int

    def __str__(self) -> str:
        return (
            f"payer 0x{self.payer.hex()} has {self.balance} base units of the token, {self.needed} are "
            "needed: send it some, or fund less"
        )


@dataclass(eq=False)
class AuditOpen(OwnFault):
    """The channel has a challenge that waits for its answer; there is never a second one."""

    channel_id: bytes

    def __str__(self) -> str:
        return f"an audit is open in channel {short(self.channel_id)}"


@dataclass(eq=False)
class OtherNetwork(PeerFault):
    """The farmer is paid on another chain or by another contract."""

    url: str
    chain_id: int
    genesis_hash: bytes
    contract: bytes

    def __str__(self) -> str:
        return (
            f"the farmer at {self.url} is paid on chain {self.chain_id} (genesis {short(self.genesis_hash)}) "
            f"by contract 0x{self.contract.hex()}, not on ours: choose its chain (--chain) or another farmer"
        )


@dataclass(eq=False)
class OtherNode(PeerFault):
    """Another node than expected answered at an address."""

    url: str
    node: bytes
    expected: bytes

    def __str__(self) -> str:
        return f"node {short(self.node)} answers at {self.url}, not {short(self.expected)}"


@dataclass(eq=False)
class NoQuote(CannotCheck):
    """A farmer did not tell its prices."""

    farmer: bytes
    reason: str

    def __str__(self) -> str:
        return f"farmer {short(self.farmer)} gives no quote: {self.reason}; leave it out or try again"


@dataclass(eq=False)
class NotEnoughFarmers(CannotCheck):
    """Fewer usable farmers than the file needs; `faults` say what is wrong with the others."""

    needed: int
    usable: int
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.needed} farmers needed, {self.usable} usable{_list(self.faults)}: add some (tithe peers "
            "add), fund channels to them (tithe channel fund), or choose a smaller n"
        )


@dataclass(eq=False)
class PutFailed(CannotCheck):
    """A shard found no farmer; nothing is stored and nothing will be paid for."""

    name: str
    segment: int
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        where = f"a shard of segment {self.segment}"
        return f"{self.name!r} was not stored: no farmer left for {where}{_list(self.faults)}"


@dataclass(eq=False)
class FileUnavailable(CannotCheck):
    """Fewer good shards of a segment than it takes; `faults` say what is missing."""

    name: str
    segment: int
    good: int
    needed: int
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return (
            f"{self.name!r} cannot be read: {self.good} good shards of segment {self.segment}, "
            f"{self.needed} needed{_list(self.faults)}"
        )


@dataclass(eq=False)
class FileCorrupt(CheckFailed):
    """The bytes put together are not those that were stored, though every shard was."""

    name: str
    expected: bytes
    found: bytes

    def __str__(self) -> str:
        found, expected = short(self.found), short(self.expected)
        return f"{self.name!r} has SHA-256 {found} instead of {expected}: nothing was written"


@dataclass(eq=False)
class RangeOutOfFile(OwnFault):
    """A range was asked for that the file does not have; all in bytes."""

    name: str
    offset: int
    length: int
    size: int

    def __str__(self) -> str:
        return f"{self.name!r} has {self.size} bytes, not {self.length} from byte {self.offset} on"


def _list(faults: Iterable[Fault]) -> str:
    """Tell the first troubles, each farmer's once."""
    found = dict.fromkeys(f"{short(fault.farmer)} {fault.trouble.value} ({fault.reason})" for fault in faults)
    told = list(found)[:TOLD]
    more = [f"{len(found) - TOLD} more like these"] if len(found) > TOLD else []
    return f"; {'; '.join(told + more)}" if told else ""
