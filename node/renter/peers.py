"""The renter's peer book: the farmers its owner has added, with what they last said of themselves.

A farmer is believed when its record and quote are signed by its node key, are current, and name our chain and
contract. Quotes expire; `quotes` asks for fresh ones, all farmers at once.
"""

from collections.abc import Iterable

from node.db import Connection
from node.db.renter_peers import PeerRecord, delete_peer, load_peer, load_peers, save_peer
from node.db.renter_shelf import renew_entry
from node.errors import NodeError
from node.messages import NodeInfo, dump, parse
from node.network import Peer
from node.node_record import verify_record
from node.renter.context import Context
from node.renter.errors import OtherNetwork, OtherNode, UnknownPeer
from node.renter.faults import to_fault
from node.renter.reports import QuoteReport
from node.shelf import PEERS
from node.tasks import all_of
from node.transport import Target
from payments.errors import PaymentError
from payments.prices import verify_quote
from payments.types import NodeId, Seconds, Timestamp

UNKNOWN = NodeId(bytes(32))
SLOW_SECONDS = 600
"""How long a farmer is taken to be slow."""


class Peers:
    """The farmers a renter knows. Is a `node.network.PeerBook`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._targets: dict[NodeId, Target] = {}
        self._heard: dict[NodeId, Peer] = {}
        self._slow: dict[NodeId, Timestamp] = {}

    async def add(self, url: str) -> Peer:
        """Meet the farmer at a base URL and remember it; a known one is refreshed.

        Raises OtherNetwork, BadRecord, QuoteError, OtherNode, PeerUnreachable, PeerTimedOut, PeerRefused or
        PeerBrokeRules.
        """
        peer = await self._meet(Target(UNKNOWN, (url,)), url)
        return self.find(peer.node) or peer

    def find(self, node: NodeId) -> Peer | None:
        """Return what is known of a farmer."""
        record = self._context.database.read(lambda conn: load_peer(conn, node))
        return None if record is None else _peer(record)

    def list(self) -> tuple[Peer, ...]:
        """Return every farmer, oldest acquaintance first."""
        return tuple(map(_peer, self._context.database.read(load_peers)))

    def lapses(self) -> dict[NodeId, int]:
        """Return how many audits in a row each farmer has not passed."""
        return {record.node: record.lapses for record in self._context.database.read(load_peers)}

    async def remove(self, node: NodeId) -> None:
        """Forget a farmer; its channels and agreements stay. Raises UnknownPeer."""
        self._targets.pop(node, None)
        self._heard.pop(node, None)
        now = self._context.now()

        def work(conn: Connection) -> bool:
            renew_entry(conn, PEERS, now)
            return delete_peer(conn, node)

        if not await self._context.database.write(work):
            raise UnknownPeer(node)

    async def quotes(self, nodes: Iterable[NodeId] | None = None) -> tuple[QuoteReport, ...]:
        """Ask these farmers, or all, for their current quotes. Raises UnknownPeer."""
        known = {record.node: record for record in self._context.database.read(load_peers)}
        wanted = tuple(known) if nodes is None else tuple(nodes)
        for node in wanted:
            if node not in known:
                raise UnknownPeer(node)
        return await all_of(self._ask(known[node]) for node in wanted)

    def recent(self, seconds: Seconds) -> tuple[QuoteReport, ...]:
        """Return the quotes that this program heard in the last `seconds` and that are good."""
        now = self._context.now()
        return tuple(
            QuoteReport(peer.node, peer.quote, None)
            for peer in self._heard.values()
            if peer.quote is not None and now - seconds < peer.seen_at <= now < peer.quote.expires_at
        )

    def doubt(self, node: NodeId) -> None:
        """Ask a farmer again before relying on what it said: it has failed."""
        self._heard.pop(node, None)

    def note_slow(self, node: NodeId) -> None:
        """Remember that others were much faster."""
        self._slow[node] = self._context.now()

    def slow(self) -> set[NodeId]:
        """Return who was much slower than others in the last minutes of this program."""
        now = self._context.now()
        return {node for node, at in self._slow.items() if now - SLOW_SECONDS < at}

    async def refresh(self, node: NodeId) -> Peer:
        """Ask one farmer for its current record and quote. Raises as `add`, and UnknownPeer."""
        record = self._record(node)
        return await self._meet(_target(record), record.url, record)

    def target(self, node: NodeId) -> Target:
        """Return where to reach a farmer, as this program last knew. Raises UnknownPeer."""
        found = self._targets.get(node)
        if found is None:
            found = self._targets[node] = _target(self._record(node))
        return found

    def look_up_again(self) -> None:
        """Take notice of addresses that other programs of this renter have learned."""
        self._targets.clear()

    def _record(self, node: NodeId) -> PeerRecord:
        record = self._context.database.read(lambda conn: load_peer(conn, node))
        if record is None:
            raise UnknownPeer(node)
        return record

    async def _ask(self, record: PeerRecord) -> QuoteReport:
        try:
            fresh = await self._meet(_target(record), record.url, record)
        except (NodeError, PaymentError) as error:
            return QuoteReport(record.node, None, to_fault(record.node, error))
        return QuoteReport(record.node, fresh.quote, None)

    async def _meet(self, target: Target, url: str, known: PeerRecord | None = None) -> Peer:
        context = self._context
        info = await context.transport.describe(target, NodeInfo)
        now = context.now()
        _check(info, target, url, now)
        deployment = context.chain.deployment
        ours = (deployment.chain_id, deployment.genesis_hash, deployment.contract)
        theirs = (info.chain.chain_id, info.chain.genesis_hash, info.chain.contract)
        if theirs != ours:
            raise OtherNetwork(url, *theirs)
        node = NodeId(info.record.record.node)
        added_at = known.added_at if known else now
        record = PeerRecord(node, url, dump(info).decode(), added_at, now)
        self._targets[node] = _to_target(record, info)

        def work(conn: Connection) -> None:
            before = load_peer(conn, node)
            save_peer(conn, record)
            if before is None or before.url != url:
                renew_entry(conn, PEERS, now)

        await context.database.write(work)
        self._heard[node] = peer = _to_peer(record, info)
        return peer


def _check(info: NodeInfo, target: Target, url: str, now: Timestamp) -> None:
    """Believe a description, or raise what is wrong with it."""
    record = verify_record(info.record.core(), now)
    quote = info.quote.core()
    verify_quote(quote, now)
    expected = record.node if target.node == UNKNOWN else target.node
    for node in (record.node, quote.quote.farmer):
        if node != expected:
            raise OtherNode(url, node, expected)


def _peer(record: PeerRecord) -> Peer:
    return _to_peer(record, parse(NodeInfo, record.info.encode()))


def _target(record: PeerRecord) -> Target:
    return _to_target(record, parse(NodeInfo, record.info.encode()))


def _to_peer(record: PeerRecord, info: NodeInfo) -> Peer:
    return Peer(
        node=record.node,
        payee=info.record.core().record.payee,
        urls=_to_target(record, info).urls,
        quote=info.quote.core().quote,
        added_at=record.added_at,
        seen_at=record.seen_at,
    )


def _to_target(record: PeerRecord, info: NodeInfo) -> Target:
    return Target(record.node, tuple(dict.fromkeys((record.url, *info.record.record.urls))))
