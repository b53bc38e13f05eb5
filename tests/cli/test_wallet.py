import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from node.cli.identifiers import show_address
from settlement.wallet import Wallets, decrypt, key_from_phrase
from tests.cli.conftest import PASSWORD, Tithe

PHRASE = "test test test test test test test test test test test junk"
FIRST = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
FIRST_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


def test_new_wallet_is_a_private_keystore_and_the_default(tithe: Tithe) -> None:
    told = tithe("wallet", "new", "--json").json
    file = Path(told["file"])
    assert file == tithe.home / "wallets" / "main.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "0x" + decrypt(file, PASSWORD).address.hex() == told["address"]
    assert json.loads((tithe.home / "config.json").read_text())["wallet"] == "main"


def test_new_wallet_keeps_its_phrase_off_pipes(tithe: Tithe) -> None:
    phrase_file = tithe.folder / "phrase"
    done = tithe("wallet", "new", "--phrase-file", phrase_file)
    phrase = phrase_file.read_text().strip()
    assert phrase_file.stat().st_mode & 0o777 == 0o600
    key = key_from_phrase(phrase)
    assert show_address(key.address) in done.out
    said = done.out + done.err
    assert phrase not in said
    assert key.secret.hex() not in said
    assert PASSWORD not in said


def test_new_wallet_without_a_place_for_the_phrase_says_so(tithe: Tithe) -> None:
    done = tithe("wallet", "new")
    warning, hint = done.err.splitlines()
    assert "not shown" in warning
    assert hint.startswith("Next: tithe chain deploy")


def test_phrase_is_shown_once_at_a_terminal(tithe: Tithe) -> None:
    screen = tithe.at_terminal(
        "wallet", "new", answers=[("New password", PASSWORD), ("same again", PASSWORD)]
    )
    line = next(line for line in screen.splitlines() if len(line.split()) == 12 and line.startswith("    "))
    key = key_from_phrase(line.strip())
    assert key.address == decrypt(tithe.home / "wallets" / "main.json", PASSWORD).address
    assert PASSWORD not in screen


def test_passwords_that_differ_create_nothing(tithe: Tithe) -> None:
    screen = tithe.at_terminal("wallet", "new", answers=[("New", "one"), ("again", "two")], expect=3)
    assert "differ" in screen
    assert not tithe.home.exists()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (None, "--password-file"),
        ("empty", "its first line is empty"),
        ("absent", "No such file"),
        ("binary", "not text"),
        ("folder", "directory"),
    ],
)
def test_wallet_without_a_password_stays_unmade(tithe: Tithe, source: str | None, says: str) -> None:
    (tithe.folder / "empty").write_text("\nsecond line\n")
    (tithe.folder / "binary").write_bytes(b"\xff\xfe\n")
    (tithe.folder / "folder").mkdir()
    done = tithe("wallet", "new", expect=3, env={"TITHE_PASSWORD_FILE": source})
    assert says in done.error
    assert not tithe.home.exists()


def test_password_comes_from_a_descriptor(tithe: Tithe) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"from a pipe\nnot this\n")
    os.close(writing)
    tithe("wallet", "new", "--password-fd", str(reading), pass_fds=[reading])
    os.close(reading)
    assert decrypt(tithe.home / "wallets" / "main.json", "from a pipe")


def test_second_wallet_of_the_same_name_is_refused_before_anything_is_asked(
    tithe: Tithe, quick_wallet: Callable[[str], bytes]
) -> None:
    quick_wallet("main")
    before = (tithe.home / "wallets" / "main.json").read_bytes()
    done = tithe("wallet", "new", expect=1, env={"TITHE_PASSWORD_FILE": None})
    assert "main exists already" in done.error
    assert (tithe.home / "wallets" / "main.json").read_bytes() == before


def test_wallet_name_that_leaves_the_folder_is_refused(tithe: Tithe) -> None:
    assert "cannot name a wallet" in tithe("wallet", "new", "../evil", expect=2).error


@pytest.mark.parametrize("words", ["11", "13", "0", "x"])
def test_phrase_of_another_length_is_refused(tithe: Tithe, words: str) -> None:
    assert tithe("wallet", "new", "--words", words, expect=2).error


def test_import_of_a_phrase_finds_the_usual_account(tithe: Tithe) -> None:
    (tithe.folder / "phrase").write_text(f"  {PHRASE}\n")
    assert FIRST in tithe("wallet", "import", "dev", "--phrase-file", "phrase").out


def test_import_asks_for_the_phrase_unseen(tithe: Tithe) -> None:
    screen = tithe.at_terminal(
        "wallet", "import", answers=[("phrase", PHRASE), ("New password", PASSWORD), ("again", PASSWORD)]
    )
    assert FIRST in screen
    assert "junk" not in screen


def test_import_of_another_account_of_the_phrase(tithe: Tithe) -> None:
    (tithe.folder / "phrase").write_text(PHRASE)
    done = tithe("wallet", "import", "--phrase-file", "phrase", "--path", "m/44'/60'/0'/0/1", "--json")
    assert done.json["address"] == "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"


def test_import_of_a_private_key(tithe: Tithe) -> None:
    (tithe.folder / "key").write_text(FIRST_KEY + "\n")
    assert FIRST in tithe("wallet", "import", "--key-file", "key").out


def test_import_of_a_keystore_keeps_its_password(tithe: Tithe, quick_wallet: Callable[[str], bytes]) -> None:
    address = quick_wallet("first")
    keystore = tithe.home / "wallets" / "first.json"
    tithe("wallet", "import", "copy", "--keystore", keystore)
    assert Wallets(tithe.home / "wallets").unlock("copy", PASSWORD).address == address


@pytest.mark.parametrize(
    ("option", "content", "code"),
    [
        ("--phrase-file", "test test test test test test test test test test test test", 1),
        ("--phrase-file", "correct horse battery staple", 1),
        ("--key-file", FIRST_KEY[:-1], 1),
        ("--key-file", "0x" + "00" * 32, 1),
        ("--keystore", "{}", 1),
    ],
)
def test_import_of_nonsense_shows_none_of_it(tithe: Tithe, option: str, content: str, code: int) -> None:
    (tithe.folder / "source").write_text(content)
    done = tithe("wallet", "import", option, "source", expect=code)
    assert content not in done.error
    assert not (tithe.home / "wallets").exists()


def test_import_with_the_wrong_password_says_so(tithe: Tithe, quick_wallet: Callable[[str], bytes]) -> None:
    quick_wallet("first")
    (tithe.folder / "wrong").write_text("something else\n")
    done = tithe(
        *("wallet", "import", "copy", "--keystore", tithe.home / "wallets" / "first.json"),
        *("--password-file", "wrong"),
        expect=3,
    )
    assert "wrong password" in done.error
    assert "something else" not in done.error


def test_three_wrong_answers_are_enough(tithe: Tithe, quick_wallet: Callable[[str], bytes]) -> None:
    quick_wallet("first")
    keystore = str(tithe.home / "wallets" / "first.json")
    wrong = [("Password", "a"), ("Password", "b"), ("Password", "c")]
    screen = tithe.at_terminal("wallet", "import", "copy", "--keystore", keystore, answers=wrong, expect=3)
    assert "wrong password for wallet first" in screen


def test_sources_exclude_each_other(tithe: Tithe) -> None:
    assert "name one" in tithe("wallet", "import", "--key-file", "a", "--keystore", "b", expect=2).error


@pytest.mark.parametrize("option", ["--keystore", "--key-file", "--phrase-file"])
def test_import_from_a_file_that_is_not_there(tithe: Tithe, option: str) -> None:
    assert "o such file" in tithe("wallet", "import", option, "absent", expect=1).error


def test_list_shows_addresses_without_a_password(tithe: Tithe, quick_wallet: Callable[[str], bytes]) -> None:
    addresses = {name: "0x" + quick_wallet(name).hex() for name in ("one", "two")}
    told = tithe("wallet", "list", "--json", env={"TITHE_PASSWORD_FILE": None}).json
    assert {entry["name"]: entry["address"] for entry in told} == addresses
    shown = tithe("wallet", "list").out
    assert "one" in shown
    assert addresses["two"][2:] in shown.lower()


def test_list_of_an_empty_home_is_an_empty_list(tithe: Tithe) -> None:
    assert tithe("wallet", "list", "--json").json == []
    assert "tithe wallet new" in tithe("wallet", "list").err


def test_balance_without_a_chain_names_the_remedy(tithe: Tithe, quick_wallet: Callable[[str], bytes]) -> None:
    quick_wallet("main")
    assert "tithe chain up" in tithe("wallet", "balance", expect=4).error
