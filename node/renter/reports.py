"""What a renter's actions came to, as data: the CLI and the demo print it, `rent run` logs it.

Amounts are base units, times unix seconds, ids bytes. Nothing here is stored.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from node.audit import Outcome
from node.renter.health import Condition, SegmentHealth, Standing
from payments.channel import Channel
from payments.prices import Quote
from payments.types import Amount, ChannelId, NodeId, Seconds, Timestamp
from payments.vouchers import Terms
from settlement.calls import Call
from settlement.chain_events import RowSkipped
from settlement.rpc import Receipt

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in total); a total of 0 means that it is not known."""


def no_progress(done: int, total: int) -> None:
    """Show nothing."""


class Trouble(Enum):
    """What kind of trouble there was with a farmer."""

    OFFLINE = "could not be reached"
    TIMED_OUT = "answered too slowly"
    REFUSED = "refused"
    BROKE_RULES = "broke the rules"
    WRONG_DATA = "sent bytes that are not the shard"
    NO_MONEY = "its channel does not hold enough"
    ABOVE_LIMIT = "asks more than you allow"
    NOT_ASKED = "could not be asked"


@dataclass(frozen=True, slots=True)
class Fault:
    """One trouble with one farmer. `reason` is a sentence; `code` the farmer's own error code, if any."""

    farmer: NodeId
    trouble: Trouble
    reason: str
    code: str | None = None


# Peers


@dataclass(frozen=True, slots=True)
class QuoteReport:
    """A farmer's current quote, or why there is none."""

    farmer: NodeId
    quote: Quote | None
    fault: Fault | None


# Channels


@dataclass(frozen=True, slots=True)
class FundingRow:
    """One farmer of a funding plan: its channel, the deposit it has (0: not open) and its target."""

    farmer: NodeId
    channel: ChannelId
    terms: Terms
    life: int
    deposit: Amount
    target: Amount
    storage_cost: Amount

    @property
    def added(self) -> Amount:
        """Tokens that this row moves."""
        return Amount(max(0, self.target - self.deposit))


@dataclass(frozen=True, slots=True)
class FundingPlan:
    """Channels to open or top up, and what it costs.

    `calls` are to be sent in order (where the allowance does not suffice the first carries a permit, or is
    an approval). `gas` is an estimate for all of them; `gas_cost` the same in wei at today's price.
    `storage_cost` is what storing `stored_bytes` for `seconds` costs by the farmers' quotes (0 where explicit
    amounts were given). `faults`: farmers that are left out, since they ask more than we agree to.
    """

    rows: tuple[FundingRow, ...]
    calls: tuple[Call, ...]
    total: Amount
    gas: int
    gas_cost: int
    storage_cost: Amount
    seconds: Seconds
    stored_bytes: int
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class ExitPlan:
    """Calls that push, close or withdraw; `amount` are the tokens that they move (a close: that it frees)."""

    purpose: str
    channels: tuple[ChannelId, ...]
    calls: tuple[Call, ...]
    amount: Amount
    gas: int
    gas_cost: int


@dataclass(frozen=True, slots=True)
class SentReport:
    """Transactions that were sent and mined, in order, and the rows of theirs that the contract skipped."""

    receipts: tuple[Receipt, ...]
    skipped: tuple[RowSkipped, ...] = ()

    @property
    def gas(self) -> int:
        """Gas that all of them used."""
        return sum(receipt.gas_used for receipt in self.receipts)


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """A channel as the renter sees it; `farmer` and `life` are None where its payee is no known farmer's.

    `paid` is the total of the newest unconditional voucher. `withdrawal_opens` is the chain time from
    which the rest can be taken: set once a close was requested.
    """

    channel: Channel
    farmer: NodeId | None
    life: int | None
    paid: Amount
    withdrawal_opens: Timestamp | None


# Files


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A stored file. `ends_at`: when its first agreement ends; `safe_until`: see node.renter.safety.

    condition: how its worst segment stands. kept_until: until when its agreements are to be renewed; None:
    until it is removed.
    """

    name: str
    size: int
    sha256: bytes
    k: int
    n: int
    segments: int
    created_at: Timestamp
    ends_at: Timestamp
    safe_until: Timestamp
    condition: Condition
    kept_until: Timestamp | None


@dataclass(frozen=True, slots=True)
class PutReport:
    """A finished put. `faults` are the farmers that were replaced on the way, and why.

    resumed: segments that were stored already by a put of the same file that was killed.
    """

    file: FileInfo
    farmers: tuple[NodeId, ...]
    faults: tuple[Fault, ...]
    price_per_month: Amount
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class GetReport:
    """A finished get of `length` bytes from `offset`; all of a file: its sha256 was checked.

    `faults` are farmers that were passed over, and why.
    """

    file: FileInfo
    offset: int
    length: int
    faults: tuple[Fault, ...]
    paid: Amount


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """One shard of a file, and how it stands. `outcome`: its last decided audit's, None before the first.

    unanswered_since: when the audit was opened that its farmer has not answered yet, if there is one.
    """

    segment: int
    index: int
    farmer: NodeId
    agreement: bytes
    standing: Standing
    outcome: Outcome | None
    checked_at: Timestamp | None
    unanswered_since: Timestamp | None
    ends_at: Timestamp


@dataclass(frozen=True, slots=True)
class FileHealth:
    """A file, its shards, and how each of its segments stands."""

    file: FileInfo
    shards: tuple[ShardInfo, ...]
    segments: tuple[SegmentHealth, ...]

    @property
    def healthy(self) -> tuple[int, ...]:
        """How many shards of each segment count."""
        return tuple(segment.healthy for segment in self.segments)


@dataclass(frozen=True, slots=True)
class RemoveReport:
    """A removed file. `pending` farmers have not confirmed the deletion yet; `rent run` tells them later."""

    name: str
    deleted: int
    pending: tuple[Fault, ...]


# Audits and payments


@dataclass(frozen=True, slots=True)
class AuditResult:
    """One shard's audit. `earned` is what the farmer gained; `decided` is False while the window is open."""

    farmer: NodeId
    agreement: bytes
    file: str
    segment: int
    index: int
    outcome: Outcome
    decided: bool
    earned: Amount
    reason: str


@dataclass(frozen=True, slots=True)
class PaymentResult:
    """An unconditional voucher: its total, what it added to the one before, and whether the farmer has it."""

    farmer: NodeId
    channel: ChannelId
    total: Amount
    added: Amount
    delivered: bool
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What a number of audits came to, and the vouchers that were sent afterwards."""

    results: tuple[AuditResult, ...]
    faults: tuple[Fault, ...] = ()
    payments: tuple[PaymentResult, ...] = ()

    def count(self, outcome: Outcome) -> int:
        """Count the results with this outcome."""
        return sum(result.outcome is outcome for result in self.results)
