"""The Farmer: one asynchronous method for each message of the protocol, and what it does by itself.

Knows nothing of HTTP. A request arrives here authenticated, as the id of the node that sent it and values of
the core; what is returned is on disk.
"""

from collections.abc import Collection
from dataclasses import replace

from node.agreement import Agreement
from node.audit import Challenge
from node.db.farmer import list_books
from node.farmer import (
    admission,
    agreements,
    auditor,
    downloads,
    renewals,
    restored,
    shelf,
    taken_back,
    trash,
    upkeep,
    vouchers,
)
from node.farmer.alarms import Alarms
from node.farmer.calendar import Calendar
from node.farmer.claimable import find_candidates
from node.farmer.collector import Collector
from node.farmer.config import FarmerConfig
from node.farmer.contract_signers import recall_contracts
from node.farmer.errors import NoChannel
from node.farmer.farm import Farm
from node.farmer.follower import Follower
from node.farmer.holdings import Holdings, read_holdings
from node.farmer.offer import Offers
from node.farmer.scanner import Scan, Scanner
from node.farmer.status import FarmerStatus, read_status
from node.farmer.towers import TowerPost
from node.farmer.vitals import Books, Vitals, read_vitals
from node.messages import (
    AgreementView,
    AuditRequest,
    ChainMessage,
    ChannelView,
    CountersignedAgreement,
    NodeInfo,
    ShelfEntry,
    ShelfList,
    ShelfPlace,
    SignedQuoteMessage,
    SignedRecordMessage,
)
from payments.types import ChannelId, NodeId
from payments.vouchers import SignedVoucher, SigningKey, Terms
from settlement.claims import Outcome
from settlement.outbox import DEFAULT_CEILING, Outbox
from settlement.watcher import Watcher

FORGETTING = 3_600
"""Seconds between two looks for what may be forgotten."""


class Farmer:
    """One farmer. `run` (16 bytes) names this start of it; `gas_key` None never claims."""

    def __init__(self, farm: Farm, *, run: bytes, urls: tuple[str, ...], gas_key: SigningKey | None) -> None:
        self.farm = farm
        self.run = run
        self._offers = Offers(farm, urls)
        self._vouchers = vouchers.VoucherQueue(farm)
        self._gas_key = gas_key
        ceiling = farm.config.max_gas_fee or DEFAULT_CEILING
        self._outbox = Outbox(farm.database, farm.chain, ceiling=ceiling, clock=farm.clock)
        watcher = Watcher(farm.database, farm.chain, payees=[farm.config.payee])
        self._follower = Follower(farm, watcher, self._outbox)
        self._collector = Collector(farm, self._outbox, gas_key)
        self._alarms = Alarms(farm)
        self._towers = TowerPost(farm)
        self._scanner = Scanner(farm.hoard)
        self._calendar = Calendar(farm)
        self._forgot_at = 0

    def knows(self, node: NodeId) -> bool:
        """Whether this node has ever had a channel here."""
        return self.farm.database.read(lambda conn: bool(list_books(conn, node)))

    # Messages

    async def info(self) -> NodeInfo:
        """GET /v1/node."""
        deployment = self.farm.chain.deployment
        return NodeInfo(
            record=SignedRecordMessage.of(await self._offers.record()),
            quote=SignedQuoteMessage.of(await self._offers.quote()),
            chain=ChainMessage(
                chain_id=deployment.chain_id,
                genesis_hash=deployment.genesis_hash,
                contract=deployment.contract,
            ),
            run=self.run,
        )

    async def open_channel(self, node: NodeId, terms: Terms, node_key_signature: bytes) -> ChannelView:
        """POST /v1/channels."""
        return await admission.admit_channel(self.farm, node, terms, node_key_signature)

    async def channel(self, node: NodeId, channel_id: bytes) -> ChannelView:
        """GET /v1/channels/{id}."""
        return await vouchers.see_channel(self.farm, node, ChannelId(channel_id))

    async def propose(self, node: NodeId, terms: Agreement, renter_signature: bytes) -> AgreementView:
        """POST /v1/agreements."""
        return await renewals.propose(self.farm, self._offers, node, terms, renter_signature)

    def data_root(self, node: NodeId, agreement: bytes) -> bytes:
        """What a shard's upload must be authenticated with. Raises AgreementNotFound."""
        return agreements.agreed_root(self.farm, node, agreement)

    async def receive_shard(self, node: NodeId, upload: agreements.Upload) -> AgreementView:
        """PUT /v1/agreements/{id}/shard."""
        return await agreements.receive(self.farm, node, upload)

    async def accept_shard(
        self, node: NodeId, proposal: agreements.Proposal, upload: agreements.Upload
    ) -> AgreementView:
        """PUT /v1/agreements/{id}/shard with the agreement in its head."""
        return await agreements.accept(self.farm, self._offers, node, proposal, upload)

    def agreement(self, node: NodeId, agreement: bytes) -> AgreementView:
        """GET /v1/agreements/{id}."""
        return agreements.see(self.farm, node, agreement)

    async def take_back(self, node: NodeId, message: CountersignedAgreement) -> AgreementView:
        """POST /v1/agreements/{id}."""
        terms = message.agreement.core()
        return await taken_back.take_back(
            self.farm, node, terms, message.renter_signature, message.farmer_signature
        )

    async def delete(self, node: NodeId, agreement: bytes) -> AgreementView:
        """DELETE /v1/agreements/{id}."""
        return await agreements.remove(self.farm, node, agreement)

    async def read_shard(
        self, node: NodeId, agreement: bytes, *, offset: int, length: int, payment: SignedVoucher
    ) -> bytes:
        """POST /v1/agreements/{id}/read."""
        return await downloads.sell_read(
            self.farm, node, agreement, offset=offset, length=length, payment=payment
        )

    async def audit(self, node: NodeId, request: AuditRequest) -> auditor.Answer:
        """POST /v1/audits."""
        challenge: Challenge = request.challenge.core()
        paid = request.paid.core() if request.paid else None
        return await auditor.answer_audit(
            self.farm, node, paid=paid, challenge=challenge, voucher=request.voucher.core()
        )

    async def take_voucher(self, node: NodeId, voucher: SignedVoucher) -> ChannelView:
        """POST /v1/vouchers."""
        return await self._vouchers.take(node, voucher)

    def check_shelf(self, node: NodeId) -> None:
        """Keep things only for renters with a channel here. Raises NoChannel."""
        if not self.knows(node):
            raise NoChannel(node)

    async def shelve(self, node: NodeId, message: ShelfEntry) -> ShelfPlace:
        """POST /v1/shelf."""
        self.check_shelf(node)
        return await shelf.keep(self.farm, node, message)

    def shelf(self, node: NodeId) -> ShelfList:
        """GET /v1/shelf."""
        return shelf.show(self.farm, node)

    def shelved(self, node: NodeId, entry: bytes) -> ShelfEntry:
        """GET /v1/shelf/{entry}. Raises EntryNotFound."""
        return shelf.give_back(self.farm, node, entry)

    # By itself

    async def begin(self, *, accept_loss: bool = False) -> None:
        """Make disk and books agree, give queued transactions their key back, catch up with the chain.

        Raises StoreFault where the disk is not there, or a good part of its shards is not: see reconcile.
        """
        restored.find_frozen(self.farm)
        recall_contracts(self.farm)
        await upkeep.reconcile(self.farm, accept_loss=accept_loss)
        self._outbox.hold([self._gas_key] if self._gas_key else [])
        now = self.farm.now()
        if self.farm.database.read(lambda conn: find_candidates(conn, now, closing=True)):
            self.farm.claims_due.set()  # nobody knows how long we were away
        await self.follow()

    async def follow(self) -> None:
        """Read the chain's news, keep queued transactions going, and say which deadlines are near."""
        await self._follower.follow()
        if self._follower.trouble is None:
            await restored.note_followed(self.farm)
        await self._alarms.look(self._follower.head, self._collector.price)

    async def sweep(self) -> None:
        """End what is over or not paid, empty the trash, forget what is old, write statistics."""
        await upkeep.look_after_disk(self.farm)
        if self._calendar.agrees(self._follower.head):
            await self._end_for_good()
        await self.farm.stats.flush()

    async def _end_for_good(self) -> None:
        await upkeep.sweep(self.farm)
        await upkeep.empty_trash(self.farm)
        if abs(self.farm.now() - self._forgot_at) >= FORGETTING:
            await upkeep.forget(self.farm)
            self._forgot_at = self.farm.now()

    async def scan(self, seconds: float) -> None:
        """Look for damaged shards, for as much as so many seconds allow."""
        await self._scanner.step(self.farm.config.scan_rate * seconds)

    async def hurry_scan(self, seconds: float, began: int) -> Scan:
        """Look for damaged shards without a limit, at the owner's wish; see Scanner.hurry."""
        return await self._scanner.hurry(seconds, began=began)

    async def restore_trash(self, shards: Collection[bytes]) -> tuple[trash.TakenBack, ...]:
        """Take ended shards back into business, at the owner's wish."""
        farm = self.farm
        return await trash.take_back(farm.database, farm.store, farm.now(), shards)

    async def tell_towers(self) -> None:
        """Bring the watchtowers up to date."""
        await self._towers.deliver()

    async def close(self) -> None:
        """Let go of what it has opened itself."""
        await self._towers.close()

    async def collect(self, *, everything: bool = False) -> tuple[Outcome, ...]:
        """Claim what is due, or all there is."""
        outcomes = await self._collector.collect(everything=everything)
        if outcomes:
            await self.follow()
        return outcomes

    def reconfigure(self, config: FarmerConfig) -> None:
        """Go on with new prices and limits. Payee, address and books stay what they were at the start."""
        kept = self.farm.config
        fixed = ("payee", "host", "port", "urls", "database", "metrics_port")
        self.farm.config = replace(config, **{name: getattr(kept, name) for name in fixed})

    @property
    def trouble(self) -> tuple[str, ...]:
        """What keeps this farmer from following the chain or from claiming, in sentences."""
        found = (
            self._follower.trouble,
            self._collector.trouble,
            restored.describe_frozen(self.farm),
            *self._alarms.trouble,
            *self._towers.trouble,
            self.farm.away,
            self._calendar.trouble,
        )
        return tuple(one for one in found if one)

    async def vitals(self) -> Vitals:
        """How safe its money is."""
        farm, key = self.farm, self._gas_key
        books = Books(farm.config, farm.database, farm.chain.deployment, key.address if key else None)
        found, _ = await read_vitals(books, farm.now(), farm.chain)
        return found

    def holdings(self) -> Holdings:
        """How its disk is."""
        farm = self.farm
        return read_holdings(farm.database, farm.store, self._scanner.scan, farm.now())

    async def status(self) -> FarmerStatus:
        """How this farmer is doing."""
        return await read_status(
            self.farm.config,
            self.farm.database,
            self.farm.stats.totals,
            self.farm.now(),
            chain=self.farm.chain,
            gas_key=self._gas_key.address if self._gas_key else None,
            trouble=self.trouble,
            holdings=self.holdings(),
        )
