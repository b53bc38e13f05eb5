"""Suppliers: the farmers that could take a shard now, the best first."""

import os
from collections.abc import Collection

from node.db.renter_presence import load_scores
from node.errors import NodeError
from node.renter.accounts import Accounts
from node.renter.context import Context
from node.renter.crew import Supplier, in_order
from node.renter.faults import to_fault
from node.renter.peers import Peers
from node.renter.placement import Candidate, neighbourhoods, rank_farmers
from node.renter.reports import Fault, QuoteReport, Trouble
from node.tasks import all_of
from payments.errors import PaymentError
from payments.types import NodeId


class Suppliers:
    """Asks farmers for their quotes, and sees to it that each can be paid."""

    def __init__(self, context: Context, peers: Peers, accounts: Accounts) -> None:
        self._context = context
        self._peers = peers
        self._accounts = accounts

    async def find(self, holders: Collection[NodeId] = ()) -> tuple[list[Supplier], tuple[Fault, ...]]:
        """Find the farmers that answer and have a funded channel that they accept; what others lack.

        `holders` have a shard already: they get no other, and their neighbours come last.
        """
        known = [peer.node for peer in self._peers.list()]
        reports = await self._peers.quotes([node for node in known if node not in holders])
        found = await all_of([self._supplier(report) for report in reports])
        suppliers = [one for one in found if isinstance(one, Supplier)]
        places = {node: self._neighbourhoods(node) for node in known}
        taken = [place for node in holders for place in places.get(node, ())]
        lapses, scores = self._peers.lapses(), self._context.database.read(load_scores)
        candidates = [
            Candidate(
                farmer=one.farmer,
                storage_per_gb_month=one.price,
                lapses=lapses.get(one.farmer, 0),
                score=scores.get(one.farmer, 1.0),
                neighbourhoods=places[one.farmer],
            )
            for one in suppliers
        ]
        ranking = rank_farmers(candidates, os.urandom(16), taken)
        return in_order(suppliers, ranking), tuple(one for one in found if isinstance(one, Fault))

    async def of(self, farmer: NodeId) -> Supplier | Fault:
        """Ask one farmer. Raises UnknownPeer."""
        (report,) = await self._peers.quotes([farmer])
        return await self._supplier(report)

    async def _supplier(self, report: QuoteReport) -> Supplier | Fault:
        if report.quote is None:
            return report.fault or Fault(report.farmer, Trouble.BROKE_RULES, "it sent no quote")
        try:
            account = await self._accounts.ready(report.farmer)
        except (NodeError, PaymentError) as error:
            return to_fault(report.farmer, error)
        channel, least = account.channel, report.quote.min_deposit
        if channel.deposit < least or channel.deposit <= channel.earned:
            held = f"its channel has {channel.deposit - channel.earned} base units left"
            reason = f"{held}, the farmer wants at least {least} deposited: tithe channel fund"
            return Fault(report.farmer, Trouble.NO_MONEY, reason)
        return Supplier(account, report.quote)

    def _neighbourhoods(self, node: NodeId) -> frozenset[str]:
        return neighbourhoods(self._peers.target(node).urls)
