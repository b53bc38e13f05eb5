"""Funding: from "thirty days" to one transaction that opens or tops up the channels to many farmers.

A plan is made first and shows total, gas and storage cost. Channels are written down as expected before
anything is sent, so that the watcher knows them however their funding reaches the chain: by our outbox, or
by a cold wallet that is given the calls.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from node.db import Connection
from node.db.renter_purses import Purse, load_purse, save_purse
from node.db.renter_shards import shard_lengths
from node.renter.context import Context
from node.renter.errors import AboveLimit, NoQuote, NothingToDo, TokensMissing
from node.renter.exits import Exits
from node.renter.faults import to_fault
from node.renter.money import Account, list_accounts
from node.renter.peers import Peers
from node.renter.placement import choose_shape
from node.renter.reports import Fault, FundingPlan, FundingRow, SentReport
from node.renter.targets import (
    Open,
    Wish,
    batches,
    new_life,
    new_period,
    shares,
    storage_cost,
    storage_target,
)
from payments.channel import Status
from payments.funding import Funding as Order
from payments.funding import Permit, sign_permit
from payments.types import Amount, NodeId, Seconds
from payments.vouchers import Terms, channel_id, channel_salt
from settlement.calls import Call
from settlement.chain_events import row as pack_row
from settlement.client import Chain
from settlement.errors import Reverted
from settlement.tables import record_channel
from settlement.transactions import RemoteKey

OPEN_GAS: Final = 25_000
"""Gas a channel takes in a fund call that cannot be simulated yet, for want of an allowance."""
CALL_GAS: Final = 70_000
PERMIT_SECONDS: Final = 24 * 3600
"""How long a permit holds: its transaction may have to wait for cheaper gas."""
_OVER: Final = (Status.CLOSING, Status.CLOSED)


class Funding:
    """Plans deposits and pays them in."""

    def __init__(self, context: Context, peers: Peers, exits: Exits) -> None:
        self._context = context
        self._peers = peers
        self._exits = exits

    async def plan(
        self,
        farmers: Iterable[NodeId] | None = None,
        *,
        seconds: Seconds | None = None,
        stored_bytes: int | None = None,
        amount: Amount | None = None,
    ) -> FundingPlan:
        """Plan to raise the deposits for these farmers, or all known ones.

        Either to an `amount` of base units each, or to what storing `stored_bytes` of files over all of them
        for `seconds` takes, by their current quotes, with one read of everything; without `stored_bytes`:
        what each stores for us now. At least each farmer's minimum. Who asks more than we agree to is left
        out, and told in the plan.

        Raises NothingToDo, AboveLimit (none is left), NoQuote (a farmer does not answer), TokensMissing,
        UnknownPeer, ChainError.
        """
        nodes = [peer.node for peer in self._peers.list()] if farmers is None else list(farmers)
        if not nodes:
            raise NothingToDo("fund", "no farmer is known, add some (tithe peers add)")
        await self._exits.finish()
        await self._exits.channels.refresh()
        wishes, faults = self._bearable(await self._wishes(nodes))
        lengths = self._lengths(nodes, stored_bytes)
        rows = self._rows(wishes, lengths, seconds or Seconds(0), amount)
        plan = await self.plan_rows(rows, seconds or Seconds(0))
        return replace(plan, stored_bytes=stored_bytes or 0, faults=faults)

    async def plan_rows(self, rows: Sequence[FundingRow], seconds: Seconds) -> FundingPlan:
        """Plan to fund these channels, which shall last for `seconds`; all are of our payer and our token.

        Raises NothingToDo, TokensMissing, ChainError.
        """
        if not rows:
            raise NothingToDo("fund", "these channels hold enough already")
        total = Amount(sum(row.added for row in rows))
        calls, gas = await self._calls(rows, total)
        fees = await self._context.chain.rpc.fees()
        return FundingPlan(
            rows=tuple(rows),
            calls=tuple(calls),
            total=total,
            gas=gas,
            gas_cost=gas * fees.now,
            storage_cost=Amount(sum(row.storage_cost for row in rows)),
            seconds=seconds,
            stored_bytes=0,
        )

    async def fund(self, plan: FundingPlan, purpose: str = "fund") -> SentReport:
        """Carry a plan out and wait until the deposits are confirmed. Raises PayerMissing, ChainError."""
        await self._expect(plan)
        return await self._exits.send_calls(purpose, plan.calls)

    async def fund_unsigned(self, plan: FundingPlan) -> tuple[Call, ...]:
        """Return the calls for the payer's own wallet; the watcher picks up what becomes of them."""
        await self._expect(plan)
        return plan.calls

    async def _wishes(self, nodes: list[NodeId]) -> list[Wish]:
        """Ask for fresh quotes and look up which channels exist."""
        context = self._context
        reports = await self._peers.quotes(nodes)
        payees = {peer.node: peer.payee for peer in self._peers.list()}
        wishes = []
        for report in reports:
            if report.quote is None:
                raise NoQuote(report.farmer, report.fault.reason if report.fault else "it sent none")
            accounts = context.database.read(partial(list_accounts, farmer=report.farmer))
            used = [account for account in accounts if self.fundable(account)]
            free_life = max((account.purse.life + 1 for account in accounts), default=0)
            payee = payees[report.farmer]
            wishes.append(Wish(report.farmer, payee, report.quote, _open(used), free_life))
        return wishes

    def _bearable(self, wishes: Iterable[Wish]) -> tuple[list[Wish], tuple[Fault, ...]]:
        """Leave out whom we would sign nothing for, or who would lock our money for too long."""
        limits, kept, errors = self._context.limits, list[Wish](), list[AboveLimit]()
        for wish in wishes:
            try:
                limits.check_quote(wish.quote)
                limits.check_period(wish.quote)
            except AboveLimit as error:
                errors.append(error)
            else:
                kept.append(wish)
        if errors and not kept:
            raise errors[0]
        return kept, tuple(to_fault(NodeId(error.farmer), error) for error in errors)

    def fundable(self, account: Account) -> bool:
        """Whether this channel is to hold more: a call of our payer reaches its own channels only."""
        channel, context = account.channel, self._context
        bearable = channel.terms.challenge_period <= context.limits.challenge_period
        return channel.status not in _OVER and channel.terms.payer == context.keys.payer and bearable

    def _lengths(self, nodes: list[NodeId], stored_bytes: int | None) -> Mapping[NodeId, tuple[int, ...]]:
        if stored_bytes is None:
            stored = self._context.database.read(shard_lengths)
            return {node: stored.get(node, ()) for node in nodes}
        each = shares(stored_bytes, len(nodes), choose_shape(len(nodes)))
        return dict.fromkeys(nodes, each)

    def _rows(
        self,
        wishes: list[Wish],
        lengths: Mapping[NodeId, tuple[int, ...]],
        seconds: Seconds,
        amount: Amount | None,
    ) -> list[FundingRow]:
        life = new_life(wishes)
        rows = []
        for wish in wishes:
            mine = lengths[wish.farmer]
            terms = wish.open.terms if wish.open else self._new_terms(wish, life)
            row = FundingRow(
                farmer=wish.farmer,
                channel=channel_id(self._context.domain, terms),
                terms=terms,
                life=wish.open.life if wish.open else life,
                deposit=wish.open.deposit if wish.open else Amount(0),
                target=storage_target(wish, mine, seconds) if amount is None else amount,
                storage_cost=storage_cost(wish.quote, mine, seconds),
            )
            if row.added:
                rows.append(row)
        return rows

    def _new_terms(self, wish: Wish, life: int) -> Terms:
        keys, deployment = self._context.keys, self._context.chain.deployment
        return Terms(
            payer=keys.payer,
            signer=keys.signer.address,
            payee=wish.payee,
            token=deployment.token,
            challenge_period=new_period(wish.quote, deployment.challenge_period, self._context.limits),
            salt=channel_salt(deployment.genesis_hash, life),
        )

    async def _calls(self, rows: Sequence[FundingRow], total: Amount) -> tuple[list[Call], int]:
        """Return the calls in order, with the allowance they need before or in them, and the gas of all."""
        chain, payer = self._context.chain, self._context.keys.payer
        token, parts = rows[0].terms.token, batches(rows)
        balance = await chain.token_balance(payer, token)
        if balance < total:
            raise TokensMissing(payer, total, balance)
        calls = [_fund(chain, part) for part in parts]
        if await chain.allowance(payer, token) >= total:
            return calls, sum([await chain.simulate(call, payer) for call in calls])
        permitted = await self._permit(parts[0], total)
        if permitted is not None:
            first, gas = permitted
            return [first, *calls[1:]], gas + _guess(parts[1:])
        approval = chain.calls.approve(total, token)
        return [approval, *calls], await chain.simulate(approval, payer) + _guess(parts)

    async def _permit(self, part: Sequence[FundingRow], total: Amount) -> tuple[Call, int] | None:
        """Fund these with a permit over the whole total; None where key or token do not allow it."""
        chain, key = self._context.chain, self._context.keys.payer_key
        terms = part[0].terms
        if key is None:
            return None
        state = await chain.permit_state(key.address, terms.token)
        remote = isinstance(key, RemoteKey)
        if state is None or (remote and state.domain is None):  # its owner could not read what is signed
            return None
        head = await chain.head()
        spender, deadline = chain.deployment.contract, head.timestamp + PERMIT_SECONDS
        permit = Permit(key.address, spender, total, state.nonce, deadline)
        packed = tuple(pack_row(row.terms.payee, row.target) for row in part)
        order = Order(key.address, terms.signer, terms.token, terms.challenge_period, terms.salt, packed)
        sign = partial(sign_permit, state.separator, permit, key, state.domain)
        call = chain.calls.fund_with_permit(
            order, permit, await asyncio.to_thread(sign) if remote else sign()
        )
        try:
            return call, await chain.simulate(call, key.address)
        except Reverted:  # permits of another kind, such as DAI's
            return None

    async def _expect(self, plan: FundingPlan) -> None:
        """Write the channels down before anybody funds them."""
        domain = self._context.domain

        def work(conn: Connection) -> None:
            for row in plan.rows:
                channel = record_channel(conn, domain, row.terms)
                if load_purse(conn, channel.id) is None:
                    save_purse(conn, Purse(channel.id, row.farmer, row.life))

        await self._context.database.write(work)


def _fund(chain: Chain, part: Sequence[FundingRow]) -> Call:
    terms = part[0].terms
    targets = [(row.terms.payee, row.target) for row in part]
    return chain.calls.fund(terms.signer, terms.challenge_period, terms.salt, targets, terms.token)


def _guess(parts: Sequence[Sequence[FundingRow]]) -> int:
    """Bound the gas of calls that cannot be simulated before another one is mined."""
    return sum(CALL_GAS + OPEN_GAS * len(part) for part in parts)


def _open(accounts: list[Account]) -> Open | None:
    """Return the youngest of these channels as one to be topped up."""
    if not accounts:
        return None
    channel, purse = accounts[-1].channel, accounts[-1].purse
    return Open(channel.terms, purse.life, channel.deposit, channel.promised)
