"""Wallets: interchangeable with geth's and cast's, tight with their secrets."""

import json
import logging
import os
import stat
import subprocess
from pathlib import Path

import pytest
from eth_account import Account

from payments.vouchers import SigningKey
from settlement import tools
from settlement.errors import MalformedPhrase, MalformedWallet, UnknownWallet, WalletExists, WrongPassword
from settlement.wallet import (
    LIGHT_SCRYPT_N,
    Wallets,
    decrypt,
    key_from_phrase,
    new_key,
    new_phrase,
)

PASSWORD = "pässword with spaces"
JUNK = "test test test test test test test test test test test junk"

# The two examples of the Web3 Secret Storage definition; password "testpassword".
DEFINITION_KEY = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"
DEFINITION = {
    "pbkdf2": {
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
            "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
            "kdf": "pbkdf2",
            "kdfparams": {
                "c": 262144,
                "dklen": 32,
                "prf": "hmac-sha256",
                "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
            },
            "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
        },
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "version": 3,
    },
    "scrypt": {
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
            "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
            "kdf": "scrypt",
            "kdfparams": {
                "dklen": 32,
                "n": 262144,
                "p": 8,
                "r": 1,
                "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
            },
            "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
        },
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "version": 3,
    },
}


@pytest.fixture
def wallets(tmp_path: Path) -> Wallets:
    return Wallets(tmp_path)


def save(wallets: Wallets, name: str = "main") -> SigningKey:
    key = new_key()
    wallets.save(name, key, PASSWORD, scrypt_n=LIGHT_SCRYPT_N)
    return key


def test_a_wallet_opens_with_its_password_only(wallets: Wallets) -> None:
    key = save(wallets)
    assert wallets.unlock("main", PASSWORD).address == key.address
    for wrong in ("", PASSWORD + " ", PASSWORD.upper()):
        with pytest.raises(WrongPassword):
            wallets.unlock("main", wrong)


def test_wallets_are_private_files_and_listed_without_a_password(wallets: Wallets, tmp_path: Path) -> None:
    keys = {name: save(wallets, name) for name in ("b", "a")}
    (tmp_path / "note.json").write_text("{}")
    (tmp_path / "other.txt").write_text("no wallet")
    assert [(entry.name, entry.address) for entry in wallets.list()] == [
        ("a", keys["a"].address),
        ("b", keys["b"].address),
    ]
    for name in keys:
        assert stat.S_IMODE((tmp_path / f"{name}.json").stat().st_mode) == 0o600
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_wallet_is_never_overwritten(wallets: Wallets) -> None:
    key = save(wallets)
    with pytest.raises(WalletExists):
        save(wallets)
    assert wallets.unlock("main", PASSWORD).address == key.address


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 65, "a b", "a\n"])
def test_names_that_are_no_file_names_are_refused(wallets: Wallets, name: str) -> None:
    with pytest.raises(MalformedWallet):
        save(wallets, name)


def test_what_is_missing_or_broken_is_named(wallets: Wallets, tmp_path: Path) -> None:
    with pytest.raises(UnknownWallet):
        wallets.unlock("main", PASSWORD)
    key = save(wallets)
    good = json.loads((tmp_path / "main.json").read_text())
    broken = [
        "nothing",
        json.dumps({**good, "version": 4}),
        json.dumps({**good, "crypto": {}}),
        json.dumps({**good, "crypto": {**good["crypto"], "kdf": "rot13"}}),
        json.dumps({**good, "address": "00" * 20}),
        json.dumps({**good, "crypto": {**good["crypto"], "mac": "zz"}}),
    ]
    for number, content in enumerate(broken):
        (tmp_path / f"broken{number}.json").write_text(content)
        with pytest.raises(MalformedWallet) as caught:
            wallets.unlock(f"broken{number}", PASSWORD)
        assert key.secret.hex() not in str(caught.value)


@pytest.mark.parametrize("kdf", ["pbkdf2", "scrypt"])
def test_the_examples_of_the_definition_open(tmp_path: Path, kdf: str) -> None:
    path = tmp_path / "example.json"
    path.write_text(json.dumps(DEFINITION[kdf]))
    assert decrypt(path, "testpassword").secret.hex() == DEFINITION_KEY


def test_new_wallets_have_geth_s_standard_work(wallets: Wallets, tmp_path: Path) -> None:
    wallets.save("main", new_key(), PASSWORD)
    crypto = json.loads((tmp_path / "main.json").read_text())["crypto"]
    del crypto["kdfparams"]["salt"]
    assert (crypto["kdf"], crypto["kdfparams"]) == ("scrypt", {"dklen": 32, "n": 262144, "r": 8, "p": 1})


def cast(*arguments: str) -> str:
    done = subprocess.run(
        [*tools.foundry("cast"), "wallet", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "CAST_UNSAFE_PASSWORD": PASSWORD},
    )
    return done.stdout


def test_cast_opens_our_wallets(wallets: Wallets, tmp_path: Path) -> None:
    key = save(wallets)
    assert key.secret.hex() in cast("decrypt-keystore", "main.json", "-k", str(tmp_path))


def test_we_open_cast_s_wallets(tmp_path: Path) -> None:
    key = new_key()
    cast("import", "theirs", "-k", str(tmp_path), "--private-key", key.secret.hex())
    assert decrypt(tmp_path / "theirs", PASSWORD).address == key.address
    (tmp_path / "theirs").rename(tmp_path / "theirs.json")
    assert [entry.name for entry in Wallets(tmp_path).list()] == ["theirs"]


def test_eth_account_and_we_read_each_other(wallets: Wallets, tmp_path: Path) -> None:
    key = save(wallets)
    ours = json.loads((tmp_path / "main.json").read_text())
    assert bytes(Account.decrypt(ours, PASSWORD)) == key.secret
    theirs = Account.encrypt(key.secret, PASSWORD, kdf="scrypt", iterations=LIGHT_SCRYPT_N)
    (tmp_path / "theirs.json").write_text(json.dumps(theirs))
    assert wallets.unlock("theirs", PASSWORD).address == key.address


def test_phrases_give_the_accounts_everybody_derives() -> None:
    assert key_from_phrase(JUNK).address.hex() == "f39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    second = key_from_phrase("  " + JUNK.replace(" ", "  "), "m/44'/60'/0'/0/1")
    assert second.address.hex() == "70997970c51812dc3a010c7d01b50e0d17dc79c8"
    assert key_from_phrase(JUNK, passphrase="extra").address != key_from_phrase(JUNK).address


@pytest.mark.parametrize("words", [12, 24])
def test_new_phrases_are_valid_and_never_the_same(words: int) -> None:
    phrases = {new_phrase(words) for _ in range(5)}
    assert {len(phrase.split()) for phrase in phrases} == {words}
    assert len({key_from_phrase(phrase).address for phrase in phrases}) == 5


@pytest.mark.parametrize("phrase", ["", "test", JUNK + " test", JUNK.replace("junk", "test"), "zzz " * 12])
def test_what_is_no_phrase_is_refused_without_repeating_it(phrase: str) -> None:
    with pytest.raises(MalformedPhrase) as caught:
        key_from_phrase(phrase)
    assert caught.value.__cause__ is None
    assert "test" not in str(caught.value)
    with pytest.raises(MalformedPhrase):
        new_phrase(13)
    with pytest.raises(MalformedPhrase):
        key_from_phrase(JUNK, "not a path")


def test_no_secret_is_shown_anywhere(wallets: Wallets, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = save(wallets)
    opened = wallets.unlock("main", PASSWORD)
    shown = " ".join([repr(key), str(opened), repr(wallets.list()), caplog.text])
    assert key.secret.hex() not in shown
    assert PASSWORD not in shown
