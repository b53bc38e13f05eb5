"""Exports of a home: which files make one up, and how a home is made of one again, whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.errors import NotDone
from node.cli.export_keys import KeySource, find_account, find_keys, keep_account
from node.cli.farm_owner import running_target
from node.cli.key_files import load_node_key
from node.cli.output import note
from node.cli.passwords import Passwords
from node.cli.session import deployment
from node.home import Home, make_private_directory, read_json
from payments.types import ZERO_ADDRESS, Address, Timestamp

if TYPE_CHECKING:
    from node.export import Label
    from settlement.database import Database


@dataclass(frozen=True, slots=True)
class Role:
    """What differs between a renter's export and a farmer's. `keys`, `files`: patterns below the home."""

    name: str
    folder: str
    keys: tuple[str, ...]
    files: tuple[str, ...]

    def node_key(self, place: Home) -> Path:
        """Where its identity is."""
        return place.root / self.folder / "node.key"


RENTER = Role(
    "renter",
    "renter",
    ("renter/node.key", "renter/signer.json", "renter/master.key", "renter/account.json", "wallets/*.json"),
    ("config.json", "chains/*.json"),
)
FARMER = Role(
    "farmer", "farm", ("farm/node.key", "farm/gas.json"), ("farm/config.json", "config.json", "chains/*.json")
)


def account_of(place: Home) -> Address | None:
    """Of which account's phrase the renter's keys were made; None where of none."""
    try:
        return Address(bytes.fromhex(str(read_json(place.renter_account)["account"]).removeprefix("0x")))
    except (FileNotFoundError, KeyError, ValueError):
        return None


def payer(place: Home) -> Address:
    """In whose name a restored renter looks for its channels."""
    return account_of(place) or ZERO_ADDRESS


def write(place: Home, role: Role, file: Path, passwords: Passwords | None, now: int) -> "Label":
    """Write an export; with `passwords` its keys are inside. Raises AlreadyThere, NotDone, StorageError."""
    from node.errors import AlreadyThere
    from node.export import Label, Part, write_export
    from node.key_box import seal_keys
    from settlement.copies import copy_database

    if file.exists():
        raise AlreadyThere(file)
    try:
        key = load_node_key(role.node_key(place))
    except FileNotFoundError:
        raise NotDone(f"there is no {role.name} here: {role.node_key(place)} is missing") from None
    sealed = b""
    if passwords is not None:
        kept = {name: (place.root / name).read_bytes() for name in _names(place, role.keys)}
        sealed = seal_keys(kept, passwords.choose("the keys in the export"))
    label = Label(role.name, key.node, account_of(place) if role is RENTER else None, Timestamp(now), sealed)
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=place.root) as scratch:
        parts = [Part(name, place.root / name) for name in _names(place, role.files)]
        for number, name in enumerate(_names(place, (f"{role.folder}/*/money.db",))):
            copy = Path(scratch) / f"{number}.db"
            copy_database(place.root / name, copy)
            parts.append(Part(name, copy))
        whole = Path(scratch) / "export"
        with whole.open("xb") as out:
            write_export(out, label, key, parts)
        _place(whole, file)
    return label


def restore(place: Home, role: Role, file: Path, source: KeySource, now: int, *, replace: bool) -> "Label":
    """Make a home, empty or not, into what an export says. Raises before anything is changed.

    Raises DamagedExport, NotThisNode, AlreadyThere, Locked's branches, NotDone, StorageError.
    """
    from node.export import read_export, read_label

    _refuse_running(role)
    if not file.is_file():
        raise NotDone(f"{file}: no such file")
    make_private_directory(place.root)
    with file.open("rb") as stream:
        label = read_label(stream, file)
        if label.role != role.name:
            raise NotDone(f"{file} is the export of a {label.role}: {_command(label.role)} {file}")
        key, keep = find_keys(place, role.node_key(place), label, source)
        stream.seek(0)
        with _scratch(place) as folder:
            label = read_export(stream, file, key, folder)
            databases = sorted(folder.glob(f"{role.folder}/*/money.db"))
            for database in databases:
                _mark(role, database, label.taken_at, now)
            for database in databases:
                _make_room(place.root / database.relative_to(folder), now, replace=replace)
            keep()
            for found in sorted(path for path in folder.rglob("*") if path.is_file()):
                target = place.root / found.relative_to(folder)
                if found.suffix == ".db" or not target.exists():
                    make_private_directory(target.parent)
                    _place(found, target)
    return label


def restore_copy(place: Home, role: Role, chain: str | None, now: int) -> None:
    """Go on from the newest good copy that the node made itself. Raises NotDone, StorageError."""
    from settlement.copies import Copies

    _refuse_running(role)
    record = deployment(chain)
    state = place.farm_state(record.folder) if role is FARMER else place.renter_state(record.folder)
    found = Copies(state.money, state.copies).newest_good()
    if found is None:
        raise NotDone(
            f"there is no good copy in {state.copies}: restore an export by {_command(role.name)} FILE"
        )
    with _scratch(place) as folder:
        copy = folder / "money.db"
        shutil.copyfile(found, copy)
        _mark(role, copy, Timestamp(int(found.stat().st_mtime)), now)
        _make_room(state.money, now, replace=True)
        _place(copy, state.money)
    note(f"Went on from {found}.")


def begin_from_phrase(place: Home, chain: str | None, source: KeySource, now: int, *, replace: bool) -> None:
    """Begin with empty books and the keys of a phrase. Raises NotDone, AlreadyThere, Locked's branches."""
    state = place.renter_state(deployment(chain).folder)
    if not place.renter_node_key.exists():
        keep_account(place, find_account(place, None, source), source)
    with _scratch(place) as folder:
        empty = folder / "money.db"
        _mark(RENTER, empty, Timestamp(0), now)
        _make_room(state.money, now, replace=replace)
        _place(empty, state.money)


def _mark(role: Role, path: Path, taken_at: Timestamp, now: int) -> None:
    """Check a database and freeze everything in it."""
    from settlement.copies import check_database

    if path.exists():
        check_database(path)
    with closing(_open(role, path)) as database:
        if role is RENTER:
            from node.renter.shelf import begin_again

            database.write_sync(lambda conn: begin_again(conn, taken_at, Timestamp(now)))
        else:
            from node.farmer import restored

            database.write_sync(lambda conn: restored.begin_again(conn, taken_at, Timestamp(now)))


def _open(role: Role, path: Path) -> "Database":
    from settlement.database import Database

    if role is RENTER:
        from node.renter.renter import TABLES

        return Database.at(path, TABLES)
    from node.db.farmer import TABLES as OURS
    from settlement.tables import TABLES as CHAIN

    return Database.at(path, [*CHAIN, *OURS])


def _make_room(money: Path, now: int, *, replace: bool) -> None:
    """Set the books that are here aside, if there are any and that was asked for."""
    from node.errors import AlreadyThere

    if not money.exists():
        return
    if not replace:
        raise AlreadyThere(money)
    for name in (money.name, f"{money.name}-wal", f"{money.name}-shm"):
        if (found := money.with_name(name)).exists():
            found.rename(found.with_name(f"{found.name}.before-{now}"))


def _refuse_running(role: Role) -> None:
    if role is FARMER and (target := running_target()) is not None:
        raise NotDone(f"this farmer runs, at {target.urls[0]}: stop it first")


def _command(role: str) -> str:
    return "tithe restore" if role == RENTER.name else "tithe farm restore"


def _names(place: Home, patterns: tuple[str, ...]) -> list[str]:
    return sorted(
        str(path.relative_to(place.root)) for pattern in patterns for path in place.root.glob(pattern)
    )


@contextmanager
def _scratch(place: Home) -> Iterator[Path]:
    with ExitStack() as stack:
        yield Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".restore-", dir=place.root)))


def _place(whole: Path, target: Path) -> None:
    """Move a finished file to its place, durably, also to another disk."""
    import os

    from settlement.files import sync_folder

    beside = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(whole, beside)
        beside.chmod(0o600)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(target.parent)
