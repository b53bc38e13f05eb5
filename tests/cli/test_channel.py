import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from node.cli.identifiers import show_address
from node.cli.rent_limits import limits_of
from node.home import Home
from payments.types import Address
from settlement.local_chain import dev_keys
from settlement.rpc import Rpc
from settlement.transactions import send_now
from tests.cli.conftest import FARMERS, PASSWORD, Market, Tithe, make_wallet

ETHER = 10**18


def tokens_of(tithe: Tithe, owner: str) -> int:
    (held,) = tithe("wallet", "balance", owner, "--json").json["balances"]
    return int(held["tokens"])


@pytest.fixture(scope="module")
def funded(market: Market) -> Market:
    """The market after `channel fund`."""
    told = market.renter("channel", "fund", "--amount", "2", "--yes", "--json").json
    assert len(told["plan"]["rows"]) == FARMERS
    assert int(told["plan"]["total"]) == 2 * FARMERS * ETHER
    return market


def test_limits_are_shown_and_set_and_nonsense_changes_nothing(market: Market) -> None:
    renter = market.renter
    usual = renter("rent", "limits", "--json").json["limits"]
    assert usual["storage_per_gb_month"] == str(ETHER // 50)
    assert usual["challenge_period"] == 7 * 86_400
    try:
        renter("rent", "limits", "--storage", "0.005", "--challenge-period", "2d")
        refused = renter("rent", "limits", "--audit", "0.0000000000000000001", expect=2)
        assert "finer than the token" in refused.error
        mine = renter("rent", "limits", "--json").json["limits"]
        changed = {"storage_per_gb_month": str(ETHER // 200), "challenge_period": 2 * 86_400}
        assert mine == usual | changed
        path = renter.home / "renter" / "limits.json"
        path.write_text('{"storage": "much"}')
        assert str(path) in renter("rent", "limits", expect=1).error
    finally:
        (renter.home / "renter" / "limits.json").unlink(missing_ok=True)


def test_a_limit_as_fine_as_one_chains_token_holds_on_a_chain_with_a_coarser_one(tmp_path: Path) -> None:
    place = Home(tmp_path)
    place.renter_limits.parent.mkdir(parents=True)
    place.renter_limits.write_text('{"per_audit": "0.000000001", "storage_per_gb_month": "0.0000015"}')
    assert limits_of(place, 18).prices.per_audit == 10**9
    coarse = limits_of(place, 6).prices
    assert (coarse.per_audit, coarse.storage_per_gb_month) == (1, 2)


def test_fund_without_farmers_says_what_to_do(local: Tithe) -> None:
    lonely = local.another("lonely")
    lonely("chain", "add", _url(local), local.home / "chains" / "local.json")
    make_wallet(lonely)
    assert "tithe peers add" in lonely("channel", "fund", "--yes", expect=1).error


@pytest.mark.parametrize(
    "options",
    [
        ("--for", "soon"),
        ("--for", "-1d"),
        ("--size", "big"),
        ("--amount", "1e3"),
        ("--amount", "0." + "1" * 19),
        ("--amount", "1", "--size", "1GB"),
        ("--payer", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        ("--unsigned", "--payer", "0x12"),
        ("0xffffff",),
        ("nobody",),
    ],
)
def test_fund_refuses_what_cannot_be_meant(market: Market, options: tuple[str, ...]) -> None:
    assert market.renter("channel", "fund", "--yes", *options, expect=2).error


def test_fund_beyond_the_balance_says_what_is_missing_in_tokens(market: Market) -> None:
    line = market.renter("channel", "fund", "--amount", "1000", "--yes", expect=1).error
    assert "has 1,000 TITHE, 3,000 TITHE are needed" in line


def test_fund_shows_total_storage_and_gas_and_asks(market: Market) -> None:
    screen = market.renter.at_terminal(
        *("channel", "fund", "--for", "30d", "--size", "10GB"),
        answers=[("Password for wallet main", PASSWORD), ("[y/N]", "")],
        expect=1,
    )
    for part in ("total", "for storage of 10 GB for 30d", "ETH", "nothing was done"):
        assert part in screen
    assert PASSWORD not in screen
    assert market.renter("channel", "list", "--json").json["channels"] == []


def test_fund_unsigned_prints_what_a_cold_wallet_sends(market: Market) -> None:
    told = market.renter("channel", "fund", "--amount", "1", "--unsigned", "--json").json
    assert told["chain_id"] == 31_337
    approve, fund = told["calls"]
    assert approve["data"].startswith("0x095ea7b3")
    assert (approve["value"], fund["value"]) == ("0", "0")
    shown = market.renter("channel", "fund", "--amount", "1", "--unsigned").out
    assert fund["data"][:10] in shown
    assert "Transaction 2 of 2" in shown
    assert tokens_of(market.renter, "main") == 1000 * ETHER


def test_fund_to_the_same_target_again_does_nothing(funded: Market) -> None:
    before = tokens_of(funded.renter, "main")
    done = funded.renter("channel", "fund", "--amount", "2", "--yes", expect=1)
    assert "hold enough already" in done.error
    assert tokens_of(funded.renter, "main") == before == (1000 - 2 * FARMERS) * ETHER


def test_list_and_show_tell_the_same(funded: Market) -> None:
    channels = funded.renter("channel", "list", "--json").json["channels"]
    assert {(one["status"], one["deposit"], one["claimed"]) for one in channels} == {
        ("FUNDED", str(2 * ETHER), "0")
    }
    one = channels[0]
    told = funded.renter("channel", "show", one["channel_id"][:12], "--json").json["channel"]
    assert told == one
    shown = funded.renter("channel", "show", one["channel_id"]).out
    assert one["farmer"] in shown
    assert "2 TITHE" in shown
    assert "no channel begins with" in funded.renter("channel", "show", "0xffffffffff", expect=2).error


def test_list_needs_no_password(funded: Market) -> None:
    funded.renter("channel", "list", env={"TITHE_PASSWORD_FILE": None})
    funded.renter("peers", "list", env={"TITHE_PASSWORD_FILE": None})


def test_top_up_of_one_farmer(funded: Market) -> None:
    (first, *_) = funded.renter("channel", "list", "--json").json["channels"]
    funded.renter("channel", "fund", first["farmer"][:10], "--amount", "3", "--yes")
    told = funded.renter("channel", "show", first["channel_id"], "--json").json["channel"]
    assert told["deposit"] == str(3 * ETHER)


def test_push_of_nothing_says_so(funded: Market) -> None:
    assert "nothing to push" in funded.renter("channel", "push", "--yes", expect=1).error


def test_withdraw_before_close_says_what_comes_first(funded: Market) -> None:
    assert "tithe channel close" in funded.renter("channel", "withdraw", "--yes", expect=1).error


def test_push_pays_what_was_earned_and_close_brings_back_the_rest(funded: Market) -> None:
    renter = funded.renter
    (renter.folder / "story").write_bytes(b"once upon a time" * 1000)
    renter("put", "story")
    renter("audit")
    pushed = renter("channel", "push", "--yes", "--json").json
    assert int(pushed["amount"]) > 0
    channels = {one["channel_id"]: one for one in renter("channel", "list", "--json").json["channels"]}
    assert sum(int(one["claimed"]) for one in channels.values()) == int(pushed["amount"])

    last = min(channels)
    told = renter("channel", "close", last, "--yes").out
    assert "it will free" in told
    assert renter("channel", "show", last, "--json").json["channel"]["status"] == "CLOSING"
    early = renter("channel", "withdraw", "--yes", expect=1)
    assert "opens in" in early.error
    assert "in " in next(line for line in renter("channel", "list").out.splitlines() if last[:10] in line)

    renter("chain", "warp", "61s")
    renter("channel", "withdraw", last, "--yes")
    assert renter("channel", "show", last, "--json").json["channel"]["status"] == "CLOSED"

    before = tokens_of(renter, "main")
    closing = renter_closes_and_waits(renter)
    assert tokens_of(renter, "main") - before == int(closing["amount"])
    assert tokens_of(renter, "main") == 1000 * ETHER - sum(
        int(one["claimed"]) for one in renter("channel", "list", "--json").json["channels"]
    )
    unpaid = renter("audit", expect=1)
    assert f"{FARMERS} shards not asked for: there is no funded channel" in unpaid.error
    assert "not asked" in unpaid.out


def renter_closes_and_waits(renter: Tithe) -> dict[str, str]:
    """Close with --wait, and let the time pass on the chain meanwhile."""
    with ThreadPoolExecutor() as pool:
        closing = pool.submit(renter, "channel", "close", "--wait", "--yes", "--json", timeout=180)
        while "FUNDED" in {one["status"] for one in renter("channel", "list", "--json").json["channels"]}:
            assert not closing.done(), closing.result()
        renter("chain", "warp", "61s")
        told: dict[str, str] = closing.result().json
    assert told["purpose"] == "withdraw"
    return told


def test_close_with_wait_cannot_be_unsigned(market: Market) -> None:
    assert "--wait" in market.renter("channel", "close", "--wait", "--unsigned", expect=2).error


def test_cold_wallet_funds_and_closes_by_what_was_printed(market: Market) -> None:
    cold = dev_keys(2)[1]
    payer = show_address(cold.address)
    renter = market.renter
    renter("chain", "give", payer, "--tokens", "5")

    def sign_and_send(calls: list[dict[str, str]]) -> None:
        async def work() -> None:
            async with await Rpc.open(_url(renter)) as rpc:
                for call in calls:
                    to = Address(bytes.fromhex(call["to"][2:]))
                    await send_now(rpc, cold, to, bytes.fromhex(call["data"][2:]), int(call["value"]))

        asyncio.run(work())

    cold_options = ("--payer", payer, "--unsigned", "--json")
    sign_and_send(renter("channel", "fund", "--amount", "1", *cold_options).json["calls"])
    channels = [
        one
        for one in renter("channel", "list", "--json").json["channels"]
        if one["terms"]["payer"] == payer.lower()
    ]
    assert [one["deposit"] for one in channels] == [str(ETHER)] * FARMERS
    assert all(one["farmer"] for one in channels)

    assert "was funded by" in renter("channel", "close", channels[0]["channel_id"], "--yes", expect=2).error
    sign_and_send(renter("channel", "close", *cold_options).json["calls"])
    renter("chain", "warp", "61s")
    sign_and_send(renter("channel", "withdraw", *cold_options).json["calls"])
    assert tokens_of(renter, payer) == 5 * ETHER


def _url(tithe: Tithe) -> str:
    (chain,) = tithe("chain", "list", "--json").json
    url: str = chain["deployment"]["url"]
    return url
