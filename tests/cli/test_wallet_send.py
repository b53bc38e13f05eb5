import pytest

from tests.cli.conftest import PASSWORD, Tithe, make_wallet

ETHER = 10**18


@pytest.fixture(scope="module")
def shop(local: Tithe) -> str:
    make_wallet(local, "shop")
    return "shop"


def tokens_of(tithe: Tithe, owner: str) -> int:
    (held,) = tithe("wallet", "balance", owner, "--json").json["balances"]
    return int(held["tokens"])


def test_send_moves_tokens_and_tells_the_fee(local: Tithe, shop: str) -> None:
    before = tokens_of(local, shop)
    told = local("wallet", "send", shop, "12.5", "--wallet", "main", "--yes", "--json").json
    assert told["amount"] == str(125 * ETHER // 10)
    assert int(told["fee"]) > 0
    assert tokens_of(local, shop) - before == 125 * ETHER // 10


def test_sending_the_same_again_sends_again(local: Tithe, shop: str) -> None:
    before = tokens_of(local, shop)
    for _ in range(2):
        assert "Sent 1 TITHE" in local("wallet", "send", shop, "1", "--wallet", "main", "--yes").out
    assert tokens_of(local, shop) - before == 2 * ETHER


def test_send_ether(local: Tithe, shop: str) -> None:
    told = local("wallet", "send", shop, "0.1", "--eth", "--wallet", "main", "--yes", "--json").json
    assert told["gas"] == 21_000
    (held,) = local("wallet", "balance", shop, "--json").json["balances"]
    assert int(held["wei"]) == ETHER // 10


def test_send_asks_first(local: Tithe, shop: str) -> None:
    before = tokens_of(local, shop)
    done = local("wallet", "send", shop, "1", "--wallet", "main", expect=1)
    assert "--yes" in done.error
    command = ("wallet", "send", shop, "1", "--wallet", "main")
    assert "nothing was done" in local.at_terminal(*command, answers=[("[y/N]", "n")], expect=1)
    assert tokens_of(local, shop) == before
    screen = local.at_terminal(*command, answers=[("[y/N]", "y"), ("Password", PASSWORD)])
    assert "Sent 1 TITHE" in screen
    assert tokens_of(local, shop) == before + ETHER


def test_send_more_than_there_is_says_what_there_is(local: Tithe, shop: str) -> None:
    done = local("wallet", "send", shop, "1000000", "--wallet", "main", "--yes", expect=1)
    assert "TITHE, less than that" in done.error


@pytest.mark.parametrize("amount", ["0", "-1", "1e3", "a lot", "0.0000000000000000001"])
def test_send_of_a_bad_amount_is_refused(local: Tithe, shop: str, amount: str) -> None:
    assert local("wallet", "send", "--wallet", "main", "--yes", "--", shop, amount, expect=2).error


def test_send_with_the_wrong_password_is_refused(local: Tithe, shop: str) -> None:
    (local.folder / "wrong").write_text("guess\n")
    done = local(
        "wallet", "send", shop, "1", "--wallet", "main", "--yes", "--password-file", "wrong", expect=3
    )
    assert done.error == "tithe: wrong password for wallet main"


def test_send_from_a_locked_wallet_without_a_terminal_is_refused(local: Tithe, shop: str) -> None:
    done = local(
        "wallet", "send", shop, "1", "--wallet", "main", "--yes", expect=3, env={"TITHE_PASSWORD_FILE": None}
    )
    assert "--password-file" in done.error


def test_send_without_gas_money_says_what_is_missing(local: Tithe) -> None:
    make_wallet(local, "poor")
    local("chain", "give", "poor", "--eth", "0", "--tokens", "5")
    done = local("wallet", "send", "main", "1", "--wallet", "poor", "--yes", expect=1)
    assert "gas money" in done.error
