import asyncio
import hashlib
import json
import re
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from payments.types import Address
from settlement.abi import CHANNELS, encode_constructor
from settlement.deployment import Deployment
from settlement.local_chain import dev_keys
from settlement.rpc import Rpc
from settlement.transactions import send_now
from tests.cli.conftest import FARMERS, PASSWORD, Farm, Market, Tithe, make_wallet
from tests.cli.warm import TITHE

CONTENT = hashlib.shake_256(b"files").digest(300_000)


@pytest.fixture(scope="module")
def shop(market: Market) -> Market:
    """The market with funded channels and one stored file."""
    market.renter("channel", "fund", "--amount", "5", "--yes")
    (market.renter.folder / "story.bin").write_bytes(CONTENT)
    market.renter("put", "story.bin")
    return market


# Peers


def test_peers_are_listed_with_their_prices(market: Market) -> None:
    peers = market.renter("peers", "list", "--json").json["peers"]
    assert {one["peer"]["urls"][0] for one in peers} == {farm.url for farm in market.farms}
    shown = market.renter("peers", "list", "--ask").out
    assert "0.002" in shown
    free = re.findall(r"(\d+(?:\.\d+)?) GB", shown)
    assert len(free) == len(market.farms)
    assert all(
        0 < float(one) < 94.2 for one in free
    )  # of 100 GB a sixteenth goes to trees; the disk has less


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:9", "cannot be reached"),
        ("http://", "no address of a farmer"),
        ("farmer", "no address of a farmer"),
        ("ftp://127.0.0.1", "no address of a farmer"),
        ("http://[::1", "no address of a farmer"),
    ],
)
def test_peer_that_is_none_is_told(market: Market, url: str, says: str) -> None:
    assert says in market.renter("peers", "add", url, expect=1).error


def test_one_bad_address_does_not_stop_the_others(market: Market) -> None:
    done = market.renter("peers", "add", "http://127.0.0.1:9", market.farms[0].url, "--json", expect=1)
    assert len(done.json["added"]) == 1
    assert "127.0.0.1:9" in done.error


def test_farmer_of_another_chain_is_refused(market: Market, tmp_path: Path) -> None:
    stranger = Tithe(tmp_path)
    make_wallet(stranger)
    stranger("chain", "up", "--port", "0", "--detach", "--block-time", "0.1")
    try:
        stranger("chain", "deploy", "--tokens", "0")
        assert "not on ours" in stranger("peers", "add", market.farms[0].url, expect=1).error
    finally:
        stranger("chain", "down")


async def another_contract(url: str) -> Address:
    """Put a second PaymentChannels on a chain, past the deployment proxy."""
    async with await Rpc.open(url) as rpc:
        receipt = await send_now(rpc, dev_keys()[0], None, encode_constructor(CHANNELS))
    assert receipt.contract is not None
    return receipt.contract


def test_another_contract_on_the_same_chain_has_books_of_its_own(shop: Market) -> None:
    renter = shop.renter
    before = renter("ls", "--json").json
    channels = renter("channel", "list", "--json").json["channels"]
    ours = Deployment.load(renter.home / "chains" / "local.json")
    other = replace(ours, contract=asyncio.run(another_contract(ours.url)))
    other.save(renter.folder / "other.json")
    renter("chain", "add", ours.url, renter.folder / "other.json", "--name", "second")
    renter("chain", "use", "second")
    try:
        assert renter("ls", "--json").json == []
        assert renter("peers", "list", "--json").json["peers"] == []
        assert renter("channel", "list", "--json").json["channels"] == []
        assert renter("audit", "--json").json["report"]["results"] == []
        assert "nothing to close" in renter("channel", "close", "--yes", expect=1).error
    finally:
        renter("chain", "use", "local")
        (renter.home / "chains" / "second.json").unlink()
    assert renter("ls", "--json").json == before
    assert renter("channel", "list", "--json").json["channels"] == channels


def test_forgotten_farmer_can_be_met_again(market: Market) -> None:
    peers = market.renter("peers", "list", "--json").json["peers"]
    node = peers[0]["peer"]["node"]
    assert market.renter("peers", "rm", node[:12], "--json").json["forgotten"] == [node]
    assert len(market.renter("peers", "list", "--json").json["peers"]) == FARMERS - 1
    assert "no farmer begins with" in market.renter("peers", "rm", node[:12], expect=2).error
    market.renter("peers", "add", peers[0]["peer"]["urls"][0])
    assert len(market.renter("peers", "list", "--json").json["peers"]) == FARMERS


# Files


def test_put_before_funding_says_what_to_do(market: Market, tmp_path: Path) -> None:
    poor = market.renter.another("poor")
    poor("chain", "add", _url(market.renter), market.renter.home / "chains" / "local.json")
    poor("peers", "add", *(farm.url for farm in market.farms))
    (tmp_path / "file").write_bytes(b"x")
    assert "tithe channel fund" in poor("put", tmp_path / "file", expect=1).error
    assert poor("ls", "--json").json == []


def test_files_are_listed_and_read_back_while_the_chain_is_away(shop: Market) -> None:
    record = shop.renter.home / "chains" / "local.json"
    known = record.read_text()
    shop.renter("ls")
    record.write_text(json.dumps(json.loads(known) | {"url": "http://127.0.0.1:9"}))
    try:
        listed = shop.renter("ls", "--json")
        assert [one["name"] for one in listed.json] == ["story.bin"]
        assert "no answer from the chain" in listed.err
        assert shop.renter("stat", "story.bin", "--json").json["file"]["name"] == "story.bin"
        assert len(shop.renter("peers", "list", "--json").json["peers"]) == FARMERS
        out = shop.renter.folder / "away.bin"
        shop.renter("get", "story.bin", "-o", out)
        assert out.read_bytes() == CONTENT
        assert "no answer from the chain" in shop.renter("audit", expect=4).error
    finally:
        record.write_text(known)


def test_put_file_comes_back_byte_for_byte(shop: Market) -> None:
    out = shop.renter.folder / "back.bin"
    told = shop.renter("get", "story.bin", "-o", out, "--json").json
    assert out.read_bytes() == CONTENT
    assert told["get"]["file"]["sha256"] == "0x" + hashlib.sha256(CONTENT).hexdigest()
    assert int(told["get"]["paid"]) > 0


def test_put_tells_until_when_the_file_is_safe(shop: Market) -> None:
    (shop.renter.folder / "safe.bin").write_bytes(b"x" * 1000)
    done = shop.renter("put", "safe.bin", "--for", "60d", "--n", "3", "--k", "2")
    assert "any 2 of 3 shards" in done.out
    assert "without tithe rent run" in done.out
    (info,) = [info for info in shop.renter("ls", "--json").json if info["name"] == "safe.bin"]
    assert time.time() < info["safe_until"] < info["ends_at"]
    shop.renter("rm", "safe.bin")


def test_put_for_longer_than_farmers_offer_says_so(shop: Market) -> None:
    done = shop.renter("put", "story.bin", "--as", "ever", "--for", "2000d")
    assert "offer less than 2000d" in done.err
    shop.renter("rm", "ever")


@pytest.mark.parametrize("size", [0, 1])
def test_smallest_files_come_back_through_pipes(shop: Market, size: int) -> None:
    name = f"tiny{size}"
    shop.renter("put", "-", "--as", name, stdin="x" * size)
    assert shop.renter("get", name, "-o", "-").out == "x" * size
    shop.renter("rm", name)


def test_ls_and_stat_need_no_password(shop: Market) -> None:
    assert "story.bin" in shop.renter("ls", env={"TITHE_PASSWORD_FILE": None}).out
    health = shop.renter("stat", "story.bin", "--json", env={"TITHE_PASSWORD_FILE": None}).json
    (segment,) = health["segments"]
    assert (segment["healthy"], segment["missing"], health["repairs"]) == (FARMERS, [], [])
    assert "300 kB in 1 segment" in shop.renter("stat", "story.bin").out


@pytest.mark.parametrize("command", [("get",), ("stat",), ("rm",), ("audit",)])
def test_unknown_file_is_one_line(shop: Market, command: tuple[str, ...]) -> None:
    assert "no file 'nothing' is stored" in shop.renter(*command, "nothing", expect=1).error


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("absent",), 1, "no such file"),
        (("/",), 1, "is a directory"),
        (("/dev/null",), 1, "is no regular file"),
        (("-",), 2, "--as"),
        (("story.bin",), 1, "already"),
        (("story.bin", "--as", "x", "--k", "3", "--n", "2"), 1, "no shape"),
        (("story.bin", "--as", "x", "--n", "9"), 1, "9 farmers needed"),
        (("story.bin", "--as", "x", "--k", "0"), 2, "--k"),
        (("story.bin", "--as", "x", "--for", "soon"), 2, "no duration"),
        (("story.bin", "--as", "x", "--segment-size", "1TB"), 1, "from 1024 to 67108864"),
        (("story.bin", "--as", "b\x1b[31m"), 2, "no name for a file"),
        (("story.bin", "--as", ""), 2, "no name for a file"),
    ],
)
def test_put_refuses_what_cannot_be(shop: Market, arguments: tuple[str, ...], code: int, says: str) -> None:
    line = shop.renter("put", *arguments, expect=code).error
    assert says in line
    assert "unexpected" not in line
    assert "\x1b" not in line


def test_get_does_not_replace_what_is_there_unless_told(shop: Market) -> None:
    out = shop.renter.folder / "precious"
    out.write_text("mine")
    assert "--force" in shop.renter("get", "story.bin", "-o", out, expect=1).error
    assert out.read_text() == "mine"
    shop.renter("get", "story.bin", "-o", out, "--force")
    assert out.read_bytes() == CONTENT


def test_get_reads_a_range(shop: Market) -> None:
    assert shop.renter("get", "story.bin", "--range", "0-", "-o", "all").out
    out = shop.renter.folder / "some"
    told = shop.renter("get", "story.bin", "-r", "70000-70099", "-o", out, "--json").json
    assert out.read_bytes() == CONTENT[70_000:70_100]
    assert (told["get"]["offset"], told["get"]["length"]) == (70_000, 100)
    assert "100 B of 300 kB" in shop.renter("get", "story.bin", "-r", "-100", "-o", out, "--force").out
    assert out.read_bytes() == CONTENT[-100:]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--range", "0-9"), 2, "-o FILE"),
        (("--range", "9-0", "-o", "x"), 2, "no range"),
        (("--range", "300001-", "-o", "x"), 1, "300000 bytes"),
    ],
)
def test_get_refuses_ranges_that_cannot_be(
    shop: Market, arguments: tuple[str, ...], code: int, says: str
) -> None:
    assert says in shop.renter("get", "story.bin", *arguments, expect=code).error
    assert not (shop.renter.folder / "x").exists()


def test_get_into_a_folder_that_is_not_there(shop: Market) -> None:
    line = shop.renter("get", "story.bin", "-o", "nowhere/story.bin", expect=1).error
    assert "nowhere" in line


def test_wrong_password_and_no_password_leave_files_closed(shop: Market) -> None:
    (shop.renter.folder / "wrong").write_text("guess\n")
    for command in (("get", "story.bin", "-o", "x"), ("audit",), ("rm", "story.bin")):
        line = shop.renter(*command, "--password-file", "wrong", expect=3).error
        assert line == "tithe: wrong password for the renter's keys"
        assert "--password-file" in shop.renter(*command, expect=3, env={"TITHE_PASSWORD_FILE": None}).error
    assert not (shop.renter.folder / "x").exists()


def test_a_master_key_that_is_gone_is_not_made_anew(shop: Market) -> None:
    key = shop.renter.home / "renter" / "master.key"
    aside = key.rename(key.with_name("aside"))
    try:
        assert "master.key is gone" in shop.renter("get", "story.bin", "-o", "x", expect=1).error
        assert not key.exists()
    finally:
        aside.rename(key)


def test_put_at_a_terminal_asks_once_and_shows_no_secret(shop: Market) -> None:
    (shop.renter.folder / "typed.bin").write_bytes(b"typed")
    screen = shop.renter.at_terminal(
        "put", "typed.bin", answers=[("Password for the renter's keys", PASSWORD)]
    )
    assert "Stored" in screen
    assert PASSWORD not in screen
    shop.renter("rm", "typed.bin")


def test_name_with_markup_or_control_letters_is_shown_as_it_is(shop: Market) -> None:
    shop.renter("put", "story.bin", "--as", "[red]x[/red]")
    assert "[red]x[/red]" in shop.renter("ls").out
    assert "[red]x[/red]" in shop.renter("rm", "[red]x[/red]").out


# Audits and payments


def test_audit_pays_each_farmer_for_its_proof(shop: Market) -> None:
    told = shop.renter("audit", "story.bin", "--rounds", "2", "--json").json
    assert told["outcomes"] == {"PASSED": 2 * FARMERS}
    assert all(payment["delivered"] for payment in told["report"]["payments"])
    assert "passed" in shop.renter("audit").out


def test_farmer_claims_what_it_was_paid(shop: Market) -> None:
    shop.renter("audit")
    farm = shop.farms[0].tithe
    before = farm("farm", "status", "--json").json["status"]
    assert int(before["claimable"]) > 0
    assert before["audits_passed"] > 0
    shown = farm("farm", "status").out
    assert "below the minimum of 1 TITHE" in shown
    (claim,) = farm("farm", "claim", "--all", "--json").json["claims"]
    assert claim["claimed"] == before["earned"]
    (held,) = farm("wallet", "balance", "--json").json["balances"]
    assert held["tokens"] == before["earned"]
    (voucher,) = farm("farm", "vouchers", "--json").json["vouchers"]
    assert voucher["claimed"] == before["earned"]
    assert voucher["paid"]["cumulative_amount"] == before["earned"]


def test_prepay_makes_files_safe_for_longer(shop: Market) -> None:
    def safe_until() -> int:
        return int(
            next(
                info["safe_until"] for info in shop.renter("ls", "--json").json if info["name"] == "story.bin"
            )
        )

    before = safe_until()
    assert "--yes" in shop.renter("rent", "prepay", "14", expect=1).error
    asked = shop.renter.at_terminal(
        "rent", "prepay", "14", answers=[("Password", PASSWORD), ("[y/N]", "n")], expect=1
    )
    assert f"TITHE to {FARMERS} farmers for 14d ahead" in asked
    assert safe_until() == before
    told = shop.renter("rent", "prepay", "14", "--yes", "--json").json
    assert told["seconds"] == 14 * 86_400
    assert len(told["payments"]) == FARMERS
    assert safe_until() >= before + 13 * 86_400
    again = shop.renter("rent", "prepay", "14", "--yes", "--json").json["payments"]
    first = {payment["farmer"]: int(payment["added"]) for payment in told["payments"]}
    assert all(int(payment["added"]) < first[payment["farmer"]] / 100 for payment in again)
    assert shop.renter("rent", "prepay", "forever", "--yes", expect=2).error


def test_rent_run_steps_until_it_is_stopped(shop: Market) -> None:
    process = subprocess.Popen(
        [TITHE, "rent", "run", "--json"],
        cwd=shop.renter.folder,
        env=shop.renter.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        tick = json.loads(process.stdout.readline())["tick"]
        assert tick["next_at"] > tick["at"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "payments" in json.loads(out.splitlines()[-1])
        assert "Traceback" not in err
    finally:
        process.kill()
        process.communicate()


def test_a_lost_shard_is_made_anew_with_another_farmer(shop: Market) -> None:
    renter = shop.renter
    (renter.folder / "mended.bin").write_bytes(CONTENT[:5_000])
    renter("put", "mended.bin", "--k", "1", "--n", "2")
    first, second = renter("stat", "mended.bin", "--json").json["shards"]
    for farm in shop.farms:
        for path in (farm.tithe.home / "farm" / "shards").rglob(f"{first['agreement'][2:]}.shard"):
            path.unlink()
    renter("audit", "mended.bin", expect=1)
    assert "weak" in renter("ls").out
    assert "1 shard to be made anew" in renter("stat", "mended.bin").out
    (told,) = renter("repair", "--yes", "--json").json["repairs"]
    assert (told["ending"], told["rebuilt"]) == ("REPAIRED", 1)
    holders = {shard["farmer"] for shard in renter("stat", "mended.bin", "--json").json["shards"]}
    assert second["farmer"] in holders
    assert first["farmer"] not in holders
    renter("get", "mended.bin", "-o", "mended.back")
    assert (renter.folder / "mended.back").read_bytes() == CONTENT[:5_000]
    renter("rm", "mended.bin")


def test_lost_and_unreachable_shards_are_told(shop: Market) -> None:
    lost, gone = shop.farms[1], shop.farms[2]
    for shard in (lost.tithe.home / "farm" / "shards").rglob("*.shard"):
        shard.unlink()
    gone.kill()
    done = shop.renter("audit", "--json", expect=1)
    assert done.json["outcomes"] == {"PASSED": 1, "FAILED": 1, "OFFLINE": 1}
    assert "1 shard lost" in done.error
    assert "tithe stat story.bin" in done.error
    shown = shop.renter("stat", "story.bin").out
    assert "2 of 3 shards" in shown
    assert "FAILED" in shown
    assert "no answer yet" in shown
    out = shop.renter.folder / "rescued.bin"
    shop.renter("get", "story.bin", "-o", out)
    assert out.read_bytes() == CONTENT


def test_a_repair_is_planned_and_shown_and_needs_farmers(shop: Market) -> None:
    renter = shop.renter
    stat = renter("stat", "story.bin")
    assert "good: 2 of 3 shards" in stat.out
    assert "none is due" in stat.out
    assert "Nothing is to be repaired" in renter("repair", "--dry-run").err
    (plan,) = renter("repair", "--full", "--dry-run", "--json").json["plans"]
    assert (plan["file"], plan["health"]["missing"]) == ("story.bin", [plan["health"]["missing"][0]])
    assert "--yes" in renter("repair", "--full", expect=1).error
    assert "no funded farmer is left" in renter("repair", "--full", "--yes", expect=1).error
    assert renter("repair", "--json").json["repairs"] == []
    (listed,) = renter("ls", "--json").json
    assert listed["condition"] == "GOOD"


def test_until_when_a_file_is_kept_is_the_owners_to_say(shop: Market) -> None:
    def kept() -> int | None:
        until: int | None = shop.renter("ls", "--json").json[0]["kept_until"]
        return until

    assert kept() is None
    shop.renter("keep", "story.bin", "--for", "400d")
    until = kept()
    assert until is not None
    assert abs(until - time.time() - 400 * 86_400) < 600
    assert "you remove it" in shop.renter("keep", "story.bin", "--forever").out
    assert kept() is None
    assert "--forever" in shop.renter("keep", "story.bin", expect=2).error
    assert "no file" in shop.renter("keep", "nothing", "--forever", expect=1).error


def test_removed_file_is_gone_and_who_could_not_be_told_is_named(shop: Market) -> None:
    told = shop.renter("rm", "story.bin", "--json").json
    assert len(told["pending"]) == 1
    assert shop.renter("ls", "--json").json == []
    assert "tithe put FILE" in shop.renter("ls").err


def test_file_that_too_few_farmers_keep_is_not_read(shop: Market) -> None:
    gone: Farm = shop.farms[2]
    gone.start()
    shop.renter("peers", "add", gone.url)
    (shop.renter.folder / "fragile.bin").write_bytes(b"fragile" * 100)
    shop.renter("put", "fragile.bin", "--k", "3", "--n", "3")
    gone.kill()
    out = shop.renter.folder / "fragile.back"
    line = shop.renter("get", "fragile.bin", "-o", out, expect=1).error
    assert "2 good shards of segment 0, 3 needed" in line
    assert not out.exists()
    assert not list(shop.renter.folder.glob(".*.part"))


def _url(tithe: Tithe) -> str:
    (chain,) = tithe("chain", "list", "--json").json
    url: str = chain["deployment"]["url"]
    return url
