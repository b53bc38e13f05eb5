import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from node.cli.identifiers import show_address
from tests.cli.conftest import Tithe, make_wallet
from tests.cli.warm import TITHE

ETHER = 10**18
SOMEBODY = "0x" + "5b" * 20


def wei_of(tithe: Tithe, owner: str) -> tuple[int, int]:
    (held,) = tithe("wallet", "balance", owner, "--json").json["balances"]
    return int(held["tokens"]), int(held["wei"])


def test_deploy_records_the_chain_and_fills_the_wallet(local: Tithe) -> None:
    record = json.loads((local.home / "chains" / "local.json").read_text())
    assert record["local"] is True
    assert record["challenge_period"] == 60
    assert json.loads((local.home / "config.json").read_text())["chain"] == "local"
    assert wei_of(local, "main") == (1000 * ETHER, 10 * ETHER)


def test_deploy_twice_is_refused(local: Tithe) -> None:
    assert "deployed already" in local("chain", "deploy", expect=1).error


def test_second_local_chain_is_refused(local: Tithe) -> None:
    assert "runs already" in local("chain", "up", expect=1).error


def test_show_tells_block_time_and_token(local: Tithe) -> None:
    told = local("chain", "show", "--json").json
    assert told["token"]["symbol"] == "TITHE"
    assert told["block"] > 0
    assert "TITHE, 18 digits" in local("chain", "show").out


def test_give_adds_exactly_what_was_asked(local: Tithe) -> None:
    told = local("chain", "give", SOMEBODY, "--tokens", "12.5", "--eth", "0.25", "--json").json
    assert (told["tokens"], told["wei"]) == ("12500000000000000000", "250000000000000000")
    assert wei_of(local, SOMEBODY) == (125 * ETHER // 10, ETHER // 4)
    assert (
        "12.5 TITHE and 0.25 ETH" in local("chain", "give", SOMEBODY, "--tokens", "12.5", "--eth", "0.25").out
    )
    assert wei_of(local, SOMEBODY) == (25 * ETHER, ETHER // 2)


@pytest.mark.parametrize("amount", ["-1", "1e3", "1,5", "much", "", "0." + "1" * 19, "9" * 30])
def test_give_refuses_a_bad_amount(local: Tithe, amount: str) -> None:
    assert local("chain", "give", SOMEBODY, f"--tokens={amount}", expect=2).error


@pytest.mark.parametrize(
    ("owner", "says"),
    [
        ("nobody", "no wallet 'nobody' is here"),
        ("0x12", "is no address"),
        ("0xf39fd6e51aad88F6F4ce6aB8827279cffFb92266", "mistyped"),
    ],
)
def test_give_to_nobody_is_refused(local: Tithe, owner: str, says: str) -> None:
    done = local("chain", "give", owner, expect=1 if owner == "nobody" else 2)
    assert says in done.error


def test_give_more_than_there_is_is_refused(local: Tithe) -> None:
    assert "has only" in local("chain", "give", SOMEBODY, "--tokens", "70000000000", expect=1).error


def test_warp_moves_the_clock(local: Tithe) -> None:
    before = local("chain", "show", "--json").json["time"]
    told = local("chain", "warp", "12h", "--json").json
    assert told["moved"] == 43_200
    assert told["time"] >= before + 43_200
    assert local("chain", "warp", "12", expect=2).error


def test_balance_lists_wallets_and_strangers(local: Tithe) -> None:
    shown = local("wallet", "balance", "main", SOMEBODY).out
    assert "main" in shown
    assert show_address(bytes.fromhex(SOMEBODY[2:])) in shown
    assert "TITHE" in shown


def test_join_checks_the_chain_and_uses_the_url_given(local: Tithe) -> None:
    friend = local.another("friend")
    url = json.loads((local.home / "chains" / "local.json").read_text())["url"]
    friend("chain", "add", url, local.home / "chains" / "local.json", "--name", "theirs")
    assert friend("chain", "list", "--json").json[0]["current"] is True
    told = friend("chain", "show", "--json").json
    assert told["deployment"]["name"] == "theirs"


def test_join_with_further_endpoints_lives_with_one_that_is_down(local: Tithe, tmp_path: Path) -> None:
    friend = Tithe(tmp_path)
    record = local.home / "chains" / "local.json"
    url = json.loads(record.read_text())["url"]
    options = ["--rpc", url, "--finality", "safe"]
    done = friend("chain", "add", "http://127.0.0.1:9", record, *options, "--json")
    assert (done.json["url"], done.json["finality"]) == (f"http://127.0.0.1:9,{url}", "safe")
    assert "endpoint put aside endpoint=127.0.0.1:9" in done.err
    assert friend("chain", "show", "--json").json["deployment"]["url"] == f"http://127.0.0.1:9,{url}"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"chain_id": 1}, "serves chain 31337, the record says 1"),
        ({"genesis_hash": "0x" + "11" * 32}, "another chain than the recorded one"),
        ({"contract": "0x" + "22" * 20}, "no contract at"),
        ({"url": "http://127.0.0.1:9"}, "no answer from the chain"),
    ],
)
def test_join_of_another_chain_is_refused(
    local: Tithe, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    record = json.loads((local.home / "chains" / "local.json").read_text()) | change
    (tmp_path / "record.json").write_text(json.dumps(record))
    stranger = Tithe(tmp_path)
    done = stranger("chain", "add", record["url"], tmp_path / "record.json", expect=4)
    assert says in done.error
    assert not (stranger.home / "chains").exists()


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"name": "x"}', None])
def test_join_by_something_else_than_a_record_is_refused(tithe: Tithe, content: str | None) -> None:
    if content is not None:
        (tithe.folder / "record.json").write_text(content)
    assert (
        "no deployment record" in tithe("chain", "add", "http://127.0.0.1:9", "record.json", expect=4).error
    )


def test_record_that_no_longer_fits_its_chain_is_told_with_the_remedy(local: Tithe, tmp_path: Path) -> None:
    stale = Tithe(tmp_path)
    make_wallet(stale)
    record = json.loads((local.home / "chains" / "local.json").read_text())
    (stale.home / "chains").mkdir()
    (stale.home / "chains" / "local.json").write_text(json.dumps(record | {"genesis_hash": "0x" + "11" * 32}))
    assert "deploy again" in stale("wallet", "balance", expect=4).error
    stale("chain", "deploy", "--url", record["url"], "--tokens", "0")
    (past,) = (stale.home / "chains" / "past").iterdir()
    assert past.name == f"local-1111111111111111-{record['contract'][2:10]}.json"
    stale("wallet", "balance")


def test_several_chains_want_a_choice(local: Tithe, tmp_path: Path) -> None:
    tithe = Tithe(tmp_path)
    make_wallet(tithe)
    url = json.loads((local.home / "chains" / "local.json").read_text())["url"]
    for name in ("one", "two"):
        tithe("chain", "add", url, local.home / "chains" / "local.json", "--name", name)
    assert tithe("chain", "show", "--json").json["deployment"]["name"] == "two"
    tithe("chain", "use", "one")
    assert tithe("chain", "show", "--json").json["deployment"]["name"] == "one"
    (tithe.home / "config.json").unlink()
    assert "several chains" in tithe("chain", "show", expect=4).error
    assert tithe("chain", "show", "--chain", "two", "--json").json["deployment"]["name"] == "two"
    assert "no chain 'three'" in tithe("chain", "use", "three", expect=4).error


def test_url_with_a_key_in_it_is_not_shown(tithe: Tithe) -> None:
    key = "0123456789abcdef0123456789abcdef"
    done = tithe("chain", "deploy", "--url", f"http://me:{key}@127.0.0.1:9/v3/{key}?token={key}", expect=4)
    assert "127.0.0.1:9" in done.error
    assert key not in done.error


def test_unreachable_chain_is_one_line(tithe: Tithe) -> None:
    assert "no answer" in tithe("chain", "deploy", "--url", "http://127.0.0.1:9", expect=4).error
    assert "http" in tithe("chain", "deploy", "--url", "ipc:///nowhere", expect=4).error


def test_down_without_a_chain_says_so(tithe: Tithe) -> None:
    assert "no local chain" in tithe("chain", "down", expect=1).error


def test_up_on_a_port_in_use_says_so(local: Tithe, tmp_path: Path) -> None:
    port = json.loads((local.home / "chains" / "local.json").read_text())["url"].rpartition(":")[2]
    assert Tithe(tmp_path)("chain", "up", "--port", port, expect=1).error


def test_foreground_chain_ends_with_its_command(tithe: Tithe) -> None:
    process = subprocess.Popen(
        [TITHE, "chain", "up", "--port", "0", "--json"],
        env=tithe.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        told = ""
        while not told.endswith("}\n"):
            told += process.stdout.readline()
        chain = json.loads(told)
        assert Path(f"/proc/{chain['pid']}").exists()
        tithe("chain", "deploy")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _runs(chain["pid"]):
        time.sleep(0.1)
    assert not _runs(chain["pid"])
    assert not (tithe.home / "local-chain.json").exists()


def test_ganache_serves_as_well(tithe: Tithe) -> None:
    make_wallet(tithe)
    tithe("chain", "up", "--kind", "ganache", "--port", "0", "--detach", "--block-time", "0")
    try:
        tithe("chain", "deploy")
        before = tithe("chain", "show", "--json").json["time"]
        assert tithe("chain", "warp", "60s", "--json").json["time"] >= before + 60
        assert wei_of(tithe, "main") == (1000 * ETHER, 10 * ETHER)
    finally:
        tithe("chain", "down")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
