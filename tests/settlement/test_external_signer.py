"""External signers: the same transaction as with the key at hand, and nothing else is believed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from payments.eip712 import Domain, domain_separator
from payments.funding import (
    Authorization,
    Funding,
    Permit,
    WitnessedTransfer,
    sign_authorization,
    sign_permit,
    sign_transfer,
)
from payments.relay_fees import RelayFee, sign_fee
from payments.typed_data import DomainFields
from payments.types import Address, Amount, ChannelId, Seconds, Timestamp
from payments.vouchers import SigningKey
from settlement.errors import MalformedWallet, SignedDifferently, SignerRefused, SignerUnreachable
from settlement.external_signer import ExternalSigner
from settlement.rpc import Fees
from settlement.transactions import Transaction, sign_transaction
from settlement.wallet import Wallets, new_key
from tests.settlement.signer import Clef, clef

KEY = new_key()
TIPPED = Fees(cap=3 * 10**9, priority=10**9)
LEGACY = Fees(cap=3 * 10**9, priority=None)


def transaction(fees: Fees = TIPPED, *, to: Address | None = Address(b"\x11" * 20)) -> Transaction:  # noqa: B008 - a value
    return Transaction(31_337, 7, to, os.urandom(100), 5, 90_000, fees)


@pytest.fixture
def signer() -> Iterator[Clef]:
    with clef(KEY) as running:
        yield running


@pytest.mark.parametrize("asked", [transaction(), transaction(LEGACY), transaction(to=None)])
def test_signs_the_same_bytes_as_the_key_itself(signer: Clef, asked: Transaction) -> None:
    external = ExternalSigner(signer.url, KEY.address)
    assert sign_transaction(asked, external) == sign_transaction(asked, KEY)


@pytest.mark.parametrize("change", [{"value": "0x6"}, {"nonce": "0x8"}, {"maxFeePerGas": "0xb2d05e01"}])
def test_transaction_changed_by_the_signers_owner_is_not_sent(signer: Clef, change: dict[str, str]) -> None:
    signer.changes = change
    with pytest.raises(SignedDifferently):
        sign_transaction(transaction(), ExternalSigner(signer.url, KEY.address))


TOKEN = DomainFields("Storage", "1", 31_337, Address(b"\x22" * 20))
ORDER = Funding(
    KEY.address, KEY.address, TOKEN.contract, Seconds(60), bytes(32), (b"\x01" * 32, b"\x02" * 32)
)
SEPARATOR = domain_separator(TOKEN.name, "1", TOKEN.chain_id, TOKEN.contract)


def sign_everything(key: SigningKey, domain: DomainFields | None = TOKEN) -> list[object]:
    """All that a payer or payee signs beside transactions."""
    tithebarn = Domain(31_337, Address(b"\x33" * 20))
    fee = RelayFee(KEY.address, ChannelId(b"\x05" * 32), Amount(2**95), Amount(7), Timestamp(2**40))
    permit = Permit(KEY.address, TOKEN.contract, 2**255, 3, 2**40)
    authorization = Authorization(KEY.address, TOKEN.contract, 5, 0, 2**40, b"\x06" * 32)
    transfer = WitnessedTransfer(TOKEN.contract, 9, TOKEN.contract, 11, 2**40, ORDER)
    return [
        sign_fee(tithebarn, fee, key),
        sign_permit(SEPARATOR, permit, key, domain),
        sign_authorization(SEPARATOR, authorization, key, domain),
        sign_transfer(31_337, transfer, key),
    ]


def test_typed_data_is_shown_in_words_and_signed_as_by_the_key_itself(signer: Clef) -> None:
    external = ExternalSigner(signer.url, KEY.address)
    assert sign_everything(external) == sign_everything(KEY) == sign_everything(KEY, None)
    shown = [request["params"][1] for request in signer.seen]
    assert [one["primaryType"] for one in shown] == [
        "RelayFee",
        "Permit",
        "ReceiveWithAuthorization",
        "PermitWitnessTransferFrom",
    ]
    assert shown[0]["domain"]["name"] == "Tithebarn"
    assert shown[0]["message"]["maximum"] == "7"


def test_typed_data_changed_by_the_signers_owner_is_not_taken(signer: Clef) -> None:
    signer.changes = {"maximum": "8"}
    with pytest.raises(SignedDifferently):
        sign_everything(ExternalSigner(signer.url, KEY.address))


def test_owners_no_to_typed_data_is_told(signer: Clef) -> None:
    signer.denies = True
    with pytest.raises(SignerRefused, match="request denied"):
        sign_everything(ExternalSigner(signer.url, KEY.address))


def test_owners_no_is_told(signer: Clef) -> None:
    signer.denies = True
    with pytest.raises(SignerRefused, match="request denied"):
        sign_transaction(transaction(), ExternalSigner(signer.url, KEY.address))


def test_account_of_another_is_refused(signer: Clef) -> None:
    with pytest.raises(SignerRefused, match="unknown account"):
        sign_transaction(transaction(), ExternalSigner(signer.url, new_key().address))


def test_signer_that_is_not_there_is_named() -> None:
    with pytest.raises(SignerUnreachable, match=r"127\.0\.0\.1:9"):
        sign_transaction(transaction(), ExternalSigner("http://127.0.0.1:9", KEY.address))


def test_bare_digests_and_its_secret_are_not_to_be_had(signer: Clef) -> None:
    external = ExternalSigner(signer.url, KEY.address)
    with pytest.raises(SignerRefused):
        external.sign(bytes(32))
    with pytest.raises(SignerRefused):
        _ = external.secret
    assert signer.seen == []


def test_wallet_remembers_signer_and_account(tmp_path: Path) -> None:
    wallets = Wallets(tmp_path)
    entry = wallets.save_external("cold", "http://127.0.0.1:8550", KEY.address)
    assert wallets.list() == [entry]
    found = wallets.external("cold")
    assert found is not None
    assert found.address == KEY.address
    with pytest.raises(MalformedWallet, match="no address of a signer"):
        wallets.save_external("other", "file:///etc/passwd", KEY.address)
