"""What a farmer's owner may ask of the running node, as messages: its status, to claim, to look at its disk.

The owner is whoever holds the farmer's own node key: its requests are signed by the node to itself.
"""

from node.aside import Sum
from node.farmer import status, trash
from node.farmer.holdings import Holdings
from node.farmer.scanner import Scan
from node.fields import AmountText, Bytes20, Bytes32, Uint64, Uint256
from node.messages import AUDIT_LIMIT, Message, Mirror
from payments.policy import ClaimReason
from settlement.claims import Outcome


class ChannelStatusMessage(Mirror[status.ChannelStatus]):
    """One channel."""

    mirrored = status.ChannelStatus
    channel_id: Bytes32
    renter: Bytes32
    deposit: AmountText
    paid: AmountText
    proven: AmountText
    claimable: AmountText
    claimed: AmountText
    closes_at: Uint64 | None
    serving: bool
    claim: bool
    with_proof: bool
    reason: ClaimReason
    when: Uint64 | None
    why: str


class RenterStatusMessage(Mirror[status.RenterStatus]):
    """One renter."""

    mirrored = status.RenterStatus
    renter: Bytes32
    shards: Uint64
    stored_bytes: Uint64
    owed: AmountText
    over_since: Uint64 | None


class GasStatusMessage(Mirror[status.GasStatus]):
    """The gas key; wei as JSON numbers of any size."""

    mirrored = status.GasStatus
    address: Bytes20
    balance: Uint256
    price: Uint256 | None
    claims: Uint256 | None


class SumMessage(Mirror[Sum]):
    """Some shards and their bytes."""

    mirrored = Sum
    shards: Uint64
    bytes: Uint64


class ScanMessage(Mirror[Scan]):
    """The search for damage."""

    mirrored = Scan
    began: Uint64
    folder: Uint64
    last: str
    shards: Uint64
    bytes: Uint64
    damaged: Uint64
    before: Uint64
    ended: Uint64
    found: Uint64


class HoldingsMessage(Mirror[Holdings]):
    """The state of the disk."""

    mirrored = Holdings
    away: str | None
    trash: SumMessage
    quarantine: SumMessage
    lost: Uint64
    lost_lately: Uint64
    scan: ScanMessage


class StatusMessage(Mirror[status.FarmerStatus]):
    """GET /v1/owner/status."""

    limit = 64 * AUDIT_LIMIT
    mirrored = status.FarmerStatus
    payee: Bytes20
    shards: Uint64
    stored_bytes: Uint64
    reserved_bytes: Uint64
    capacity: Uint64
    earned: AmountText
    claimable: AmountText
    claimed: AmountText
    audits_passed: Uint64
    audits_failed: Uint64
    channels: tuple[ChannelStatusMessage, ...]
    renters: tuple[RenterStatusMessage, ...]
    gas: GasStatusMessage | None
    trouble: tuple[str, ...]
    holdings: HoldingsMessage


class ClaimedMessage(Message):
    """What became of one channel's claim: the total paid out, or the contract's reason."""

    channel_id: Bytes32
    claimed: AmountText | None
    reason: str
    transaction: Bytes32 | None

    @classmethod
    def of(cls, outcome: Outcome) -> "ClaimedMessage":
        """Put an outcome into words."""
        return cls(
            channel_id=outcome.channel_id,
            claimed=outcome.claimed,
            reason=outcome.reason.name,
            transaction=outcome.transaction,
        )


class ClaimAll(Message):
    """POST /v1/owner/claim: claim what is due, or everything."""

    everything: bool


class ClaimReport(Message):
    """What became of the claims; `trouble` says why some could not be made."""

    limit = 64 * AUDIT_LIMIT
    claims: tuple[ClaimedMessage, ...]
    trouble: tuple[str, ...]


class ScanOn(Message):
    """POST /v1/owner/scan: read shards as fast as the disk allows, for a moment.

    began: the pass that is meant; 0: the one that runs, or a new one.
    """

    began: Uint64


class RestoreTrash(Message):
    """POST /v1/owner/trash: take these shards, a batch at most, back into business."""

    shards: tuple[Bytes32, ...]


class TakenBackMessage(Mirror[trash.TakenBack]):
    """What became of one of them."""

    mirrored = trash.TakenBack
    shard: Bytes32
    refusal: trash.Refusal | None


class RestoreReport(Message):
    """What became of all of them."""

    shards: tuple[TakenBackMessage, ...]
