"""A renter in a process of its own that is ended by SIGKILL before or after one of its writes, or in a get.

Arguments: a JSON file that says who it is and what to put, or where to get it to; the number of the write,
"before" or "after"; or how many bytes of the file have come, "get". Prints "done" if it lives to the end.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from node.identity import NodeKey
from node.master_key import MasterKey
from node.renter import TABLES, Keys, Renter
from payments.vouchers import SigningKey
from settlement.client import Chain
from settlement.database import Database
from settlement.deployment import Deployment
from settlement.rpc import Rpc

T = TypeVar("T")


class Mortal(Database):
    """A database whose process dies at one of its writes."""

    number = 0
    fatal = 0
    when = ""

    async def write(self, work: Callable[[Connection], T]) -> T:
        self.number += 1
        mine = self.number
        die((mine, self.when) == (self.fatal, "before"))
        result = await super().write(work)
        die((mine, self.when) == (self.fatal, "after"))
        return result


def die(now: bool) -> None:
    """End at once, if it is time."""
    if now:
        os.kill(os.getpid(), signal.SIGKILL)


async def main(said: dict[str, Any], fatal: int, when: str) -> None:
    deployment = Deployment.from_record(said["deployment"])
    chain = Chain(await Rpc.open("http://127.0.0.1:9"), deployment)  # a put asks the chain nothing
    keys = Keys(
        node=NodeKey(bytes.fromhex(said["node"])),
        signer=SigningKey(bytes.fromhex(said["signer"])),
        master=MasterKey(bytes.fromhex(said["master"])),
        payer=bytes.fromhex(said["payer"]),  # type: ignore[arg-type]  # an Address
    )
    database = Mortal.at(Path(said["database"]), TABLES)
    assert isinstance(database, Mortal)
    database.fatal, database.when = fatal, when
    renter = await Renter.open(database, chain, keys, clock=lambda: said["now"], locks=Path(said["locks"]))
    if when == "get":
        await renter.files.get("file", Path(said["out"]), progress=lambda done, _: die(done >= fatal))
    else:
        await renter.files.put(Path(said["source"]), "file")
    sys.stdout.write("done\n")
    sys.stdout.flush()
    await renter.close()
    database.close()


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2]), sys.argv[3]))
