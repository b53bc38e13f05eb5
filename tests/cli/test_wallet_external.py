"""A wallet whose key a program like clef keeps: all is signed there, and every no is told in a line."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.cli.identifiers import show_address
from payments.vouchers import SigningKey
from settlement.deployment import Deployment
from settlement.wallet import new_key
from tests.cli.conftest import Farm, Tithe, make_farm_key, make_renter, make_wallet
from tests.settlement.signer import Clef, clef

ETHER = 10**18
TYPED, TRANSACTION = "account_signTypedData", "account_signTransaction"


def chain_of(tithe: Tithe) -> tuple[str, Path]:
    """Where a home's chain is, and its record."""
    record = tithe.home / "chains" / "local.json"
    return Deployment.load(record).url, record


@dataclass(frozen=True)
class Cold:
    """A home whose wallet is at a signer, with tokens and ether; a home to send to."""

    tithe: Tithe
    signer: Clef
    key: SigningKey
    local: Tithe

    @property
    def address(self) -> str:
        return show_address(self.key.address)

    def methods(self) -> list[str]:
        """What the signer was asked since the last time."""
        asked = [request["method"] for request in self.signer.seen]
        self.signer.seen.clear()
        return asked


@pytest.fixture(scope="module")
def place(local: Tithe) -> Iterator[Cold]:
    tithe, key = local.another("cold"), new_key()
    make_renter(tithe)
    tithe("chain", "add", *chain_of(local))
    with clef(key) as signer:
        told = tithe("wallet", "external", signer.url, show_address(key.address), "--json").json
        assert told["address"].lower() == "0x" + key.address.hex()
        local("wallet", "send", show_address(key.address), "20", "--wallet", "main", "--yes")
        local("wallet", "send", show_address(key.address), "2", "--eth", "--wallet", "main", "--yes")
        yield Cold(tithe, signer, key, local)


@pytest.fixture
def cold(place: Cold) -> Iterator[Cold]:
    """The same with a patient owner and nothing asked yet."""
    place.signer.denies, place.signer.changes = False, {}
    place.signer.seen.clear()
    yield place
    for one in place.tithe("wallet", "transactions", "--json").json["transactions"]:
        place.tithe("wallet", "cancel", one["transaction"], "--yes")


def send(cold: Cold, *options: str, expect: int = 0) -> str:
    done = cold.tithe("wallet", "send", cold.address, "1", "--yes", *options, expect=expect)
    return done.out if expect == 0 else done.error


def test_is_listed_and_is_the_wallet_of_the_home(cold: Cold) -> None:
    (wallet,) = cold.tithe("wallet", "list", "--json").json
    assert wallet == {"name": "main", "address": wallet["address"], "default": True}
    assert wallet["address"].lower() == "0x" + cold.key.address.hex()


def test_sends_by_the_signer_without_a_password(cold: Cold) -> None:
    cold.tithe("wallet", "send", cold.address, "1", "--yes", env={"TITHE_PASSWORD_FILE": None})
    assert cold.methods() == [TRANSACTION]


def test_owners_no_is_told_and_nothing_stays_behind(cold: Cold) -> None:
    cold.signer.denies = True
    assert "refused: request denied" in send(cold, expect=1)
    assert cold.tithe("wallet", "transactions", "--json").json["transactions"] == []


@pytest.mark.parametrize("change", [{"value": "0x1"}, {"chainId": "0x1"}])
def test_transaction_or_chain_changed_by_the_owner_is_not_sent(cold: Cold, change: dict[str, str]) -> None:
    cold.signer.changes = change
    assert "approve it unchanged" in send(cold, expect=1)


def test_account_that_the_signer_does_not_have_is_told(cold: Cold) -> None:
    other = cold.local.another("other")
    other("chain", "add", *chain_of(cold.local))
    address = show_address(new_key().address)
    other("wallet", "external", cold.signer.url, address)
    cold.tithe("wallet", "send", address, "0.1", "--eth", "--yes")
    done = other("wallet", "send", cold.address, "0.01", "--eth", "--yes", expect=1)
    assert "refused: unknown account" in done.error


def test_signer_that_is_down_is_named_and_what_was_wanted_waits(cold: Cold) -> None:
    file = cold.tithe.home / "wallets" / "main.json"
    there = file.read_text()
    try:
        file.write_text(there.replace(cold.signer.url, "http://127.0.0.1:9"))
        assert "http://127.0.0.1:9 gave no answer" in send(cold, expect=1)
        (waiting,) = cold.tithe("wallet", "transactions", "--json").json["transactions"]
        assert waiting["state"] == "queued"
        assert "gave no answer" in waiting["why"]
    finally:
        file.write_text(there)


@pytest.mark.parametrize(
    ("url", "address", "code"),
    [
        ("clef.ipc", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", 1),
        ("http://127.0.0.1:8550", "0x12", 2),
    ],
)
def test_what_is_no_signer_or_no_account_is_refused(cold: Cold, url: str, address: str, code: int) -> None:
    assert cold.tithe("wallet", "external", url, address, "--name", "bad", expect=code).error


def test_name_in_use_is_refused(cold: Cold) -> None:
    again = ("wallet", "external", cold.signer.url, cold.address)
    assert "main" in cold.tithe(*again, expect=1).error


def test_funds_and_closes_with_a_permit_that_its_owner_can_read(cold: Cold) -> None:
    farm = Farm(cold.local.another("shop"))
    make_wallet(farm.tithe)
    make_farm_key(farm.tithe)
    farm.tithe("farm", "init", "--join", cold.local.home, "--port", "0")
    try:
        farm.start()
        cold.tithe("peers", "add", farm.url)
        told = cold.tithe("channel", "fund", "--amount", "2", "--yes", "--json").json
        assert int(told["plan"]["total"]) == 2 * ETHER
        typed, _ = (request for request in cold.signer.seen)
        assert typed["params"][1]["message"]["value"] == str(2 * ETHER)
        assert cold.methods() == [TYPED, TRANSACTION]
        cold.tithe("channel", "close", "--yes")
        assert cold.methods() == [TRANSACTION]
    finally:
        farm.kill()
