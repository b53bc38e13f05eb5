"""The outbox after kill -9: wherever the process dies, its wish is carried out exactly once."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from settlement.database import Database
from settlement.local_chain import LocalChain
from settlement.outbox import Outbox
from settlement.tables import TABLES
from tests.settlement.support import payee, run, world

ALICE = payee(1)


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from payments.vouchers import SigningKey
from settlement import outbox as module
from settlement.calls import Call
from settlement.client import Chain
from settlement.database import Database
from settlement.deployment import Deployment
from settlement.outbox import Outbox
from settlement.tables import TABLES

folder, point, secret, data = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Mortal(Outbox):
    async def _send(self, queued):
        if point == "wished":
            die()
        await super()._send(queued)

    async def _broadcast(self, queued, attempt):
        if point == "signed":
            die()
        await super()._broadcast(queued, attempt)
        if point == "broadcast":
            die()

    async def _end(self, queued):
        if point == "mined":
            die()
        await super()._end(queued)

async def main():
    record = Deployment.load(folder / "record.json")
    chain = await Chain.connect(record.url, record)
    outbox = Mortal(Database.at(folder / "money.db", TABLES), chain)
    key = SigningKey(bytes.fromhex(secret))
    queued = await outbox.submit("fund", Call(record.contract, bytes.fromhex(data)), key)
    await outbox.wait(queued)

asyncio.run(main())
"""


@pytest.mark.parametrize("point", ["wished", "signed", "broadcast", "mined"])
def test_after_kill_9_the_wish_is_carried_out_exactly_once(
    anvil: LocalChain, tmp_path: Path, point: str
) -> None:
    async def story() -> None:
        async with world(anvil.url) as w:
            w.chain.deployment.save(tmp_path / "record.json")
            call = w.fund_call([(ALICE, 10)])
            before = await w.chain.rpc.nonce(w.payer.address)
            arguments = [str(tmp_path), point, w.payer.secret.hex(), call.data.hex()]
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, *arguments)
            assert await child.wait() == -signal.SIGKILL
            database = Database.at(tmp_path / "money.db", TABLES)
            try:
                outbox = Outbox(database, w.chain)
                (queued, *rest) = outbox.open()
                assert rest == []
                await outbox.resume([w.payer])
                assert (await outbox.wait(queued.id)).succeeded
                assert await w.chain.rpc.nonce(w.payer.address) == before + 1
                assert (await w.chain.channel_states([w.id(ALICE)]))[0].deposit == 10
            finally:
                database.close()

    run(story())
