import json
import os
from pathlib import Path

import pytest

from node.errors import AlreadyThere, BadName, DamagedFile, DirectoryRefused
from node.home import (
    Config,
    Home,
    create_private,
    make_private_directory,
    read_json,
    write_json,
    write_private,
)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_home_is_where_the_variable_says(tmp_path: Path) -> None:
    assert Home.from_environment({"TITHE_HOME": str(tmp_path)}).root == tmp_path


@pytest.mark.parametrize("environment", [{}, {"TITHE_HOME": ""}])
def test_home_defaults_to_a_hidden_directory_of_the_user(environment: dict[str, str]) -> None:
    assert Home.from_environment(environment).root == Path.home() / ".tithe"


def test_relative_home_does_not_move_with_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Home.from_environment({"TITHE_HOME": "farm1"}).root == tmp_path / "farm1"


def test_naming_paths_creates_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert home.wallets.name == "wallets"
    assert home.wallet_names() == []
    assert home.chain_names() == []
    assert home.config() == Config()
    assert not home.root.exists()


def test_state_is_kept_by_deployment(tmp_path: Path) -> None:
    home = Home(tmp_path)
    state = home.renter_state("0011-22")
    assert state.money == tmp_path / "renter" / "0011-22" / "money.db"
    assert state.stats == tmp_path / "renter" / "0011-22" / "stats.db"
    assert home.farm_state("0011-22").money == tmp_path / "farm" / "0011-22" / "money.db"
    assert mode(state.money.parent) == 0o700


@pytest.mark.parametrize("name", ["", "..", "../key", "a/b", ".hidden", "-x", "x" * 65, "a b", "main\n"])
def test_names_that_could_leave_the_home_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadName) as caught:
        Home(tmp_path).chain_file(name)
    assert (caught.value.code, caught.value.name) == ("BAD_NAME", name)


def test_names_list_only_what_commands_could_have_written(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for name in ("zulu", "alpha"):
        write_json(home.wallets / f"{name}.json", {})
    (tmp_path / "wallets" / ".half-written.json").write_text("{}")
    (tmp_path / "wallets" / "notes.txt").write_text("")
    assert home.wallet_names() == ["alpha", "zulu"]


def test_directories_and_files_are_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "a" / "b" / "key", b"secret")
    finally:
        os.umask(before)
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700
    assert mode(tmp_path / "a" / "b" / "key") == 0o600


def test_write_replaces_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, b"one")
    write_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_create_never_replaces(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_private(path, b"first")
    with pytest.raises(AlreadyThere):
        create_private(path, b"second")
    assert path.read_bytes() == b"first"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write_keeps_the_old_file_and_leaves_nothing_beside(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    (taken / "inside").mkdir(parents=True)
    with pytest.raises(DirectoryRefused):
        write_private(taken, b"new")
    assert list(tmp_path.iterdir()) == [taken]


def test_file_in_the_place_of_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "wallets").write_text("")
    with pytest.raises(DirectoryRefused, match="wallets"):
        write_private(tmp_path / "wallets" / "main.json", b"")
    with pytest.raises(DirectoryRefused):
        make_private_directory(tmp_path / "wallets")


def test_config_round_trips(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.save_config(Config(chain="local", wallet="main"))
    assert home.config() == Config(chain="local", wallet="main")
    assert mode(home.config_file) == 0o600


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "\x00", '{"colour": "red"}', '{"chain": 7}', '{"chain": "../x"}']
)
def test_damaged_config_is_named(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path)
    home.config_file.write_text(text)
    with pytest.raises(DamagedFile) as caught:
        home.config()
    assert caught.value.path == home.config_file
    assert "config.json" in str(caught.value)


def test_bytes_that_are_no_text_are_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(DamagedFile):
        read_json(tmp_path / "x.json")
    with pytest.raises(DamagedFile):
        read_json(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "absent.json")


def test_record_of_a_deployment_that_is_gone_is_kept_by_its_folder(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_json(home.chain_file("local"), {"name": "local"})
    past = home.keep_past_chain("local", "0011-22")
    assert past == tmp_path / "chains" / "past" / "local-0011-22.json"
    assert json.loads(past.read_text()) == {"name": "local"}
    assert home.chain_names() == []
