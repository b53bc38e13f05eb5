"""A farmer killed between any two steps has lost nothing it acknowledged, and kept nothing it did not."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from node.daemon import FarmerDaemon
from node.identity import NodeKey
from node.messages import AgreementState
from node.transport import PeerUnreachable
from settlement.local_chain import ChainKind, LocalChain
from settlement.wallet import new_key
from tests.databases import Kind
from tests.node.farmer.support import Clock, Renter, Rig, config, content, kept_files, places
from tests.settlement.support import world

DATA = content(700_000)


@dataclass
class Elsewhere:
    """Stands where a daemon of this process would: the farmer is another process, known by URL and key."""

    url: str
    node: bytes

    @property
    def farmer(self) -> Any:  # noqa: ANN401 - only the node's id is ever asked for
        return type("Farmer", (), {"farm": type("Farm", (), {"node": self.node})})


class Now(Clock):
    """The process has the real clock."""

    def __call__(self) -> int:
        return int(time.time())


@contextmanager
def child(rig: Rig, die: str | None = None) -> Iterator[subprocess.Popen[str]]:
    """A farmer process that serves; gone at the end, whatever happened."""
    settings = {"node_key": rig.node_key.seed.hex(), "gas_key": new_key().secret.hex(), "die": die}
    (rig.folder / "child.json").write_text(json.dumps(settings))
    with (
        (rig.folder / "log").open("a") as log,
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("child.py")), str(rig.folder)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        ) as process,
    ):
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            assert url, (rig.folder / "log").read_text()
            rig.daemon = cast(FarmerDaemon, Elsewhere(url, rig.node_key.node))
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def anvil() -> Iterator[LocalChain]:
    with LocalChain.start(ChainKind.ANVIL, block_time=0.1) as chain:
        yield chain


def told(
    anvil: LocalChain,
    folder: Path,
    story: Any,  # noqa: ANN401 - a story with rig and renter
    *,
    database: str | None = None,
) -> None:
    async def main() -> None:
        async with world(anvil.url) as scene:
            settings = replace(config(scene.chain.deployment.token), database=database)
            settings.save(folder / "config.json")
            scene.chain.deployment.save(folder / "deployment.json")
            key = NodeKey(os.urandom(32))
            rig = Rig(scene, folder, settings, Now(), key, None, cast(FarmerDaemon, None))
            renter = Renter(rig)
            await renter.fund(10**18)
            try:
                await story(rig, renter)
            finally:
                await renter.transport.close()

    asyncio.run(main())


async def killed(process: subprocess.Popen[str], attempt: Any) -> None:  # noqa: ANN401 - any request
    with pytest.raises(PeerUnreachable):
        await attempt
    assert await asyncio.to_thread(process.wait, 10) == -9


def files(rig: Rig) -> list[str]:
    return sorted(path.suffix for path in kept_files(places(rig.folder).shards))


@pytest.mark.parametrize("kind", list(Kind))
def test_a_voucher_and_proof_on_disk_survive_a_kill_before_the_answer(
    anvil: LocalChain, tmp_path: Path, kind: Kind, request: pytest.FixtureRequest
) -> None:
    database: str | None = None
    if kind is Kind.POSTGRESQL:
        database = request.getfixturevalue("postgresql").url

    async def story(rig: Rig, renter: Renter) -> None:
        with child(rig, die="node.farmer.auditor:told") as process:
            await renter.open()
            terms = await renter.store(DATA)
            challenge = renter.challenge([terms], 0, 683)
            voucher = renter.conditional(challenge, terms.step)
            await killed(process, renter.audit(challenge, voucher))
        with child(rig):
            seen = await renter.see()
            assert seen.proven is not None
            assert seen.proven.voucher.core() == voucher
            answer = (await renter.audit(challenge, voucher)).root
            assert answer.status == "PROVEN"
            assert answer.proof == seen.proven.proof
            await renter.pass_audit([terms], terms.step)

    told(anvil, tmp_path, story, database=database)
    assert (tmp_path / "money.db").exists() == (kind is Kind.SQLITE)


def test_a_voucher_that_was_not_on_disk_was_not_acknowledged(anvil: LocalChain, tmp_path: Path) -> None:
    async def story(rig: Rig, renter: Renter) -> None:
        with child(rig, die="node.farmer.vouchers:save_books") as process:
            await renter.open()
            await killed(process, renter.pay(renter.voucher(500)))
        with child(rig, die="node.farmer.vouchers:told") as process:
            assert (await renter.see()).paid is None
            await killed(process, renter.pay(renter.voucher(500)))
        with child(rig):
            seen = await renter.see()
            assert seen.paid is not None
            assert seen.paid.core() == renter.voucher(500)

    told(anvil, tmp_path, story)


@pytest.mark.parametrize(
    "step",
    [
        "node.incoming_shard:IncomingShard.finish",
        "node.incoming_shard:sync_folder",
        "node.farmer.agreements:countersign_agreement",
        "node.farmer.agreements:save_book",
    ],
)
def test_an_upload_cut_by_a_kill_leaves_no_file_and_may_be_repeated(
    anvil: LocalChain, tmp_path: Path, step: str
) -> None:
    module, _, names = step.partition(":")
    holder, _, function = names.rpartition(".")
    place = f"{module}:{holder}" if holder else module

    async def story(rig: Rig, renter: Renter) -> None:
        with child(rig, die=f"{place}:{function}") as process:
            await renter.open()
            terms = await renter.agree(DATA)
            await renter.propose(terms)
            await killed(process, renter.upload(terms, DATA))
        with child(rig):
            assert files(rig) == []
            assert (await renter.agreement(terms)).state is AgreementState.PROPOSED
            assert (await renter.upload(terms, DATA)).state is AgreementState.STORED
            await renter.pass_audit([terms], 0)

    told(anvil, tmp_path, story)


def test_a_deletion_cut_by_a_kill_is_finished_by_the_next_start(anvil: LocalChain, tmp_path: Path) -> None:
    async def story(rig: Rig, renter: Renter) -> None:
        with child(rig, die="node.aside:Aside:take") as process:
            await renter.open()
            terms = await renter.store(DATA)
            await killed(process, renter.delete(terms))
        assert files(rig) == [".shard"]
        with child(rig):
            assert files(rig) == []
            assert (await renter.agreement(terms)).state is AgreementState.DELETED
        (put_aside,) = places(rig.folder).shards.rglob(renter.name(terms).hex())
        assert put_aside.read_bytes() == DATA

    told(anvil, tmp_path, story)


def test_a_countersigned_shard_survives_a_kill_before_the_answer(anvil: LocalChain, tmp_path: Path) -> None:
    async def story(rig: Rig, renter: Renter) -> None:
        with child(rig, die="node.farmer.admission:see_channel") as process:
            await killed(process, renter.open())
        with child(rig, die="node.farmer.agreements:view") as process:
            await renter.open()
            terms = await renter.agree(DATA)
            await killed(process, renter.propose(terms))
        with child(rig) as process:
            stored = await renter.upload(terms, DATA)
            process.kill()
            process.wait()
        with child(rig):
            assert await renter.agreement(terms) == stored
            await renter.pass_audit([terms], 0)

    told(anvil, tmp_path, story)
