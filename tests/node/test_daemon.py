"""The daemon: starts whole or not at all, lives beside others in one loop, stops clean."""

import asyncio
import json
import logging
import os
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from node.daemon import FarmerDaemon
from node.errors import NodeError
from node.farmer.config import FarmerConfig
from node.farmer.room import PER_SHARD
from node.identity import NodeKey
from payments.types import Address, Amount
from settlement.errors import ChainUnreachable, ContractMissing, SettlementError, StorageCorrupt, WrongGenesis
from settlement.local_chain import embedded
from settlement.wallet import new_key
from tests.node.farmer.support import QUIET, Rig, build, config, content, places, run
from tests.settlement.support import World, world


def daemon(folder: Path, scene: World, **changes: object) -> FarmerDaemon:
    folder.mkdir(exist_ok=True)
    settings = config(scene.chain.deployment.token, **changes)
    key = NodeKey(os.urandom(32))
    record = scene.chain.deployment
    return FarmerDaemon(
        settings, record, places(folder), key, gas_key=new_key(), chain=scene.chain, rhythm=QUIET
    )


def test_many_farmers_live_in_one_loop_and_leave_nothing_behind(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(embedded()) as scene:
            before = threading.active_count()
            daemons = [daemon(tmp_path / str(number), scene) for number in range(12)]
            await asyncio.gather(*(one.start() for one in daemons))
            assert len({one.url for one in daemons}) == 12
            await asyncio.gather(*(one.stop() for one in daemons))
            await asyncio.gather(*(one.stop() for one in daemons))
            writers = [one.name for one in threading.enumerate() if one.name.startswith("writer")]
            assert writers == []
            assert threading.active_count() <= before + 8
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_shards_of_another_deployment_are_left_alone(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        theirs = rig.places.shards / "0000000000000000-00000000" / "ab" / ("ab" * 32 + ".shard")
        theirs.parent.mkdir(parents=True)
        theirs.write_bytes(b"stored while another chain was used")
        async with rig.renter() as renter:
            await renter.store(content(3_000))
            await rig.restart()
            assert theirs.exists()

    run(tmp_path, story)


def test_it_says_where_it_runs_while_it_runs(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        running = rig.places.running
        assert running is not None
        said = json.loads(running.read_text())
        assert said == {
            "url": rig.daemon.url,
            "pid": os.getpid(),
            "node": "0x" + rig.node_key.node.hex(),
        }
        await rig.daemon.stop()
        assert not running.exists()

    run(tmp_path, story)


def test_changed_prices_are_taken_over_while_it_runs(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        file = rig.places.config
        assert file is not None
        async with rig.renter(deposit=0, opened=False) as renter:
            old = await renter.quote()
            prices = replace(rig.config.offer.prices, per_audit=Amount(77))
            offer = replace(rig.config.offer, prices=prices)
            changed = replace(rig.config, offer=offer, payee=Address(b"x" * 20), capacity=10**6)
            changed.save(file)
            async with asyncio.timeout(10):
                while (quote := await renter.quote()).prices != prices:  # noqa: ASYNC110 - a reload raises no event
                    await asyncio.sleep(0.05)
            assert quote.sequence == old.sequence + 1
            assert quote.free_bytes == (10**6 - PER_SHARD) * 16 // 17
            assert rig.farmer.farm.config.payee == rig.config.payee

    run(tmp_path, story)


def test_a_configuration_that_makes_no_sense_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(rig: Rig) -> None:
        file = rig.places.config
        assert file is not None
        file.write_text('{"payee": 5}')
        async with asyncio.timeout(10):
            while "configuration_refused" not in caplog.text:  # noqa: ASYNC110 - the log raises no event
                await asyncio.sleep(0.05)
        assert rig.farmer.farm.config == rig.config

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"payee": "0x00"}, "payee"),
        ({"tokens": ["0x00"]}, "tokens"),
        ({"capacity": -1}, "capacity"),
        ({"capacity": "1"}, "capacity"),
        ({"capacity": True}, "capacity"),
        ({"max_exposure": 5}, "max_exposure"),
        ({"max_exposure": str(2**96)}, "max_exposure"),
        ({"offer": {"prices": {"per_audit": "-1"}}}, "offer.prices.per_audit"),
        ({"offer": []}, "offer."),
        ({"prices": {}}, "unknown entry"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_damaged_configuration_names_the_entry(
    tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    file = tmp_path / "config.json"
    good = FarmerConfig(payee=Address(b"p" * 20), tokens=(Address(b"t" * 20),), gas_price=Amount(2**90))
    good.save(file)
    assert FarmerConfig.load(file) == good
    file.write_text(json.dumps(good.to_json() | change))
    with pytest.raises(NodeError, match=re.escape(complaint)):
        FarmerConfig.load(file)


def test_a_taken_port_leaves_nothing_open(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(embedded()) as scene, daemon(tmp_path / "first", scene) as first:
            port = int(first.url.rsplit(":", 1)[1])
            second = daemon(tmp_path / "second", scene, port=port)
            with pytest.raises(OSError, match="in use"):
                await second.start()
            assert not (tmp_path / "second" / "money.db").exists()

    asyncio.run(main())


def test_a_start_without_its_chain_names_what_is_wrong(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(embedded()) as scene:
            record = scene.chain.deployment
            settings = config(record.token)
            key = NodeKey(os.urandom(32))

            async def start(fault: type[SettlementError], **changes: object) -> None:
                wrong = replace(record, **changes)  # type: ignore[arg-type]
                one = FarmerDaemon(settings, wrong, places(tmp_path), key, rhythm=QUIET)
                with pytest.raises(fault):
                    await one.start()
                assert not (tmp_path / "money.db").exists()

            await start(ChainUnreachable, url="http://127.0.0.1:1")
            scene.chain.deployment = replace(record, genesis_hash=bytes(32))
            with pytest.raises(WrongGenesis, match="deploy again"):
                await scene.chain.verify()
            scene.chain.deployment = replace(record, contract=Address(bytes(20)))
            with pytest.raises(ContractMissing):
                await scene.chain.verify()

    asyncio.run(main())


def test_a_damaged_money_database_stops_the_start(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        await rig.daemon.stop()
        rig.places.money.write_bytes(b"no database at all, rather a poem" * 100)
        for suffix in ("-wal", "-shm"):
            rig.places.money.with_name("money.db" + suffix).unlink(missing_ok=True)
        with pytest.raises(StorageCorrupt, match="restore it"):
            await build(rig).start()

    run(tmp_path, story)


def test_damaged_statistics_do_not(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(content(3_000))
            await renter.pass_audit([terms], 0)
            await rig.daemon.stop()
            rig.places.stats.write_bytes(b"no database at all, rather a poem" * 100)
            rig.daemon = await build(rig).start()
            assert (await rig.farmer.status()).audits_passed == 0
            await renter.pass_audit([terms], terms.step)
            assert (await rig.farmer.status()).audits_passed == 1

    run(tmp_path, story)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(embedded()) as scene:
            one = daemon(tmp_path, scene)
            (tmp_path / "shards").write_bytes(b"a file where a folder should be")
            with pytest.raises(NodeError, match="shards"):
                await one.start()

    asyncio.run(main())


def test_a_round_that_fails_is_logged_and_the_next_one_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(rig: Rig) -> None:
        calls = []

        async def fail(*_: object) -> None:
            calls.append(1)
            raise RuntimeError("one bad round")

        monkeypatch.setattr("node.farmer.upkeep.sweep", fail)
        async with asyncio.timeout(10):
            while len(calls) < 3:  # noqa: ASYNC110 - no event is raised here
                await asyncio.sleep(0.02)
        assert "loop_failed loop=sweep" in caplog.text
        assert rig.farmer.trouble == ()

    run(tmp_path, story, rhythm=replace(QUIET, sweep=0.05))


def test_logs_name_events_and_never_secrets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(content(3_000))
            earned = await renter.pass_audit([terms], 0)
            voucher = renter.voucher(earned)
            await renter.pay(voucher)
            await rig.farmer.collect()
            secrets = [rig.node_key.seed, renter.key.seed, renter.signer.secret, voucher.signature]
            assert rig.gas_key is not None
            for secret in (*secrets, rig.gas_key.secret):
                assert secret.hex() not in caplog.text
        ours = [one.getMessage() for one in caplog.records if one.name.startswith("tithebarn")]
        assert any(line.startswith("farmer_started node=") for line in ours)
        assert all(re.match(r"^[a-z_]+( [a-z_]+=\S.*)*$", line) for line in ours), ours

    run(tmp_path, story)
