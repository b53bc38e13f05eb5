"""The channel as a pure machine, the same on both sides: `apply(channel, event) -> (channel, effects)`.

Events are facts that carry totals. A fact seen twice or late changes nothing, so any order of delivery ends
in the same state, with one exception on purpose: `Funded` after `CloseRequested` is ignored, as on chain.
Effects are requests to the shell. An illegal step raises and changes nothing. One life: opened, funded,
perhaps topped up, closing, closed; new business takes the next salt.

Always claimed <= earned <= promised <= confirmed deposit. Only a frozen channel (the chain is being read
again after a reorganisation) may hold less than promised, and then it signs and accepts nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from payments.eip712 import Domain
from payments.errors import (
    AboveDeposit,
    ChannelClosing,
    ChannelFrozen,
    ImpossibleChannel,
)
from payments.facts import (
    Claimed,
    ClaimNow,
    CloseRequested,
    Effect,
    Event,
    Funded,
    ReadAgain,
    Reorganised,
    Reread,
    ResumeAccepting,
    StopAccepting,
    VoucherAccepted,
    VoucherReturned,
    VoucherSigned,
    Withdrawn,
)
from payments.types import Amount, ChannelId, Timestamp, to_amount, to_uint
from payments.vouchers import Terms, channel_id

__all__ = [
    "TRANSITIONS",
    "Channel",
    "ClaimNow",
    "Claimed",
    "CloseRequested",
    "Effect",
    "Event",
    "Funded",
    "ReadAgain",
    "Reorganised",
    "Reread",
    "ResumeAccepting",
    "Status",
    "StopAccepting",
    "Transition",
    "VoucherAccepted",
    "VoucherReturned",
    "VoucherSigned",
    "Withdrawn",
    "apply",
    "diagram",
    "open_channel",
]

_NOTHING: Final = Amount(0)
_NEVER: Final = Timestamp(0)


class Status(Enum):
    """Where a channel stands in its one life."""

    OPENED = "opened"
    """Its terms are known, no deposit is confirmed yet."""
    FUNDED = "funded"
    """It holds a confirmed deposit: vouchers are signed and accepted."""
    CLOSING = "closing"
    """The payer asked to close: claims count until the withdrawal, no new promises."""
    CLOSED = "closed"
    """Withdrawn: the id is spent."""
    FROZEN = "frozen"
    """A reorganisation touched it: the shell reads the chain again, at every new block until it thaws."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel as one side sees it. All amounts are totals since it was opened.

    deposit: confirmed on chain. claimed: paid out to the payee on chain. signed: the highest total ever
    signed. accepted: the highest total of a good voucher in the payee's hands. closes_at: chain time from
    which the payer may withdraw, 0 while nobody asked to close. A push may raise `claimed` above what was
    signed, and a reorganisation takes that back: so `promised` and `earned` are derived.
    """

    id: ChannelId
    terms: Terms
    deposit: Amount = _NOTHING
    claimed: Amount = _NOTHING
    signed: Amount = _NOTHING
    accepted: Amount = _NOTHING
    closes_at: Timestamp = _NEVER
    status: Status = Status.OPENED

    def __post_init__(self) -> None:
        covered = self.promised <= self.deposit or self.status is Status.FROZEN
        if not (covered and 0 <= self.accepted <= self.signed and self.claimed >= 0):
            raise ImpossibleChannel(self.claimed, self.accepted, self.signed, self.deposit)

    @property
    def promised(self) -> Amount:
        """The highest total ever signed or paid."""
        return max(self.signed, self.claimed)

    @property
    def earned(self) -> Amount:
        """The total the payee has a right to."""
        return max(self.accepted, self.claimed)

    @property
    def free(self) -> Amount:
        """How much more may be promised before a top-up is due."""
        return Amount(max(0, self.deposit - self.promised))

    @property
    def unclaimed(self) -> Amount:
        """Earned and not yet paid out on chain."""
        return Amount(self.earned - self.claimed)

    @property
    def serving(self) -> bool:
        """Whether new vouchers may be signed and accepted."""
        return self.status is Status.FUNDED


def open_channel(domain: Domain, terms: Terms) -> Channel:
    """Start the record of a channel; what the chain already knows about it follows as events."""
    return Channel(channel_id(domain, terms), terms)


def apply(channel: Channel, event: Event) -> tuple[Channel, tuple[Effect, ...]]:
    """Take one step: the channel after it (the same one if nothing is new) and what the shell shall do.

    Raises AboveDeposit, ChannelClosing or ChannelFrozen (a promise that may not be made), AmountOutOfRange
    or IntegerOutOfRange (no value of the contract), and then nothing has changed.
    """
    after = TRANSITIONS[channel.status, type(event)].rule(channel, event)
    return (channel, ()) if after is channel or after == channel else (after, _effects(channel, after))


def _effects(before: Channel, after: Channel) -> tuple[Effect, ...]:
    """Derive the requests from what changed: a fact without news can thus never ask for anything."""
    if before.status is after.status and not after.closes_at:
        return ()  # the path of nearly every voucher
    effects: list[Effect] = []
    stopped = (Status.CLOSING, Status.CLOSED, Status.FROZEN)
    if before.status not in stopped and after.status in stopped:
        effects.append(StopAccepting(after.id))
    if before.status in stopped and after.status not in stopped:
        effects.append(ResumeAccepting(after.id))
    if after.status is Status.FROZEN and before.status is not Status.FROZEN:
        effects.append(ReadAgain(after.id))
    news = before.closes_at != after.closes_at or before.unclaimed < after.unclaimed
    if news and after.closes_at and after.unclaimed and after.status is not Status.CLOSED:
        effects.append(ClaimNow(after.id, after.earned, after.closes_at))
    return tuple(effects)


def _fund(channel: Channel, event: Funded) -> Channel:
    if event.deposit <= channel.deposit:
        return channel
    status = Status.FUNDED if channel.status is Status.OPENED else channel.status
    return replace(channel, deposit=to_amount(event.deposit), status=status)


def _promise(channel: Channel, event: VoucherSigned | VoucherReturned) -> Channel:
    if event.total <= channel.signed:
        return channel
    if event.total > channel.deposit:
        raise AboveDeposit(event.total, channel.deposit)
    return replace(channel, signed=event.total)


def _earn(channel: Channel, event: VoucherAccepted) -> Channel:
    if event.total <= channel.accepted:
        return channel
    if event.total > channel.deposit:
        raise AboveDeposit(event.total, channel.deposit)
    return Channel(  # not by `replace`, which takes twice as long: every voucher passes here
        id=channel.id,
        terms=channel.terms,
        deposit=channel.deposit,
        claimed=channel.claimed,
        signed=max(channel.signed, event.total),
        accepted=event.total,
        closes_at=channel.closes_at,
        status=channel.status,
    )


def _promise_late(channel: Channel, event: VoucherSigned) -> Channel:
    _refuse_more(channel, event.total)
    return replace(channel, signed=max(channel.signed, event.total))


def _earn_late(channel: Channel, event: VoucherAccepted) -> Channel:
    _refuse_more(channel, event.total)
    accepted, signed = max(channel.accepted, event.total), max(channel.signed, event.total)
    return replace(channel, accepted=accepted, signed=signed)


def _refuse_more(channel: Channel, total: Amount) -> None:
    if total > channel.promised:
        refusal = ChannelFrozen if channel.status is Status.FROZEN else ChannelClosing
        raise refusal(channel.id, total, channel.promised)


def _claim(channel: Channel, event: Claimed) -> Channel:
    """The chain pays no more than a deposit: a total above ours (push, funding not seen yet) raises it."""
    if event.total <= channel.claimed:
        return channel
    total = to_amount(event.total)
    return replace(
        channel,
        claimed=total,
        deposit=Amount(max(channel.deposit, total)),
        status=Status.FUNDED if channel.status is Status.OPENED else channel.status,
    )


def _close(channel: Channel, event: CloseRequested) -> Channel:
    """Set the deadline; of two (the request moved to another block, a release) the earlier one."""
    if not event.closes_at:
        return channel
    closes_at = Timestamp(to_uint("closes_at", event.closes_at, 40))
    earliest = Timestamp(min(closes_at, channel.closes_at or closes_at))
    status = Status.CLOSING if channel.status in (Status.OPENED, Status.FUNDED) else channel.status
    return replace(channel, closes_at=earliest, status=status)


def _withdraw(channel: Channel, _event: Withdrawn) -> Channel:
    return replace(channel, status=Status.CLOSED)


def _freeze(channel: Channel, _event: Reorganised) -> Channel:
    return replace(channel, status=Status.FROZEN)


def _thaw(channel: Channel, event: Reread) -> Channel:
    """Believe the contract again. Less than promised keeps it frozen: signatures cannot be unsigned.

    After a withdrawal the contract shows claimed = deposit, the payer's rest included: our figure stays then.
    """
    spent = event.closes_at > 0 and event.claimed >= event.deposit > 0
    claimed = Amount(min(channel.claimed, event.deposit)) if spent else to_amount(event.claimed)
    if max(channel.signed, claimed) > event.deposit:
        status = Status.FROZEN
    elif event.closes_at:
        status = Status.CLOSED if spent else Status.CLOSING
    else:
        status = Status.FUNDED if event.deposit else Status.OPENED
    return replace(
        channel,
        deposit=to_amount(event.deposit),
        claimed=claimed,
        closes_at=Timestamp(to_uint("closes_at", event.closes_at, 40)),
        status=status,
    )


def _ignore(channel: Channel, _event: Event) -> Channel:
    return channel


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: the rule, and every status it may lead to when it changes anything."""

    rule: Callable[[Channel, Any], Channel]
    to: tuple[Status, ...]


def _rows() -> dict[tuple[Status, type[Event]], Transition]:
    opened, funded, closing, closed, frozen = Status
    return {
        (opened, Funded): Transition(_fund, (funded,)),
        (opened, VoucherSigned): Transition(_promise, ()),
        (opened, VoucherAccepted): Transition(_earn, ()),
        (opened, VoucherReturned): Transition(_promise, ()),
        (opened, Claimed): Transition(_claim, (funded,)),
        (opened, CloseRequested): Transition(_close, (closing,)),
        (opened, Withdrawn): Transition(_withdraw, (closed,)),
        (opened, Reorganised): Transition(_freeze, (frozen,)),
        (opened, Reread): Transition(_ignore, ()),
        (funded, Funded): Transition(_fund, (funded,)),
        (funded, VoucherSigned): Transition(_promise, (funded,)),
        (funded, VoucherAccepted): Transition(_earn, (funded,)),
        (funded, VoucherReturned): Transition(_promise, (funded,)),
        (funded, Claimed): Transition(_claim, (funded,)),
        (funded, CloseRequested): Transition(_close, (closing,)),
        (funded, Withdrawn): Transition(_withdraw, (closed,)),
        (funded, Reorganised): Transition(_freeze, (frozen,)),
        (funded, Reread): Transition(_ignore, ()),
        (closing, Funded): Transition(_ignore, ()),
        (closing, VoucherSigned): Transition(_promise_late, (closing,)),
        (closing, VoucherAccepted): Transition(_earn_late, (closing,)),
        (closing, VoucherReturned): Transition(_promise, (closing,)),
        (closing, Claimed): Transition(_claim, (closing,)),
        (closing, CloseRequested): Transition(_close, (closing,)),
        (closing, Withdrawn): Transition(_withdraw, (closed,)),
        (closing, Reorganised): Transition(_freeze, (frozen,)),
        (closing, Reread): Transition(_ignore, ()),
        (closed, Funded): Transition(_ignore, ()),
        (closed, VoucherSigned): Transition(_promise_late, (closed,)),
        (closed, VoucherAccepted): Transition(_earn_late, (closed,)),
        (closed, VoucherReturned): Transition(_promise, (closed,)),
        (closed, Claimed): Transition(_claim, (closed,)),
        (closed, CloseRequested): Transition(_close, (closed,)),
        (closed, Withdrawn): Transition(_ignore, ()),
        (closed, Reorganised): Transition(_freeze, (frozen,)),
        (closed, Reread): Transition(_ignore, ()),
        (frozen, Funded): Transition(_fund, (frozen,)),
        (frozen, VoucherSigned): Transition(_promise_late, (frozen,)),
        (frozen, VoucherAccepted): Transition(_earn_late, (frozen,)),
        (frozen, VoucherReturned): Transition(_promise, (frozen,)),
        (frozen, Claimed): Transition(_claim, (frozen,)),
        (frozen, CloseRequested): Transition(_close, (frozen,)),
        (frozen, Withdrawn): Transition(_ignore, ()),
        (frozen, Reorganised): Transition(_ignore, ()),
        (frozen, Reread): Transition(_thaw, (opened, funded, closing, closed, frozen)),
    }


TRANSITIONS: Final[Mapping[tuple[Status, type[Event]], Transition]] = _rows()
"""Total: facts arrive in any status. What is illegal is a promise that may not be made; its rule raises."""


def diagram() -> str:
    """Draw the table as a mermaid state diagram, ignored facts left out."""
    arrows: dict[tuple[Status, Status], list[str]] = {}
    for (status, event), step in TRANSITIONS.items():
        for target in step.to:
            arrows.setdefault((status, target), []).append(event.__name__)
    lines = [
        f"    {source.name} --> {target.name}: {', '.join(events)}"
        for (source, target), events in arrows.items()
    ]
    return "\n".join(["stateDiagram-v2", "    [*] --> OPENED", *lines, "    CLOSED --> [*]"]) + "\n"
