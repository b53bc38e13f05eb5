"""The peer book: who is let in, and what is believed of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from node.errors import ForgedRecord
from node.renter.errors import OtherNetwork, OtherNode, UnknownPeer
from node.renter.reports import Trouble
from node.transport import PeerBrokeRules, PeerUnreachable
from payments.errors import QuoteExpired
from payments.types import Amount
from tests.node.renter.support import PRICES, Village, tell


def test_farmers_are_added_listed_and_removed(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        peers = place.renter.peers
        one, two = place.farmers
        added = await peers.add(one.url)
        assert (added.node, added.payee) == (one.node, one.settings.payee)
        assert added.quote.prices == PRICES
        assert added.urls == (one.url,)
        await peers.add(two.url)
        await peers.add(two.url)
        assert {peer.node for peer in peers.list()} == {one.node, two.node}
        await place.restart_renter()
        peers = place.renter.peers
        assert peers.find(one.node) == added
        await peers.remove(one.node)
        assert peers.find(one.node) is None
        with pytest.raises(UnknownPeer):
            await peers.remove(one.node)
        with pytest.raises(UnknownPeer):
            await peers.quotes([one.node])

    tell(tmp_path, story, farmers=2)


def test_quotes_are_fresh_or_say_why_not(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.meet()
        one, two = place.farmers
        farm = one.farmer.farm
        dear = replace(PRICES, per_audit=Amount(5))
        one.farmer.reconfigure(replace(farm.config, offer=replace(farm.config.offer, prices=dear)))
        await two.stop()
        place.clock.pass_time(10)
        reports = {report.farmer: report for report in await place.renter.peers.quotes()}
        quote, fault = reports[one.node].quote, reports[two.node].fault
        assert quote is not None
        assert quote.prices == dear
        assert fault is not None
        assert fault.trouble is Trouble.OFFLINE
        known = place.renter.peers.find(one.node)
        assert known is not None
        assert (known.quote, known.seen_at) == (quote, place.clock.now)

    tell(tmp_path, story, farmers=2)


def test_a_farmer_on_another_chain_is_refused(tmp_path: Path) -> None:
    def move(body: bytes) -> bytes:
        said = json.loads(body)
        said["chain"]["genesis_hash"] = "0x" + "00" * 32
        return json.dumps(said).encode()

    async def story(place: Village) -> None:
        (farmer,) = place.farmers
        assert farmer.wire
        farmer.wire.tamper = lambda _, body: move(body)
        with pytest.raises(OtherNetwork) as caught:
            await place.renter.peers.add(farmer.url)
        assert caught.value.genesis_hash == bytes(32)
        assert place.renter.peers.list() == ()

    tell(tmp_path, story, farmers=1, wired=True)


def test_what_is_not_signed_by_the_farmer_is_not_believed(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        one, two = place.farmers
        assert one.wire
        assert two.wire

        def richer(body: bytes) -> bytes:
            said = json.loads(body)
            said["record"]["record"]["payee"] = "0x" + "11" * 20
            return json.dumps(said).encode()

        one.wire.tamper = lambda _, body: richer(body)
        with pytest.raises(ForgedRecord):
            await place.renter.peers.add(one.url)
        one.wire.tamper = lambda _, __: b"{}"
        with pytest.raises(PeerBrokeRules):
            await place.renter.peers.add(one.url)
        one.wire.tamper = None
        await place.renter.peers.add(one.url)
        one.wire.behind = two.wire.behind  # another farmer answers in its place
        with pytest.raises(OtherNode):
            await place.renter.peers.refresh(one.node)
        with pytest.raises(PeerUnreachable):
            await place.renter.peers.add("http://127.0.0.1:1")

    tell(tmp_path, story, farmers=2, wired=True)


def test_an_old_description_is_not_believed(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        (farmer,) = place.farmers
        assert farmer.wire
        await place.renter.peers.add(farmer.url)
        old = place.renter.peers.find(farmer.node)
        assert old is not None
        kept: list[bytes] = []
        farmer.wire.tamper = lambda _, body: kept.append(body) or body  # type: ignore[func-returns-value]
        await place.renter.peers.refresh(farmer.node)
        place.clock.pass_time(2 * 3_600)
        farmer.wire.tamper = lambda _, __: kept[0]
        with pytest.raises(QuoteExpired):
            await place.renter.peers.refresh(farmer.node)

    tell(tmp_path, story, farmers=1, wired=True)
