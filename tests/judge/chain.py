"""The chain as a stranger reads it: plain JSON-RPC, logs decoded word by word, replayed from the genesis.

Nothing of payments, settlement or node is imported: what they believe is judged by this.
"""

import json
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from eth_abi.abi import decode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

SECONDS: Final = 30
AMOUNT_BITS: Final = 96
_FUNDED: Final = "Funded(address,address,address,uint32,bytes32,bytes32[])"
_PUSHED: Final = "Pushed(address,address,address,uint32,bytes32,bytes32[])"
_EVENTS: Final = {
    keccak(text=signature): signature.partition("(")[0]
    for signature in (
        _FUNDED,
        _PUSHED,
        "FundedOne(address,address,bytes32,bytes32,bytes32)",
        "Claimed(bytes32,uint96)",
        "ClaimedMany(address,bytes32[])",
        "Relayed(address,address,bytes32[])",
        "CloseRequested(bytes32,uint40)",
        "Withdrawn(bytes32,uint96)",
    )
}
_TRANSFER: Final = keccak(text="Transfer(address,address,uint256)")
_CHANNEL: Final = {
    "payer": "address",
    "signer": "address",
    "payee": "address",
    "token": "address",
    "challengePeriod": "uint32",
    "salt": "bytes32",
}
_VOUCHER: Final = {"channelId": "bytes32", "cumulativeAmount": "uint96", "condition": "bytes32"}


@dataclass(slots=True)
class OnChain:
    """One channel by the contract's events alone. `payments`: every rise of what was claimed."""

    payee: bytes
    payer: bytes
    deposit: int = 0
    claimed: int = 0
    closes_at: int = 0
    withdrawn: int = 0
    payments: list[int] = field(default_factory=list)

    def pay(self, total: int) -> None:
        """Take a new total over."""
        self.payments.append(total - self.claimed)
        self.claimed = total


class Chain:
    """A node, a contract and its token."""

    def __init__(self, url: str, chain_id: int, contract: bytes, token: bytes) -> None:
        self.url = url
        self.contract = contract
        self.token = token
        self._domain = {
            "name": "Tithebarn",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": "0x" + contract.hex(),
        }

    def ask(self, method: str, *parameters: object) -> Any:  # noqa: ANN401 - JSON
        """Send one request."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - our own chain
            said = json.loads(answer.read())
        if "error" in said:
            raise RuntimeError(f"{method}: {said['error']}")
        return said["result"]

    def height(self) -> int:
        return int(self.ask("eth_blockNumber"), 16)

    def nonce(self, sender: bytes, block: str = "latest") -> int:
        return int(self.ask("eth_getTransactionCount", "0x" + sender.hex(), block), 16)

    def balance(self, owner: bytes) -> int:
        """Tokens of an address."""
        data = "0x70a08231" + owner.hex().rjust(64, "0")
        return int(self.ask("eth_call", {"to": "0x" + self.token.hex(), "data": data}, "latest"), 16)

    def succeeded(self, transaction: bytes) -> bool | None:
        """Whether a transaction is in the chain, and with what success."""
        receipt = self.ask("eth_getTransactionReceipt", "0x" + transaction.hex())
        return None if receipt is None else int(receipt["status"], 16) == 1

    def transfers(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Every movement of the token: from, to, amount."""
        for log in self._logs(self.token):
            topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
            if topics[0] == _TRANSFER:
                yield topics[1][12:], topics[2][12:], int(log["data"], 16)

    def replay(self) -> dict[bytes, OnChain]:
        """Read every event since the genesis; what it makes of each channel."""
        found: dict[bytes, OnChain] = {}
        for log in self._logs(self.contract):
            topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
            self._read(found, _EVENTS.get(topics[0], ""), topics[1:], bytes.fromhex(log["data"][2:]))
        return found

    def signer(self, channel: bytes, total: int, condition: bytes, signature: bytes) -> bytes:
        """Who has signed this voucher; `signature` as EIP-2098 packs it."""
        voucher = {"channelId": channel, "cumulativeAmount": total, "condition": condition}
        r, vs = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        message = encode_typed_data(self._domain, {"Voucher": _fields(_VOUCHER)}, voucher)
        address = Account.recover_message(message, vrs=(27 + (vs >> 255), r, vs & (2**255 - 1)))
        return bytes.fromhex(address[2:])

    def channel_id(self, **terms: object) -> bytes:
        """The EIP-712 hash of a channel's terms."""
        message = encode_typed_data(self._domain, {"Channel": _fields(_CHANNEL)}, terms)
        return keccak(b"\x19" + message.version + message.header + message.body)

    def _logs(self, address: bytes) -> list[Any]:
        query = {"address": "0x" + address.hex(), "fromBlock": "0x0", "toBlock": "latest"}
        logs: list[Any] = self.ask("eth_getLogs", query)
        return sorted(logs, key=lambda log: (int(log["blockNumber"], 16), int(log["logIndex"], 16)))

    def _read(self, found: dict[bytes, OnChain], name: str, topics: list[bytes], data: bytes) -> None:
        match name:
            case "Funded" | "Pushed" | "FundedOne":
                for channel, payee, total in self._rows(name, topics, data):
                    one = found.setdefault(channel, OnChain(payee, topics[0][12:]))
                    if name == "Pushed":
                        one.pay(total)
                    else:
                        one.deposit = total
            case "Claimed":
                found[topics[0]].pay(int.from_bytes(data))
            case "ClaimedMany" | "Relayed":
                (rows,) = decode(["bytes32[]"], data)
                for channel, word in _pairs(rows):
                    if any(channel):
                        found[channel].pay(int.from_bytes(word) % 2**AMOUNT_BITS)
            case "CloseRequested":
                found[topics[0]].closes_at = int.from_bytes(data)
            case "Withdrawn":
                found[topics[0]].withdrawn += int.from_bytes(data)

    def _rows(self, name: str, topics: list[bytes], data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
        """The channels of a call's rows, their payees and totals."""
        if name == "FundedOne":
            token, key, salt, row = decode(["address", "bytes32", "bytes32", "bytes32"], data)
            signer, period, rows = "0x" + key[:20].hex(), int.from_bytes(key[28:]), [row]
        else:
            signer, period, salt, rows = decode(["address", "uint32", "bytes32", "bytes32[]"], data)
            token = "0x" + topics[1][12:].hex()
        shared = {
            "payer": "0x" + topics[0][12:].hex(),
            "signer": signer,
            "token": token,
            "challengePeriod": period,
            "salt": salt,
        }
        for row in rows:
            channel = self.channel_id(payee="0x" + row[:20].hex(), **shared)
            yield channel, row[:20], int.from_bytes(row[20:])


def _pairs(rows: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    words = iter(rows)
    return zip(words, words, strict=True)


def _fields(types: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in types.items()]
