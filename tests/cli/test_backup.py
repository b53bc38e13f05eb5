"""`tithe backup` and `tithe restore` as a user runs them, on a machine that has nothing but a phrase."""

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from node.cli import exports
from node.cli.errors import NotDone
from node.cli.export_keys import KeySource
from node.cli.passwords import Passwords
from node.export import read_label
from node.home import Home
from settlement.copies import Copies
from settlement.errors import StorageError
from settlement.wallet import LIGHT_SCRYPT_N, Wallets, key_from_phrase
from tests.cli.conftest import PASSWORD, Market, Tithe, make_farm_key, make_wallet
from tests.disks import files_of_at_most, leave_log

PHRASE = "test test test test test test test test test test test junk"
SECRET_NAME = "letters to the notary.txt"
FIRST = hashlib.shake_256(b"first").digest(150_000)
SECOND = hashlib.shake_256(b"second").digest(90_000)


@pytest.fixture(scope="module")
def story(market: Market) -> Market:
    """A renter with the keys of a phrase; an export that is older than its last file."""
    renter = market.renter
    shutil.rmtree(renter.home / "renter")
    shutil.rmtree(renter.home / "wallets")
    wallets = Wallets(renter.home / "wallets")
    wallets.folder.mkdir()
    wallets.save("main", key_from_phrase(PHRASE), PASSWORD, scrypt_n=LIGHT_SCRYPT_N)
    (renter.folder / "phrase").write_text(PHRASE + "\n")
    renter("peers", "add", *(farm.url for farm in market.farms))
    renter("channel", "fund", "--amount", "5", "--yes")
    (renter.folder / "one").write_bytes(FIRST)
    (renter.folder / "two").write_bytes(SECOND)
    renter("put", "one", "--as", SECRET_NAME, "--k", "2")
    renter("backup", "renter.tithe")
    renter("put", "two", "--k", "2")
    renter("audit")
    return market


def empty_machine(market: Market, name: str) -> Tithe:
    """A home that knows the chain, and nothing else."""
    machine = market.renter.another(name)
    record = market.renter.home / "chains" / "local.json"
    machine("chain", "add", _url(record), record)
    return machine


def _url(record: Path) -> str:
    return str(json.loads(record.read_text())["url"])


def read_back(machine: Tithe, name: str) -> bytes:
    out = machine.folder / f"{machine.home.name}.{len(name)}.back"
    machine("get", name, "--out", out)
    return out.read_bytes()


def test_phrase_and_export_bring_everything_back_also_what_was_put_later(story: Market) -> None:
    machine = story.renter.another("empty")
    told = machine("restore", "renter.tithe", "--phrase-file", "phrase", "--json", "--chain", "local").json
    assert told["reconciled"]["found"] == ["two"]
    assert told["reconciled"]["frozen"] == []
    assert read_back(machine, SECRET_NAME) == FIRST
    assert read_back(machine, "two") == SECOND
    passed = machine("audit", "--json").json["report"]["results"]
    assert {one["outcome"] for one in passed} == {"PASSED"}


def test_phrase_and_one_farmer_bring_everything_back(story: Market) -> None:
    machine = empty_machine(story, "nothing")
    url = story.farms[0].url
    told = machine("restore", "--from", url, "--phrase-file", "phrase", "--json").json
    assert set(told["reconciled"]["found"]) == {SECRET_NAME, "two"}
    assert read_back(machine, SECRET_NAME) == FIRST


def test_export_tells_nobody_what_is_in_it(story: Market) -> None:
    export = (story.renter.folder / "renter.tithe").read_bytes()
    for secret in (SECRET_NAME.encode(), b"SQLite format", *_secrets(story.renter)):
        assert secret not in export


def test_export_with_keys_needs_its_passphrase_and_then_nothing_else(story: Market, tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("for the stick\n")
    story.renter("backup", "--with-keys", "stick.tithe", "--password-file", passphrase)
    export = (story.renter.folder / "stick.tithe").read_bytes()
    assert not any(secret in export for secret in _secrets(story.renter))
    with (story.renter.folder / "stick.tithe").open("rb") as stream:
        assert read_label(stream, Path("x")).keys
    machine = story.renter.another("stick")
    refused = machine("restore", "stick.tithe", expect=3)
    assert "wrong password for the keys in the export" in refused.error
    assert not (machine.home / "renter").exists()


def _secrets(renter: Tithe) -> list[bytes]:
    seed = bytes.fromhex((renter.home / "renter" / "node.key").read_text().strip())
    account = key_from_phrase(PHRASE).secret
    keys = [seed, account, Wallets(renter.home / "renter").unlock("signer", PASSWORD).secret]
    return [form for key in keys for form in (key, key.hex().encode())]


def test_damaged_export_changes_nothing(story: Market) -> None:
    export = (story.renter.folder / "renter.tithe").read_bytes()
    (story.renter.folder / "cut.tithe").write_bytes(export[:-40])
    machine = story.renter.another("damaged")
    told = machine("restore", "cut.tithe", "--phrase-file", "phrase", expect=1).error
    assert "cut.tithe is no good export: it is cut short" in told
    assert [path for path in machine.home.rglob("*") if path.is_file()] == []


def test_another_phrase_is_told(story: Market, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("legal winner thank year wave sausage worth useful legal winner thank yellow\n")
    machine = story.renter.another("stranger")
    told = machine("restore", "renter.tithe", "--phrase-file", other, expect=1).error
    assert "another phrase" in told


def test_books_that_are_here_are_not_replaced_unasked(story: Market) -> None:
    assert "not replaced" in story.renter("restore", "renter.tithe", expect=1).error
    assert "exists and is not replaced" in story.renter("backup", "renter.tithe", expect=1).error


def test_farmer_comes_back_from_an_export_with_its_keys(story: Market) -> None:
    farm = story.farms[0]
    farm.tithe("farm", "backup", "--with-keys", "farm.tithe")
    assert "stop it first" in farm.tithe("farm", "restore", "farm.tithe", "--replace", expect=1).error
    before = farm.tithe("farm", "status", "--json").json
    farm.stop()
    machine = farm.tithe.another("moved")
    machine("farm", "restore", "farm.tithe")
    shutil.move(farm.tithe.home / "farm" / "shards", machine.home / "farm" / "shards")
    shutil.rmtree(farm.tithe.home)
    shutil.move(machine.home, farm.tithe.home)
    farm.start("--no-claims")
    after = farm.tithe("farm", "status", "--json").json
    assert after["status"]["earned"] == before["status"]["earned"]
    assert "restored from a copy" in " ".join(after["status"]["trouble"])
    story.renter("peers", "add", farm.url)
    story.renter("audit")
    assert farm.tithe("farm", "status", "--json").json["status"]["trouble"] == []


def test_damaged_books_are_found_at_the_start_and_the_newest_copy_brings_them_back(story: Market) -> None:
    renter, farm = story.renter, story.farms[1]
    (books,) = (renter.home / "renter").glob("*/money.db")
    (its,) = (farm.tithe.home / "farm").glob("*/money.db")
    Copies(its, its.parent / "copies").take()
    renter("audit")  # of which the farmer's copy knows nothing
    Copies(books, books.parent / "copies").take()
    farm.stop()
    before = farm.tithe("farm", "status", "--json").json
    for money in (books, its):
        with money.open("r+b") as file:
            file.seek(money.stat().st_size // 4096 // 2 * 4096)
            file.write(b"\xa5" * 4096)
        for log in money.parent.glob("money.db-*"):
            log.unlink()
    assert "damaged" in (told := farm.tithe("farm", "run", expect=1).error)
    assert "tithe farm restore --copy" in told
    assert "tithe restore --copy" in renter("ls", expect=1).error
    farm.tithe("farm", "restore", "--copy")
    farm.start("--no-claims")
    assert len(renter("restore", "--copy", "--json").json["reconciled"]["frozen"]) == 1  # it has moved
    renter("peers", "add", farm.url)
    passed = renter("audit", "--json").json["report"]["results"]
    assert {one["outcome"] for one in passed} == {"PASSED"}
    step = sum(int(one["earned"]) for one in passed if one["farmer"] == before["node"])
    after = farm.tithe("farm", "status", "--json").json
    assert int(after["status"]["earned"]) == int(before["status"]["earned"]) + step > step


@pytest.mark.parametrize("way", ["export", "copy", "phrase"])
def test_restored_books_are_frozen_whatever_log_the_dead_ones_have_left(
    story: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    place, keys = Home(tmp_path / "home"), KeySource(Passwords())
    shutil.copytree(story.renter.home, place.root)
    monkeypatch.setenv("TITHE_HOME", str(place.root))
    (books,) = (place.root / "renter").glob("*/money.db")
    Copies(books, books.parent / "copies").take()
    leave_log(books, "UPDATE channels SET salt = zeroblob(32)")
    books.unlink()
    if way == "export":
        exports.restore(place, exports.RENTER, story.renter.folder / "renter.tithe", keys, 9, replace=False)
    elif way == "copy":
        exports.restore_copy(place, exports.RENTER, "local", 9)
    else:
        exports.begin_from_phrase(place, "local", keys, 9, replace=False)
    with closing(sqlite3.connect(books)) as conn:
        assert conn.execute("SELECT restored_at FROM restoration").fetchall() == [(9,)]
        assert conn.execute("SELECT count(*) FROM channels WHERE salt = zeroblob(32)").fetchone() == (0,)


def test_books_that_a_command_uses_are_not_replaced(story: Market, tmp_path: Path) -> None:
    place = Home(tmp_path / "home")
    shutil.copytree(story.renter.home, place.root)
    (books,) = (place.root / "renter").glob("*/money.db")
    hold = "import sqlite3, sys; conn = sqlite3.connect(sys.argv[1]); conn.execute('SELECT * FROM channels');"
    hold += "print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(books)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "open\n"
        export, keys = story.renter.folder / "renter.tithe", KeySource(Passwords())
        with pytest.raises(NotDone, match="in use, by tithe rent run"):
            exports.restore(place, exports.RENTER, export, keys, 9, replace=True)
        command.communicate()
    exports.restore(place, exports.RENTER, export, keys, 9, replace=True)


def test_full_disk_leaves_no_half_of_an_export(story: Market, tmp_path: Path) -> None:
    def files() -> set[Path]:
        return {path for path in story.renter.home.rglob("*") if not path.name.endswith(("-wal", "-shm"))}

    place, before = Home(story.renter.home), files()
    (tmp_path / "whole").write_bytes(bytes(30_000))
    with files_of_at_most(20_000):
        with pytest.raises((OSError, StorageError)):
            exports.write(place, exports.RENTER, tmp_path / "export", None, 0)
        with pytest.raises(OSError, match="File too large"):
            exports._place(tmp_path / "whole", tmp_path / "export")
    assert files() == before
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]
    exports.write(place, exports.RENTER, tmp_path / "export", None, 0)


def test_backup_of_nobody_says_so(tithe: Tithe) -> None:
    tithe.home.mkdir()
    make_wallet(tithe)
    make_farm_key(tithe)
    assert "there is no renter here" in tithe("backup", "x", expect=1).error
    assert "name one of" in tithe("restore", expect=2).error
