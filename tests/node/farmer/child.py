"""A farmer as a process of its own: `python child.py FOLDER`, configured by FOLDER/child.json.

Prints its URL once it serves. `die` names a function of the farmer's: the process ends itself by SIGKILL the
first time that function is called, so a test can choose between which two steps it dies.
"""

import asyncio
import json
import logging
import os
import pkgutil
import signal
import sys
from pathlib import Path
from typing import NoReturn

from node.daemon import FarmerDaemon, Places
from node.farmer.config import FarmerConfig
from node.identity import NodeKey
from payments.vouchers import SigningKey
from settlement.deployment import Deployment


def die(*_: object, **__: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def plant(name: str) -> None:
    module, _, function = name.rpartition(":")
    setattr(pkgutil.resolve_name(module), function, die)


async def main(folder: Path) -> None:
    given = json.loads((folder / "child.json").read_text())
    if given.get("die"):
        plant(given["die"])
    daemon = FarmerDaemon(
        FarmerConfig.load(folder / "config.json"),
        Deployment.load(folder / "deployment.json"),
        Places(folder / "money.db", folder / "stats.db", folder / "shards"),
        NodeKey(bytes.fromhex(given["node_key"])),
        gas_key=SigningKey(bytes.fromhex(given["gas_key"])),
    )
    async with daemon:
        print(daemon.url, flush=True)  # noqa: T201 - the test waits for it
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(Path(sys.argv[1])))
