"""A farmer's owner and its running daemon: is it running, what troubles it, claim now, look at the disk."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from node.cli.errors import NotDone
from node.cli.key_files import load_node_key
from node.cli.session import home
from node.clock import wall_clock
from node.errors import CannotCheck, DamagedFile
from node.home import read_json

if TYPE_CHECKING:
    from node.api.owner import ClaimReport
    from node.daemon import FarmerDaemon
    from node.farmer.config import FarmerConfig
    from node.farmer.scanner import Scan
    from node.farmer.trash import TakenBack
    from node.home import Home
    from node.transport import Target
    from payments.vouchers import SigningKey
    from settlement.client import Chain
    from settlement.database import Database
    from settlement.deployment import Deployment

CLAIM_SECONDS = 900.0
"""A claim waits for its confirmations."""
RESTORE_SECONDS = 120.0
"""For a batch of files that a slow disk moves one by one."""
LISTENS_SECONDS = 2.0
"""For a connection to this machine."""


def load_config() -> "FarmerConfig":
    """Read the farmer's configuration. Raises NotDone where there is none, DamagedFile."""
    from node.farmer.config import FarmerConfig

    try:
        return FarmerConfig.load(home().farm_config)
    except FileNotFoundError:
        raise NotDone("no farmer is set up here: tithe farm init") from None


@contextmanager
def open_books(place: "Home", config: "FarmerConfig", record: "Deployment") -> "Iterator[Database]":
    """Open the farmer's books for reading. Raises StorageError."""
    from node.db import farmer

    money = place.farm_state(record.folder).money
    database = farmer.open_books(
        money, config.database, lambda: load_node_key(place.farm_node_key).node, record.folder
    )
    try:
        yield database
    finally:
        database.close()


def try_books(place: "Home", config: "FarmerConfig", record: "Deployment") -> None:
    """Open the books once, so that a database that cannot be used is named at once. Raises StorageError."""
    with open_books(place, config, record):
        pass


def make_daemon(
    place: "Home",
    config: "FarmerConfig",
    record: "Deployment",
    key: "SigningKey | None",
    chain: "Chain",
    *,
    accept_loss: bool = False,
) -> "FarmerDaemon":
    """Put a farmer of this home together."""
    from node.daemon import FarmerDaemon, Places

    state = place.farm_state(record.folder)
    places = Places(state.money, state.stats, place.farm_shards, place.farm_config, place.farm_running)
    node_key = load_node_key(place.farm_node_key)
    return FarmerDaemon(config, record, places, node_key, gas_key=key, chain=chain, accept_loss=accept_loss)


def running_target() -> "Target | None":
    """Where the daemon of this home listens, if it says that it runs.

    One that was killed still says so, and its process id may be somebody else's by now (in a container that
    starts again it is our own), so somebody must listen there too.
    """
    from node.transport import Target

    place = home()
    try:
        said = read_json(place.farm_running)
        os.kill(int(said["pid"]), 0)
        url = str(said["url"])
        address = urlsplit(url)
        socket.create_connection((address.hostname or "", address.port or 0), LISTENS_SECONDS).close()
        return Target(load_node_key(place.farm_node_key).node, (url,))
    except (OSError, DamagedFile, KeyError, TypeError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Said:
    """What only the running daemon knows: its newest counts, and what troubles it."""

    counters: Mapping[str, int]
    trouble: tuple[str, ...]


async def ask_status(target: "Target") -> Said:
    """Ask the daemon how it is."""
    from node.api.owner import StatusMessage
    from node.transport import Transport

    async with Transport(load_node_key(home().farm_node_key), wall_clock) as transport:
        try:
            told = await transport.get(target, "/v1/owner/status", StatusMessage)
        except CannotCheck as error:
            return Said({}, (f"the farmer does not answer: {error}",))
    counters = {"audits_passed": told.audits_passed, "audits_failed": told.audits_failed}
    return Said(counters, told.trouble)


async def ask_scan(target: "Target", tell: "Callable[[Scan], None]") -> "Scan":
    """Have the daemon read every shard, to the end of the pass; `tell` hears how far it is.

    NodeError's branches say what stands in the way.
    """
    from node.api.owner import ScanMessage, ScanOn
    from node.transport import Transport

    began = 0
    async with Transport(load_node_key(home().farm_node_key), wall_clock) as transport:
        while True:
            told = await transport.post(target, "/v1/owner/scan", ScanOn(began=began), ScanMessage)
            found, began = told.core(), began or told.began
            if not found.running or found.began != began:
                return found
            tell(found)


async def ask_take_back(target: "Target", shards: "Sequence[bytes]") -> "tuple[TakenBack, ...]":
    """Have the daemon take shards out of the trash; NodeError's branches say what became of the request."""
    from node.api.owner import RestoreReport, RestoreTrash
    from node.farmer.trash import BATCH
    from node.transport import Patience, Transport

    done: list[TakenBack] = []
    key = load_node_key(home().farm_node_key)
    async with Transport(key, wall_clock, Patience(stall=RESTORE_SECONDS)) as transport:
        for start in range(0, len(shards), BATCH):
            wanted = RestoreTrash(shards=tuple(shards[start : start + BATCH]))
            told = await transport.post(target, "/v1/owner/trash", wanted, RestoreReport)
            done += [one.core() for one in told.shards]
    return tuple(done)


async def ask_claim(target: "Target", *, everything: bool) -> "ClaimReport":
    """Have the daemon claim; NodeError's branches say what became of the request."""
    from node.api.owner import ClaimAll, ClaimReport
    from node.transport import Patience, Transport

    key = load_node_key(home().farm_node_key)
    async with Transport(key, wall_clock, Patience(stall=CLAIM_SECONDS)) as transport:
        return await transport.post(target, "/v1/owner/claim", ClaimAll(everything=everything), ClaimReport)
