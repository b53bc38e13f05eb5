import pytest

from node.cli.chain import Finality
from node.cli.errors import (
    LOCKED,
    USAGE,
    AmbiguousId,
    BadAmount,
    BadChecksum,
    BadHex,
    NoPassword,
    UnknownId,
    exit_code,
    one_line,
)
from node.cli.identifiers import find_id, parse_address, show_address
from node.cli.output import plain, safe
from node.cli.units import in_ether, in_tokens
from node.renter.errors import TokensMissing, Unfunded
from payments.prices import Prices
from payments.types import Amount
from settlement.deployment import FINALITIES
from settlement.errors import (
    ChainUnreachable,
    ContractDifferent,
    MalformedDeployment,
    OutOfGasMoney,
)

ETHER = 10**18


def test_sentences_in_base_units_are_told_in_tokens() -> None:
    unfunded = str(Unfunded(bytes(32), needed=2 * ETHER, deposit=ETHER // 2))
    assert "holds 0.5 TITHE, 2 TITHE are needed" in in_tokens(unfunded, 18, "TITHE")
    missing = str(TokensMissing(bytes(20), needed=7 * ETHER, balance=0))
    assert "has 0 TITHE, 7 TITHE are needed" in in_tokens(missing, 18, "TITHE")
    assert in_tokens("0 base units", 6, "USDC") == "0 USDC"


def test_sentences_in_wei_are_told_in_ether() -> None:
    poor = str(OutOfGasMoney(bytes(20), balance=ETHER // 10, needed=ETHER))
    assert "has 0.1 ETH, the transaction may cost 1 ETH" in in_ether(poor)


@pytest.mark.parametrize(
    "sentence", ["3 farmers needed, 1 usable", "block 12345678 was 0x12345678901234567890", "at 1795239115"]
)
def test_sentences_about_anything_else_stay(sentence: str) -> None:
    assert in_ether(in_tokens(sentence, 18, "TITHE")) == sentence


def test_the_finalities_offered_are_those_of_records() -> None:
    assert tuple(Finality) == FINALITIES


def test_addresses_carry_a_checksum() -> None:
    text = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # EIP-55
    assert show_address(parse_address(text)) == text
    assert parse_address(text.lower()) == parse_address("0x" + text[2:].upper())
    with pytest.raises(BadChecksum):
        parse_address(text.replace("aAeb", "AAeb"))
    for wrong in ("", "0x", text[:-1], text + "0", text[2:], "vitalik.eth"):
        with pytest.raises(BadHex):
            parse_address(wrong)


def test_ids_are_found_by_their_beginning() -> None:
    known = [bytes.fromhex("ab" * 32), bytes.fromhex("abcd" * 16), bytes.fromhex("12" * 32)]
    assert find_id("farmer", "0x12", known) == known[2]
    assert find_id("farmer", "ABCD", known) == known[1]
    with pytest.raises(AmbiguousId):
        find_id("farmer", "0xab", known)
    with pytest.raises(UnknownId):
        find_id("farmer", "0xff", known)
    with pytest.raises(BadHex):
        find_id("farmer", "xyz", known)


def test_json_holds_amounts_as_text_and_bytes_as_hex() -> None:
    assert plain({"a": b"\x01", "b": [1, None, True], "c": (b"",)}) == {
        "a": "0x01",
        "b": [1, None, True],
        "c": ["0x"],
    }
    prices = Prices(Amount(2**90), Amount(1), Amount(0))
    assert plain(prices) == {"storage_per_gb_month": str(2**90), "download_per_gb": "1", "per_audit": "0"}
    with pytest.raises(TypeError):
        plain(object())


def test_errors_are_one_tame_line_with_a_code() -> None:
    assert exit_code(BadAmount("x")) == USAGE
    assert exit_code(NoPassword("wallet")) == LOCKED
    assert exit_code(ChainUnreachable("http://x", "refused")) == 4
    assert exit_code(ContractDifferent("http://x", bytes(20))) == 4
    assert exit_code(MalformedDeployment("x.json", "empty")) == 4
    assert exit_code(ValueError("x")) == 1
    assert one_line(ValueError("a\nb\x1b[31m")).startswith("unexpected ValueError: a b [31m")
    assert "--debug" in one_line(RuntimeError("x"))
    assert one_line(FileNotFoundError(2, "No such file", "key")) == "key: No such file"
    assert len(one_line(BadAmount("9" * 5000))) <= 600


def test_text_of_others_cannot_write_on_the_screen() -> None:
    assert safe("[red]\x1b[2J\n") == "\\[red] [2J "
