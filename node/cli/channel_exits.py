"""`tithe channel push, close, withdraw`: the ways money leaves a channel by the payer's transactions."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.amounts import coins, counted, duration, moment
from node.cli.errors import NotDone, Unusable
from node.cli.faults import tell_fault
from node.cli.identifiers import find_ids
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile, WalletName, Yes
from node.cli.output import amount, confirm, note, print_json, safe, say, short, show_facts, waiting, warn
from node.cli.passwords import Passwords
from node.cli.payer import ColdPayer, Unsigned, gas_shown, payer_access, show_calls
from node.cli.renter import Access, Opened, with_renter

if TYPE_CHECKING:
    from node.renter.reports import ChannelInfo, ExitPlan, SentReport
    from payments.types import ChannelId
    from settlement.client import TokenInfo

group = typer.Typer()

POLL_SECONDS = 1.0
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[CHANNEL]...", help="Ids, or their beginnings. All that fit if none is named."),
]
Plan = Callable[[Sequence["ChannelId"]], Awaitable["ExitPlan"]]


@group.command()
def push(
    channels: Names = None,
    wallet: WalletName = None,
    payer: ColdPayer = None,
    unsigned: Unsigned = False,
    chain: ChainName = None,
    yes: Yes = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Pay farmers on the chain what they earned, at your expense of gas.

    They need not claim it then. One transaction pays many.

    For example:

        tithe channel push
    """
    access = payer_access(Passwords(password_file, password_fd), wallet, payer, unsigned=unsigned)

    async def work(opened: Opened) -> None:
        chosen = await _choose(opened, access, channels, lambda info: bool(info.channel.unclaimed))
        plan = await opened.renter.exits.plan_push(_ids(chosen))
        sent = await _carry_out(
            opened,
            plan,
            f"Pay {coins(plan.amount, opened.token)} to {counted(len(plan.channels), 'farmer')}?",
            yes=yes,
            unsigned=unsigned,
            as_json=as_json,
        )
        tell_sent(opened.token, plan, sent, "Paid", as_json=as_json)

    with_renter(chain, access, work)


@group.command()
def close(
    channels: Names = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until the challenge period is over, and withdraw.")
    ] = False,
    wallet: WalletName = None,
    payer: ColdPayer = None,
    unsigned: Unsigned = False,
    chain: ChainName = None,
    yes: Yes = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Begin to take back what farmers have not earned.

    First they are sent vouchers for all they earned. Then they have the
    challenge period to claim it; the rest is yours by tithe channel withdraw, or
    at once with --wait. Farmers keep nothing for a channel that is closing.

    For example:

        tithe channel close --wait
        tithe channel close 0x1f3a
    """
    if wait and unsigned:
        raise Unusable("--wait sends a withdrawal, which --unsigned cannot")
    access = payer_access(Passwords(password_file, password_fd), wallet, payer, unsigned=unsigned, signs=True)

    async def work(opened: Opened) -> None:
        chosen = await _choose(opened, access, channels, _open)
        await _pay(opened, chosen, as_json=as_json)
        plan = await opened.renter.exits.plan_close(_ids(chosen))
        question = (
            f"Close {counted(len(plan.channels), 'channel')}, to get {coins(plan.amount, opened.token)} back?"
        )
        sent = await _carry_out(opened, plan, question, yes=yes, unsigned=unsigned, as_json=as_json)
        if not wait:
            tell_sent(opened.token, plan, sent, "Closing; it will free", as_json=as_json)
            if sent and not as_json:
                note("When the challenge period is over: tithe channel withdraw (see tithe channel list)")
            return
        skipped = {row.channel_id for row in sent.skipped} if sent else set()
        closing = [channel for channel in plan.channels if channel not in skipped]
        if closing:
            await _await_opening(opened, closing, as_json=as_json)
            last = await opened.renter.exits.plan_withdraw(closing)
            with waiting("Withdrawing", quiet=as_json):
                taken = await opened.renter.exits.send(last)
            tell_sent(opened.token, last, taken, "Withdrew", as_json=as_json)
        _complain_of_skipped(plan, sent)

    with_renter(chain, access, work)


@group.command()
def withdraw(
    channels: Names = None,
    wallet: WalletName = None,
    payer: ColdPayer = None,
    unsigned: Unsigned = False,
    chain: ChainName = None,
    yes: Yes = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Take back what is left, after the challenge period.

    For example:

        tithe channel withdraw
    """
    access = payer_access(Passwords(password_file, password_fd), wallet, payer, unsigned=unsigned)

    async def work(opened: Opened) -> None:
        chosen = await _choose(opened, access, channels, _closing)
        if not channels:
            chosen = await _open_for_withdrawal(opened, chosen)
        plan = await opened.renter.exits.plan_withdraw(_ids(chosen))
        question = (
            f"Withdraw {coins(plan.amount, opened.token)} from {counted(len(plan.channels), 'channel')}?"
        )
        sent = await _carry_out(opened, plan, question, yes=yes, unsigned=unsigned, as_json=as_json)
        tell_sent(opened.token, plan, sent, "Withdrew", as_json=as_json)

    with_renter(chain, access, work)


async def _choose(
    opened: Opened, access: Access, texts: list[str] | None, fits: "Callable[[ChannelInfo], bool]"
) -> "list[ChannelInfo]":
    """Find the named channels, or all of this payer that fit. Raises Unusable for those of another payer."""
    await opened.renter.channels.refresh()
    infos = {info.channel.id: info for info in opened.renter.channels.list()}
    if not texts:
        return [info for info in infos.values() if info.channel.terms.payer == access.payer and fits(info)]
    chosen = [infos[name] for name in find_ids("channel", texts, list(infos))]
    for info in chosen:
        if info.channel.terms.payer != access.payer:
            payer = "0x" + info.channel.terms.payer.hex()
            raise Unusable(
                f"channel {short(info.channel.id)} was funded by {payer}: name that --wallet or --payer"
            )
    return chosen


def _open(info: "ChannelInfo") -> bool:
    return info.channel.status.name == "FUNDED"


def _closing(info: "ChannelInfo") -> bool:
    return info.channel.status.name == "CLOSING"


async def _open_for_withdrawal(opened: Opened, closing: "list[ChannelInfo]") -> "list[ChannelInfo]":
    """Keep those whose time has come. Raises NotDone naming the next one otherwise."""
    if not closing:
        raise NotDone("no channel is closing: tithe channel close begins it")
    now = (await opened.chain.head()).timestamp
    times = [info.withdrawal_opens or 0 for info in closing]
    ready = [info for info, opens in zip(closing, times, strict=True) if opens <= now]
    if not ready:
        left = min(times) - now
        first = f"the first of {counted(len(closing), 'channel')} opens in {duration(left)}"
        raise NotDone(f"nothing can be withdrawn yet: {first}")
    return ready


async def _pay(opened: Opened, chosen: "list[ChannelInfo]", *, as_json: bool) -> None:
    """Send every farmer the voucher for all it earned, as far as it can be reached."""
    with waiting("Paying what was earned", quiet=as_json):
        results = await opened.renter.payments.pay_outstanding(channels=_ids(chosen))
    for result in results:
        if result.fault is not None:
            told = safe(tell_fault(result.fault, opened.token))
            warn(f"{short(result.farmer)} did not get its last voucher, it {told}")


async def _carry_out(
    opened: Opened, plan: "ExitPlan", question: str, *, yes: bool, unsigned: bool, as_json: bool
) -> "SentReport | None":
    """Show, ask, send; or print the calls."""
    if unsigned:
        show_calls(plan.calls, opened, as_json=as_json)
        return None
    if not as_json:
        show_facts([("gas", gas_shown(plan.gas, plan.gas_cost))])
    confirm(question, yes=yes)
    with waiting("Sending; waiting for the chain", quiet=as_json):
        return await opened.renter.exits.send(plan)


async def _await_opening(opened: Opened, channels: "Sequence[ChannelId]", *, as_json: bool) -> None:
    """Wait until the last of these channels can be withdrawn, by the chain's clock."""
    times = [await opened.renter.channels.withdrawal_opens(channel) for channel in channels]
    opens = max((at for at in times if at is not None), default=0)
    began = time.monotonic()
    with waiting("The challenge period runs", quiet=as_json) as tell:
        while (now := (await opened.chain.head()).timestamp) < opens:
            tell(f"The challenge period runs: {duration(opens - now)} left, until {moment(opens)}")
            await asyncio.sleep(min(POLL_SECONDS, max(0.1, time.monotonic() - began)))


def _ids(infos: "Sequence[ChannelInfo]") -> "list[ChannelId]":
    return [info.channel.id for info in infos]


def tell_sent(
    token: "TokenInfo", plan: "ExitPlan", sent: "SentReport | None", what: str, *, as_json: bool
) -> None:
    """Say what came of it. Raises NotDone where the contract skipped a channel."""
    if sent is None:
        return
    if as_json:
        print_json(
            {
                "purpose": plan.purpose,
                "channels": plan.channels,
                "skipped": {"0x" + row.channel_id.hex(): row.reason.name for row in sent.skipped},
                "amount": amount(plan.amount),
                "token": token,
                "gas": sent.gas,
                "transactions": [receipt.transaction for receipt in sent.receipts],
            }
        )
    elif not sent.skipped:
        how = f"{counted(len(plan.channels), 'channel')}, {sent.gas:,} gas"
        say(f"{what} {coins(plan.amount, token)} ({how}).")
    _complain_of_skipped(plan, sent)


def _complain_of_skipped(plan: "ExitPlan", sent: "SentReport | None") -> None:
    """Raise NotDone naming the channels that the contract skipped, and why, if there are any."""
    if sent is None or not sent.skipped:
        return
    rows = ", ".join(
        f"{short(row.channel_id)} ({row.reason.name.lower().replace('_', ' ')})" for row in sent.skipped
    )
    done = len(plan.channels) - len(sent.skipped)
    raise NotDone(
        f"the contract skipped {counted(len(sent.skipped), 'channel')}: {rows}; "
        f"{plan.purpose} was done for {done} of {len(plan.channels)}"
    )
