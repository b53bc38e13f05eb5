"""The scanner: reads every stored shard again, little by little, and gives up what is damaged.

One pass after another, each begun a day after the one before at the earliest, at no more than the configured
bytes a second. Where it stands is kept with the statistics, so that a restart goes on there; if that is lost,
a pass begins anew, and nothing else is.
"""

import asyncio
import json
import logging
import math
from dataclasses import asdict, dataclass, replace
from typing import Final

from node.db.farmer_agreements import load_agreement
from node.db.stats import Statistics
from node.farmer.hoard import Hoard
from node.farmer.losses import give_up
from node.messages import AgreementState
from node.store_faults import ShardDamaged, ShardMissing, StoreFault

log = logging.getLogger("tithebarn.farmer")

NOTE: Final = "scan"
DAY: Final = 86_400
FOLDERS: Final = 256


@dataclass(frozen=True, slots=True)
class Scan:
    """How far a pass has come, and what the last whole one found. Times are unix seconds, 0: never.

    folder: the sub-folder it is in, 0 to 255. last: the last shard read there, as hex. shards, bytes,
    damaged: of this pass. found: damaged shards of the last whole one, which took from `before` to `ended`.
    """

    began: int = 0
    folder: int = 0
    last: str = ""
    shards: int = 0
    bytes: int = 0
    damaged: int = 0
    before: int = 0
    ended: int = 0
    found: int = 0

    @property
    def running(self) -> bool:
        """Whether a pass is under way."""
        return self.began > self.before


def read_scan(stats: Statistics) -> Scan:
    """Return where the scan stands; anew where that is not to be read."""
    try:
        return Scan(**json.loads(stats.notes.get(NOTE, "{}")))
    except (TypeError, ValueError):
        return Scan()


class Scanner:
    """The scan of one hoard."""

    def __init__(self, hoard: Hoard) -> None:
        self._hoard = hoard
        self._scan = read_scan(hoard.stats)
        self._waiting: list[bytes] | None = None
        self._credit = 0.0
        self._reading = asyncio.Lock()

    @property
    def scan(self) -> Scan:
        """Where it stands."""
        return self._scan

    async def step(self, allowed: float) -> None:
        """Read `allowed` bytes; a longer shard is read at once and paid off later. Raises StorageError.

        Nothing while the owner has it read without a limit.
        """
        if self._reading.locked():
            return
        async with self._reading:
            self._credit = min(self._credit + allowed, allowed)
            try:
                while self._credit > 0 and await self._read_one():
                    pass
            except StoreFault as fault:
                log.warning("scan_stopped code=%s", fault.code)

    async def hurry(self, seconds: float = math.inf, *, began: int = 0) -> Scan:
        """Read on as fast as the disk allows: to the end of the pass, or for so long.

        began: the pass that is meant; 0: the one that runs, or a new one. Raises StoreFault, StorageError.
        """
        async with self._reading:
            clock = asyncio.get_running_loop().time
            until = clock() + seconds
            if not began and not self._scan.running:
                self._begin()
            while self._scan.running and began in (0, self._scan.began) and clock() < until:
                await self._read_one()
            self._credit = 0.0
        return self._scan

    async def _read_one(self) -> bool:
        """Read the next shard; False where there is nothing more to do now. Raises StoreFault."""
        if not self._scan.running:
            if self._hoard.clock() < self._scan.began + DAY:
                return False
            self._begin()
        try:
            shard = await asyncio.to_thread(self._next)
            if shard is not None:
                await self._verify(shard)
        except StoreFault:
            self._waiting = None  # from the cursor, when the disk is there again
            raise
        if shard is None:
            self._end()
        self._hoard.stats.note(NOTE, json.dumps(asdict(self._scan)))
        return shard is not None

    def _begin(self) -> None:
        self._waiting = None
        self._scan = replace(
            self._scan, began=self._hoard.clock(), folder=0, last="", shards=0, bytes=0, damaged=0
        )

    def _end(self) -> None:
        scan = self._scan
        self._scan = replace(scan, before=scan.began, ended=self._hoard.clock(), found=scan.damaged)
        log.info("scan_ended shards=%d bytes=%d damaged=%d", scan.shards, scan.bytes, scan.damaged)

    def _next(self) -> bytes | None:
        """The shard after the cursor, folder by folder. Raises StoreFault."""
        while self._scan.folder < FOLDERS:
            if self._waiting is None:
                self._hoard.store.marker.check()  # no disk looks like a folder with nothing in it
                known = self._hoard.store.shards_of(f"{self._scan.folder:02x}")
                self._waiting = [name for name in known if name.hex() > self._scan.last][::-1]
            if self._waiting:
                return self._waiting.pop()
            self._waiting = None
            self._scan = replace(self._scan, folder=self._scan.folder + 1, last="")
        return None

    async def _verify(self, shard: bytes) -> None:
        """Read one shard that is owed to a renter, and give it up if it is damaged. Raises StoreFault."""
        hoard = self._hoard
        record = hoard.database.read(lambda conn: load_agreement(conn, shard))
        length, damaged = 0, 0
        if record is None:
            await asyncio.to_thread(_drop_stranger, hoard, shard)
        if record is not None and record.state is AgreementState.STORED:
            length = record.agreement.shard_length
            try:
                await asyncio.to_thread(hoard.store.verify, shard, record.agreement.data_root)
            except ShardDamaged as fault:
                spared = await give_up(hoard, {shard: f"found by the scan: {fault.reason}"})
                damaged = int(not spared)
            except ShardMissing:  # deleted meanwhile, as a rule; if not, the next start or audit finds it
                length = 0
        self._credit -= length
        scan = self._scan
        self._scan = replace(
            scan,
            last=shard.hex(),
            shards=scan.shards + bool(length),
            bytes=scan.bytes + length,
            damaged=scan.damaged + damaged,
        )


def _drop_stranger(hoard: Hoard, shard: bytes) -> None:
    """Put a shard that the books do not know into the trash once no agreement can be about it any more.

    Until then they may be an old copy, and its renter may show them the agreement. Raises StoreFault.
    """
    now = hoard.clock()
    with hoard.store.naming_faults():
        try:
            written = hoard.store.path(shard).stat().st_mtime
        except FileNotFoundError:
            return
    if now >= written + hoard.longest:
        hoard.store.put_aside(shard, hoard.store.trash, now)
        log.info("stranger_dropped shard=%s", shard.hex())
