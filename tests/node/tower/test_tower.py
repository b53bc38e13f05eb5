"""A farmer dies, its renter closes, and the watchtower claims; an older copy changes nothing."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from node.audit import Challenge, Item, Proof
from node.db import Connection
from node.db.farmer import load_book, save_book
from node.db.tower import load_watched
from node.errors import ChallengeTooLarge
from node.hex import to_hex
from node.identity import NodeKey
from node.merkle import LEAF_SIZE, build_tree
from node.messages import ChallengeMessage, ProofMessage, ProvenMessage, SignedVoucherMessage, TermsMessage
from node.tower.errors import NotServed, UnproductiveProof, WatchRefused
from node.tower.tower import Tower
from node.tower_daemon import TowerDaemon, open_tower_books
from node.watch_messages import WatchChannel
from payments.errors import PaymentError, WrongSigner
from payments.types import Amount, NodeId
from payments.vouchers import SignedVoucher
from settlement.wallet import new_key
from tests.node.farmer.account_renter import account_renter, compile_accounts
from tests.node.farmer.support import PERIOD, Renter, Rig, content, run
from tests.node.support import make_item_proof

EARNED = 10**15


@pytest.fixture(scope="module")
def accounts() -> dict[str, bytes]:
    return compile_accounts()


@dataclass
class Watch:
    """A tower beside a farmer, on the same chain; it looks when the test says so."""

    rig: Rig
    daemon: TowerDaemon
    key: NodeKey

    @property
    def tower(self) -> Tower:
        return self.daemon.tower

    async def balance(self) -> int:
        return await self.rig.world.chain.token_balance(self.rig.config.payee)

    async def employ(self) -> None:
        """Have the farmer send it what it holds."""
        named = f"{to_hex(self.key.node)}@{self.daemon.url}"
        farmer = self.rig.farmer
        farmer.reconfigure(replace(farmer.farm.config, towers=(named,)))
        await farmer.tell_towers()
        assert farmer.trouble == ()

    async def wait_half(self, renter: Renter) -> None:
        """Let half of the challenge period pass."""
        (state,) = await self.rig.world.chain.channel_states([renter.channel])
        self.rig.clock.now = state.closes_at - PERIOD // 2

    async def claim_late(self, renter: Renter) -> None:
        """Nothing while the farmer may come back, then all of it."""
        assert await self.tower.look() == ()
        assert await self.balance() == 0
        await self.wait_half(renter)
        await self.tower.look()


@asynccontextmanager
async def watching(rig: Rig, key: NodeKey | None = None) -> AsyncIterator[Watch]:
    """A tower on the disk of this rig: a second one goes on with what the first has kept."""
    key = key or NodeKey(os.urandom(32))
    database = open_tower_books(rig.folder / "tower.db")
    assert rig.gas_key is not None
    tower = Tower(database, rig.world.chain, rig.gas_key, rig.clock, serves={rig.node_key.node})
    try:
        async with TowerDaemon(tower, key, "127.0.0.1", 0, look_seconds=3600) as daemon:
            yield Watch(rig, daemon, key)
    finally:
        database.close()


def message(renter: Renter, signed: SignedVoucher) -> WatchChannel:
    return WatchChannel(
        terms=TermsMessage.of(renter.terms), paid=SignedVoucherMessage.of(signed), proven=None
    )


def test_the_tower_claims_for_a_dead_farmer_whose_renter_closes(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            async with watching(rig) as watch:
                await renter.pay(renter.voucher(EARNED))
                await watch.employ()
                await renter.pay(renter.voucher(2 * EARNED))
                await rig.farmer.tell_towers()
                assert await watch.tower.look() == ()  # nobody has asked to close
            await rig.daemon.stop()
            await renter.close()
            async with watching(rig, watch.key) as again:  # what it has acknowledged was on its disk
                await again.claim_late(renter)
                assert await again.balance() == 2 * EARNED
                assert await again.tower.look() == ()

    run(tmp_path, story)


def test_the_tower_shows_the_proof_of_work_that_was_never_paid(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter, watching(rig) as watch:
            terms = await renter.store(content(3_000))
            total = await renter.pass_audit([terms], 0)
            await watch.employ()
            await rig.daemon.stop()
            await renter.close()
            await watch.claim_late(renter)
            assert await watch.balance() == total

    run(tmp_path, story)


def test_a_farmer_that_is_awake_leaves_the_tower_nothing_to_claim(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter, watching(rig) as watch:
            await renter.pay(renter.voucher(EARNED))
            await watch.employ()
            await renter.close()
            await rig.farmer.follow()
            await rig.farmer.collect()
            await watch.wait_half(renter)
            assert await watch.tower.look() == ()
            assert await watch.balance() == EARNED

    run(tmp_path, story)


def test_a_stale_copy_changes_nothing_and_takes_nothing_away(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        node = rig.node_key.node
        async with rig.renter() as renter, watching(rig) as watch:
            await watch.tower.watch(node, message(renter, renter.voucher(3 * EARNED)))
            kept = await watch.tower.watch(node, message(renter, renter.voucher(EARNED)))
            assert (kept.paid, kept.proven) == (3 * EARNED, 0)
            await renter.pay(renter.voucher(5 * EARNED))  # the tower has not heard of it
            await rig.farmer.collect(everything=True)
            await renter.close()
            await watch.wait_half(renter)
            assert await watch.tower.look() == ()
            assert await watch.balance() == 5 * EARNED

    run(tmp_path, story)


def test_what_is_not_the_farmers_or_not_signed_is_refused(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        node, stranger = rig.node_key.node, NodeId(os.urandom(32))
        async with rig.renter() as renter, watching(rig) as watch:
            good = message(renter, renter.voucher(EARNED))
            assert await refusal(watch, stranger, good) is NotServed
            forged = message(renter, renter.voucher(EARNED, signer=new_key()))
            assert await refusal(watch, node, forged) is WrongSigner
            conditional = message(renter, renter.voucher(EARNED, condition=b"\x01" * 32))
            assert await refusal(watch, node, conditional) is UnproductiveProof
            rig.farmer.reconfigure(
                replace(rig.farmer.farm.config, towers=(f"{to_hex(watch.key.node)}@http://127.0.0.1:1",))
            )
            await renter.pay(renter.voucher(EARNED))  # a tower that is away is nobody's fault
            await rig.farmer.tell_towers()
            (trouble,) = rig.farmer.trouble
            assert trouble.startswith("watchtower 0x")

    run(tmp_path, story)


def proof_over(renter: Renter, items: int, *, flip: bool = False) -> WatchChannel:
    """A conditional voucher with its proof over so many shards of four leaves; `flip`: with wrong ones."""
    data = content(4 * LEAF_SIZE)
    tree = build_tree(data)
    asked = tuple(Item(number.to_bytes(32, "big"), tree.root, 4, (0, 1, 2, 3)) for number in range(items))
    challenge = Challenge(os.urandom(32), asked)

    def read(index: int) -> bytes:
        return bytes(LEAF_SIZE) if flip else data[index * LEAF_SIZE :][:LEAF_SIZE]

    proof = Proof(tuple(make_item_proof(item, tree, read) for item in asked))
    proven = ProvenMessage(
        voucher=SignedVoucherMessage.of(renter.conditional(challenge, EARNED)),
        challenge=ChallengeMessage.of(challenge),
        proof=ProofMessage.of(proof),
    )
    return WatchChannel(terms=TermsMessage.of(renter.terms), paid=None, proven=proven)


def test_proofs_that_no_claim_carries_or_that_prove_nothing_are_refused(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        node = rig.node_key.node
        async with rig.renter() as renter, watching(rig) as watch:
            with pytest.raises(ChallengeTooLarge):
                await watch.tower.watch(node, proof_over(renter, 100))
            assert await refusal(watch, node, proof_over(renter, 1, flip=True)) is UnproductiveProof
            assert (await watch.tower.watch(node, proof_over(renter, 20))).proven == EARNED

    run(tmp_path, story)


def test_nobody_keeps_a_channel_from_the_tower_by_bringing_it_first(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter, watching(rig) as watch:
            watch.tower.serves = None
            await watch.tower.watch(NodeId(os.urandom(32)), message(renter, renter.voucher(1)))
            await renter.pay(renter.voucher(EARNED))
            await watch.employ()
            await rig.daemon.stop()
            await renter.close()
            await watch.claim_late(renter)
            assert await watch.balance() == EARNED

    run(tmp_path, story)


def test_a_channel_that_the_tower_refuses_keeps_no_other_from_it(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as refused, watching(rig) as watch:
            await refused.pay(refused.voucher(EARNED))
            rig.clock.now += 1
            async with rig.renter() as honest:
                await honest.pay(honest.voucher(2 * EARNED))
                named = f"{to_hex(watch.key.node)}@{watch.daemon.url}"
                rig.farmer.reconfigure(replace(rig.farmer.farm.config, towers=(named,)))
                await forge_book(rig, refused)
                await rig.farmer.tell_towers()
                assert held(watch, rig, refused) == 0
                assert held(watch, rig, honest) == 2 * EARNED
                (trouble,) = rig.farmer.trouble
                assert refused.channel.hex()[:16] in trouble
                assert "(WRONG_SIGNER)" in trouble
                await honest.pay(honest.voucher(3 * EARNED))
                await rig.farmer.tell_towers()
                assert held(watch, rig, honest) == 3 * EARNED
                assert rig.farmer.trouble == (trouble,)

    run(tmp_path, story)


async def forge_book(rig: Rig, renter: Renter) -> None:
    """Put a voucher into the farmer's book that its signer does not stand by, as a contract may."""

    def step(conn: Connection) -> None:
        book = load_book(conn, renter.channel)
        assert book is not None
        forged = replace(book.earnings, paid=renter.voucher(EARNED, signer=new_key()))
        save_book(conn, replace(book, earnings=forged))

    await rig.farmer.farm.database.write(step)


def held(watch: Watch, rig: Rig, renter: Renter) -> int:
    """What the tower holds of a channel that the farmer has brought."""
    found = watch.tower.database.read(lambda conn: load_watched(conn, rig.node_key.node, renter.channel))
    return found.paid.total if found and found.paid else 0


async def refusal(watch: Watch, node: NodeId, brought: WatchChannel) -> type[Exception]:
    with pytest.raises((WatchRefused, PaymentError)) as caught:
        await watch.tower.watch(node, brought)
    return caught.type


def test_vouchers_that_a_contract_signs_are_taken_if_it_stands_by_them(
    tmp_path: Path, accounts: dict[str, bytes]
) -> None:
    async def story(rig: Rig) -> None:
        async with account_renter(rig, accounts["FickleAccount"]) as renter, watching(rig) as watch:
            await renter.open()
            stranger = renter.voucher(9 * EARNED, signer=new_key())
            with pytest.raises(WrongSigner):
                await watch.tower.watch(rig.node_key.node, message(renter, stranger))
            await renter.pay(renter.voucher(EARNED))
            await watch.employ()
            await rig.daemon.stop()
            await renter.close()
            await watch.claim_late(renter)
            assert await watch.balance() == EARNED

    run(tmp_path, story, accept_contract_signers=True, max_exposure=Amount(10**18))
