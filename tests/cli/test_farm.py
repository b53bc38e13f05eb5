import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cli.conftest import Farm, Tithe, make_farm_key, make_tower_key, make_wallet
from tests.cli.warm import TITHE
from tests.postgresql import Server

ETHER = 10**18
PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@contextmanager
def running(tithe: Tithe) -> Iterator[dict[str, Any]]:
    """A farmer that runs as a user would run it, and is stopped as a user would."""
    farm = Farm(tithe)
    try:
        yield farm.start()
        assert farm.stop() == 0
    finally:
        farm.kill()


def node_info(url: str) -> Any:  # noqa: ANN401 - JSON
    with urllib.request.urlopen(f"{url}/v1/node", timeout=10) as answer:  # noqa: S310 - our own farmer
        return json.load(answer)


@pytest.fixture(scope="module")
def farm(local: Tithe) -> Tithe:
    """A farmer set up in a home of its own."""
    tithe = local.another("farm")
    make_wallet(tithe)
    make_farm_key(tithe)
    tithe("farm", "init", "--join", local.home, "--port", "0", "--capacity", "5GB")
    return tithe


def test_init_makes_private_keys_and_fills_the_gas_key(farm: Tithe) -> None:
    for name in ("node.key", "gas.json", "config.json"):
        assert (farm.home / "farm" / name).stat().st_mode & 0o777 == 0o600
    status = farm("farm", "status", "--json").json["status"]
    assert int(status["gas"]["balance"]) == ETHER
    assert status["capacity"] == 5 * 10**9
    assert (status["earned"], status["claimable"], status["claimed"]) == ("0", "0", "0")


def test_init_pays_the_wallet_of_the_home(farm: Tithe) -> None:
    (wallet,) = farm("wallet", "list", "--json").json
    assert farm("farm", "settings", "--json").json["settings"]["payee"] == wallet["address"]


def test_init_without_a_wallet_makes_one_to_be_paid_to(local: Tithe) -> None:
    tithe = local.another("newcomer")
    told = tithe("farm", "init", "--join", local.home / "chains" / "local.json", "--json").json
    assert told["payee"] == tithe("wallet", "list", "--json").json[0]["address"]
    assert told["url"] == "http://127.0.0.1:4501"
    assert told["settings"]["offer"]["min_challenge_period"] == 60


def test_init_with_a_cold_payee_makes_no_wallet(local: Tithe) -> None:
    tithe = local.another("cold")
    make_farm_key(tithe)
    told = tithe("farm", "init", "--join", local.home, "--payee", PAYEE, "--storage", "0.5", "--json").json
    assert told["payee"] == PAYEE.lower()
    assert told["settings"]["offer"]["prices"]["storage_per_gb_month"] == str(ETHER // 2)
    assert tithe("wallet", "list", "--json").json == []
    assert tithe("farm", "init", "--payee", PAYEE, expect=1).error.endswith("tithe farm settings")


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--storage", "cheap"), 2, "no amount"),
        (("--capacity", "lots"), 2, "no size"),
        (("--payee", "0x12"), 2, "no address"),
        (("--host", "0.0.0.0"), 2, "--url"),  # noqa: S104 - refused
        (("--join", "nowhere"), 4, "no deployment record"),
        (("--database", "mysql://host/books"), 2, "postgresql://"),
        (("--database", "postgresql://me:secret@host/books"), 2, "no place for a password"),
        ((), 4, "no chain is recorded"),
    ],
)
def test_init_that_cannot_be_leaves_nothing(
    tithe: Tithe, options: tuple[str, ...], code: int, says: str
) -> None:
    assert says in tithe("farm", "init", *options, expect=code).error
    assert not (tithe.home / "farm" / "config.json").exists()


@pytest.mark.parametrize(
    "command", [("run",), ("status",), ("prices",), ("settings",), ("vouchers",), ("claim",)]
)
def test_commands_before_init_say_what_to_do(tithe: Tithe, command: tuple[str, ...]) -> None:
    assert "tithe farm init" in tithe("farm", *command, expect=1).error


def test_run_serves_until_it_is_stopped(farm: Tithe) -> None:
    with running(farm) as told:
        assert node_info(told["url"])["record"]["record"]["node"] == told["node"]
        assert farm("farm", "status", "--json").json["running_at"] == told["url"]
        assert told["url"] in farm("farm", "status").out
        assert "runs already" in farm("farm", "run", expect=1).error
        assert (
            farm("farm", "claim", "--all", "--json", env={"TITHE_PASSWORD_FILE": None}).json["claims"] == []
        )
    assert farm("farm", "status", "--json").json["running_at"] is None


def test_books_may_be_kept_in_postgresql(local: Tithe, postgresql: Server) -> None:
    tithe = local.another("postgresql")
    make_wallet(tithe)
    make_farm_key(tithe)
    options = ("--join", local.home, "--port", "0")
    nowhere = tithe("farm", "init", *options, "--database", "postgresql://127.0.0.1:1/books", expect=1)
    assert "check that the server runs" in nowhere.error
    tithe("farm", "init", *options, "--database", postgresql.url)
    with running(tithe) as told:
        books = f"tithe_{told['node'].removeprefix('0x')[:16]}_"
        schemas = postgresql.sql("SELECT table_schema FROM information_schema.tables").splitlines()
        assert sum(schema.startswith(books) for schema in schemas) > 5
        assert tithe("farm", "status", "--json").json["running_at"] == told["url"]
        assert tithe("farm", "vouchers", "--json").json["vouchers"] == []
    assert not list(tithe.home.glob("farm/*/money.db"))
    assert "pg_dump" in tithe("farm", "backup", "export", expect=1).error


def test_run_takes_over_new_prices_while_it_runs(farm: Tithe) -> None:
    with running(farm) as told:
        changed = farm("farm", "prices", "--storage", "0.0123", "--min-deposit", "2", "--json").json
        assert changed["offer"]["min_deposit"] == str(2 * ETHER)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            quote = node_info(told["url"])["quote"]["quote"]
            if quote["min_deposit"] == str(2 * ETHER):
                break
            time.sleep(0.2)
        assert quote["prices"]["storage_per_gb_month"] == "12300000000000000"
    assert "0.0123 TITHE for a GB" in farm("farm", "prices").out


def test_run_on_a_port_in_use_says_so(local: Tithe) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        tithe = local.another("crowded")
        make_farm_key(tithe)
        port = str(taken.getsockname()[1])
        tithe("farm", "init", "--join", local.home, "--payee", PAYEE, "--port", port)
        assert "is in use" in tithe("farm", "run", expect=1).err.splitlines()[-1]


def test_run_with_the_wrong_password_is_refused(farm: Tithe) -> None:
    (farm.folder / "wrong").write_text("guess\n")
    done = farm("farm", "run", "--password-file", "wrong", expect=3)
    assert done.error == "tithe: wrong password for the farm's gas key"


def test_settings_change_only_what_is_named(farm: Tithe) -> None:
    before = farm("farm", "settings", "--json").json["settings"]
    after = farm(
        *("farm", "settings", "--claim-min", "5", "--claim-age", "14d", "--ether-price", "3000"),
        *("--claim-fee", "10", "--exposure", "0.5", "--contract-signers", "--json"),
    ).json["settings"]
    changed = {
        "claims": before["claims"]
        | {"min_amount": str(5 * ETHER), "max_age": 14 * 86_400, "max_fee_share": 10},
        "gas_price": str(3000 * ETHER),
        "max_exposure": str(ETHER // 2),
        "accept_contract_signers": True,
    }
    assert after == before | changed
    shown = farm("farm", "settings", "--no-contract-signers").out
    assert "5 TITHE, or after 14d" in shown
    assert "contract signers   refused" in shown


def test_damaged_settings_are_named(local: Tithe) -> None:
    tithe = local.another("damaged")
    make_farm_key(tithe)
    tithe("farm", "init", "--join", local.home, "--payee", PAYEE)
    file = tithe.home / "farm" / "config.json"
    file.write_text(file.read_text().replace('"port"', '"prot"'))
    assert "'prot'" in tithe("farm", "status", expect=1).error


def test_status_without_the_chain_shows_the_books_and_the_trouble(local: Tithe) -> None:
    tithe = local.another("alone")
    make_farm_key(tithe)
    tithe("farm", "init", "--join", local.home, "--payee", PAYEE)
    file = tithe.home / "chains" / "local.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"url": "http://127.0.0.1:9"}))
    done = tithe("farm", "status")
    assert "0 TITHE" in done.out
    assert "no answer from the chain" in done.err
    assert "no answer" in tithe("farm", "claim", expect=4).error


def test_check_tells_by_its_exit_status_whether_the_farmer_needs_somebody(farm: Tithe) -> None:
    idle = farm("farm", "check", "--json", expect=5).json
    assert (idle["level"], idle["running"]) == ("attention", False)
    assert [one["code"] for one in idle["findings"]] == ["NOT_RUNNING"]
    assert (
        "ATTENTION: the farmer does not run. Do: start it: tithe farm run."
        in farm("farm", "check", expect=5).out
    )
    with running(farm):
        assert farm("farm", "check").out.splitlines()[-1] == "All is well."
    assert "\ntithebarn_claimable 0\n" in farm("farm", "metrics").out


def test_the_disk_is_looked_after(farm: Tithe) -> None:
    told = farm(
        *("farm", "settings", "--trash-days", "3", "--scan-rate", "1MB", "--keep-free", "2GB", "--json")
    ).json["settings"]
    assert (told["trash_seconds"], told["scan_rate"], told["keep_free"]) == (3 * 86_400, 10**6, 2 * 10**9)
    assert "scan" in farm("farm", "scan").out
    assert "0 damaged" in farm("farm", "scan", "--now").out
    scanned = farm("farm", "scan", "--json").json["scan"]["before"]
    assert "trash" in farm("farm", "status").out
    assert farm("farm", "trash").err.strip() == "The trash is empty."
    (store,) = (path.parent for path in (farm.home / "farm" / "shards").rglob("tithebarn-shards"))
    ended = store / "trash" / "20000" / "ab"
    ended.mkdir(parents=True)
    (ended / ("ab" * 32)).write_bytes(b"ended long ago")
    assert farm("farm", "trash", "--json").json["shards"] == ["0x" + "ab" * 32]
    assert "2024-10-04" in farm("farm", "trash").out
    assert "1 shard not: the books do not know it." in farm("farm", "restore-trash", "--all").out
    assert farm("farm", "restore-trash", "0x" + "ab" * 32, expect=1).error.endswith("taken back")
    assert farm("farm", "restore-trash", expect=2).error == "tithe: name agreements, or say --all"
    with running(farm):
        assert farm("farm", "scan", "--now", "--json").json["scan"]["ended"] > scanned
        refused = farm("farm", "restore-trash", "0x" + "ab" * 32, expect=1)
        assert "1 shard not: the books do not know it." in refused.out
    (store / "tithebarn-shards").write_text("cd" * 32)
    assert "mount the disk of this one" in farm("farm", "run", expect=1).error
    (store / "tithebarn-shards").unlink()


def test_dry_run_quotes_a_claim_without_a_password(farm: Tithe) -> None:
    told = farm("farm", "claim", "--all", "--dry-run", "--json", env={"TITHE_PASSWORD_FILE": None}).json
    assert (told["total"], told["cost"], told["quote"]["transactions"]) == ("0", "0", 0)


def test_towers_are_named_listed_and_dropped(farm: Tithe) -> None:
    tower = f"0x{'5f' * 32}@http://127.0.0.1:4601"
    assert farm("farm", "tower", "add", tower, "--json").json["towers"] == [tower]
    assert farm("farm", "tower", "list").out.strip() == tower
    assert farm("farm", "tower", "rm", "0x5f5f", "--json").json["towers"] == []
    assert farm("farm", "tower", "add", "http://127.0.0.1:4601", expect=2).error.count("0xNODEID@") == 1
    assert farm("farm", "tower", "rm", "0x", expect=1).error.startswith("tithe: 0 towers")
    assert farm("tower", "run", expect=2).error.startswith("tithe: name whom to serve")


def test_a_tower_runs_until_it_is_interrupted_and_says_its_name(farm: Tithe) -> None:
    make_tower_key(farm)
    command = [str(TITHE), "tower", "run", "--anybody", "--port", "0", "--json"]
    with subprocess.Popen(
        command, env=farm.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as tower:
        try:
            assert tower.stdout is not None
            lines = iter(tower.stdout.readline, "}\n")
            told = json.loads("".join(lines) + "}")
            assert told["tower"] == f"{told['node']}@{told['url']}"
            tower.send_signal(signal.SIGINT)
            assert tower.wait(30) == 0
        finally:
            tower.kill()
