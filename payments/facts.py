"""What a channel learns and what it asks for: events are facts in the past tense, effects are imperative.

Every event carries totals, never deltas, so that seeing it twice cannot matter. Both are plain frozen values;
the rules that connect them are in `payments.channel`, which gives all these names again.
"""

from dataclasses import dataclass

from payments.types import Amount, ChannelId, Timestamp


@dataclass(frozen=True, slots=True)
class Funded:
    """The chain holds this total deposit, at confirmation depth."""

    deposit: Amount


@dataclass(frozen=True, slots=True)
class VoucherSigned:
    """The signer is about to hand out a voucher of this total (conditional or not)."""

    total: Amount


@dataclass(frozen=True, slots=True)
class VoucherAccepted:
    """The payee holds a good voucher of this total: without condition, or with its proof."""

    total: Amount


@dataclass(frozen=True, slots=True)
class VoucherReturned:
    """The peer showed a voucher of this total that our side knew and has forgotten (restored node)."""

    total: Amount


@dataclass(frozen=True, slots=True)
class Claimed:
    """The chain has paid the payee this total, by claims or pushes, at confirmation depth."""

    total: Amount


@dataclass(frozen=True, slots=True)
class CloseRequested:
    """The payer asked to close; believed at first sight. `closes_at` 0 (an open channel's) says nothing."""

    closes_at: Timestamp


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The payer took the rest after the challenge period, or after a release."""


@dataclass(frozen=True, slots=True)
class Reorganised:
    """A block that told us something about this channel is no longer on the chain."""


@dataclass(frozen=True, slots=True)
class Reread:
    """What the contract says now; replaces all the chain had told. Ignored unless the channel is frozen."""

    deposit: Amount
    claimed: Amount
    closes_at: Timestamp


Event = (
    Funded
    | VoucherSigned
    | VoucherAccepted
    | VoucherReturned
    | Claimed
    | CloseRequested
    | Withdrawn
    | Reorganised
    | Reread
)


@dataclass(frozen=True, slots=True)
class StopAccepting:
    """Sign and accept no more vouchers of this channel."""

    channel_id: ChannelId


@dataclass(frozen=True, slots=True)
class ResumeAccepting:
    """The chain has been read again: the channel serves as before."""

    channel_id: ChannelId


@dataclass(frozen=True, slots=True)
class ClaimNow:
    """Payee: claim up to `total` whatever it costs, mined before chain time `before`. For the payee only."""

    channel_id: ChannelId
    total: Amount
    before: Timestamp


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """Read the channel from the contract, apply a `Reread`; again at every new block while it is frozen."""

    channel_id: ChannelId


Effect = StopAccepting | ResumeAccepting | ClaimNow | ReadAgain
