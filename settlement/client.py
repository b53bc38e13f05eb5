"""The client of one deployment: what PaymentChannels and its tokens hold, and what a call would do.

Typed values only. Reads may be pinned to a block; a call the contract would refuse raises the error that has
the name of the Solidity one.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from eth_abi.abi import encode
from eth_abi.exceptions import DecodingError
from web3.providers import AsyncBaseProvider

import contracts
from payments.eip712 import Domain, domain_separator
from payments.typed_data import DomainFields
from payments.types import Address, Amount, ChannelId, Timestamp
from settlement.abi import CHANNELS, TOKEN, decode_result, encode_call
from settlement.calls import Call, Calls
from settlement.chain_events import ChainEvent, read_events
from settlement.deployment import DEPTH, Deployment
from settlement.errors import (
    ChainUnreachable,
    ContractDifferent,
    ContractMissing,
    NodeRefused,
    Reorganised,
    Reverted,
    WrongChain,
    WrongGenesis,
)
from settlement.rpc import Block, BlockId, Receipt, Rpc
from settlement.survey import Survey, check_blooms, compare_logs
from settlement.transactions import MAX_TRANSACTION_GAS, call_gas

STATES_AT_ONCE: Final = 500
"""Channels asked about in one call: nodes bound what a call may compute."""


@dataclass(frozen=True, slots=True)
class ChannelState:
    """What the contract stores of a channel; all zero if it was never funded."""

    deposit: Amount
    claimed: Amount
    closes_at: Timestamp


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """How a token wants to be shown."""

    address: Address
    symbol: str
    decimals: int


@dataclass(frozen=True, slots=True)
class PermitState:
    """What goes into a permit: the token's domain separator (32 bytes) and the owner's next nonce.

    domain: the same domain in words, where the token tells them.
    """

    separator: bytes
    nonce: int
    domain: DomainFields | None = None


class Chain:
    """One deployment on one node. Belongs to one event loop; close it when done."""

    def __init__(self, rpc: Rpc, deployment: Deployment) -> None:
        self.rpc = rpc
        self.deployment = deployment
        self.domain: Domain = deployment.domain
        self.calls = Calls(deployment)
        self._survey = Survey(rpc, deployment)
        self._pins = rpc.url.startswith("http")
        self._runs = True

    @classmethod
    async def connect(cls, endpoint: str | AsyncBaseProvider | Rpc, deployment: Deployment) -> Self:
        """Open and verify: the chain id, the genesis block and the contract's code are those recorded.

        Raises ChainUnreachable, WrongChain, WrongGenesis, ContractMissing or ContractDifferent.
        """
        rpc = endpoint if isinstance(endpoint, Rpc) else await Rpc.open(endpoint)
        chain = cls(rpc, deployment)
        try:
            await chain.verify()
        except BaseException:
            await rpc.close()
            raise
        return chain

    async def verify(self) -> None:
        """Check again that this is the recorded chain and contract; raises as `connect` does."""
        await self._survey.renew()
        url, record = self.rpc.url, self.deployment
        chain_id = await self.rpc.chain_id()
        if chain_id != record.chain_id:
            raise WrongChain(url, record.chain_id, chain_id)
        genesis = await self.block(0)
        if genesis.hash != record.genesis_hash:
            raise WrongGenesis(url, record.genesis_hash, genesis.hash)
        code = await self.rpc.code(record.contract)
        if not code:
            raise ContractMissing(url, record.contract)
        if not contracts.load(CHANNELS).matches(code):
            raise ContractDifferent(url, record.contract)

    async def close(self) -> None:
        """Close the connections."""
        await self.rpc.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # Reading

    async def head(self) -> Block:
        """The newest block, of an endpoint that the others do not contradict."""
        await self._survey.renew()
        return await self.block("latest")

    async def block(self, block: BlockId) -> Block:
        """A block's header; ChainUnreachable where the node does not have it (yet)."""
        found = await self.rpc.block(block)
        if found is None:
            raise ChainUnreachable(self.rpc.url, f"the node has no block {block!r}")
        return found

    async def final(self, head: Block) -> int:
        """Number of the newest block that counts as confirmed when `head` is the newest; below 0 for none."""
        if self.deployment.finality == DEPTH:
            return head.number - self.deployment.confirmations + 1
        block = await self.rpc.block(self.deployment.finality)
        return -1 if block is None else min(block.number, head.number)

    async def states_at(self, ids: Sequence[ChannelId], block: Block) -> tuple[ChannelState, ...]:
        """What the contract stores of channels in exactly this block. Raises Reorganised.

        It is named by its hash (EIP-1898), or where the node does not know that by its number, and then its
        hash is compared afterwards.
        """
        if self._pins:
            with contextlib.suppress(NodeRefused):
                return await self.channel_states(ids, block.hash)
        states = await self.channel_states(ids, block.number)
        again = await self.block(block.number)
        if again.hash != block.hash:
            raise Reorganised(block.number, block.hash, again.hash)
        self._pins = False
        return states

    async def channel_states(
        self, ids: Sequence[ChannelId], block: BlockId = "latest"
    ) -> tuple[ChannelState, ...]:
        """What the contract stores of these channels, in their order, at one block."""
        if len(ids) > STATES_AT_ONCE and block == "latest":
            block = (await self.head()).number
        states: list[ChannelState] = []
        for start in range(0, len(ids), STATES_AT_ONCE):
            some = list(ids[start : start + STATES_AT_ONCE])
            (found,) = await self._view(CHANNELS, self.deployment.contract, "channels", some, block=block)
            states += [
                ChannelState(Amount(deposit), Amount(claimed), Timestamp(closes_at))
                for deposit, claimed, closes_at in found
            ]
        return tuple(states)

    async def token_balance(
        self, owner: Address, token: Address | None = None, block: BlockId = "latest"
    ) -> int:
        """Base units of a token (the deployment's by default) held by `owner`; a uint256."""
        (found,) = await self._view(TOKEN, self._token(token), "balanceOf", owner, block=block)
        return int(found)

    async def total_supply(self) -> int:
        """Base units of the deployment's token that exist; a uint256."""
        (found,) = await self._view(TOKEN, self.deployment.token, "totalSupply", block="latest")
        return int(found)

    async def allowance(self, owner: Address, token: Address | None = None) -> int:
        """Base units PaymentChannels may take from `owner`; a uint256."""
        (found,) = await self._view(
            TOKEN, self._token(token), "allowance", owner, self.deployment.contract, block="latest"
        )
        return int(found)

    async def permit_state(self, owner: Address, token: Address | None = None) -> PermitState | None:
        """What the next permit of `owner` must carry (ERC-2612); None for a token that has no permits."""
        address = self._token(token)
        separator = await self.token_separator(address)
        nonce = await self._try(address, "nonces", owner)
        if separator is None or nonce is None:
            return None
        domain = await self.token_domain(address)
        if domain is not None and _separator(domain) != separator:
            domain = None
        return PermitState(separator, int(nonce[0]), domain)

    async def token_separator(self, token: Address | None = None) -> bytes | None:
        """Domain separator of what a token lets owners sign, as it says or by EIP-5267; None for none."""
        address = self._token(token)
        said = await self._try(address, "DOMAIN_SEPARATOR")
        if said is not None:
            return bytes(said[0])
        domain = await self.token_domain(address)
        return None if domain is None else _separator(domain)

    async def token_domain(self, token: Address) -> DomainFields | None:
        """The domain of a token in words (EIP-5267); None where it does not tell, or has another form."""
        said = await self._try(token, "eip712Domain")
        if said is None or said[0] != _FOUR_FIELDS:
            return None
        _, name, version, chain_id, contract, *_ = said
        return DomainFields(name, version, chain_id, contract)

    async def token_info(self, token: Address | None = None) -> TokenInfo:
        """Symbol and decimals of a token."""
        address = self._token(token)
        (symbol,) = await self._view(TOKEN, address, "symbol", block="latest")
        (decimals,) = await self._view(TOKEN, address, "decimals", block="latest")
        return TokenInfo(address, str(symbol), int(decimals))

    async def balance(self, owner: Address, block: BlockId = "latest") -> int:
        """Wei held by `owner`."""
        return await self.rpc.balance(owner, block)

    async def code(self, address: Address, block: BlockId = "latest") -> bytes:
        """Code at an address: empty for a plain key."""
        return await self.rpc.code(address, block)

    async def account_accepts(
        self, account: Address, digest: bytes, signature: bytes, *, block: BlockId
    ) -> bool:
        """Whether the contract at `account` accepts a signature (ERC-1271), asked as PaymentChannels asks it.

        Same caller, same gas. An answer of any other kind is a no, and so is a call that fails.
        """
        question = _IS_VALID_SIGNATURE + encode(["bytes32", "bytes"], [digest, signature])
        gas = _ACCOUNT_GAS + call_gas(question)
        try:
            answer = await self.rpc.call(
                account, question, block=block, sender=self.deployment.contract, gas=gas
            )
        except (Reverted, NodeRefused):
            return False
        return answer[:32] == _IS_VALID_SIGNATURE.ljust(32, b"\0")

    async def events(self, first: int, last: int, headers: Sequence[Block] = ()) -> tuple[ChainEvent, ...]:
        """What happened to channels in the blocks `first`..`last`, held against those `headers`."""
        contract = self.deployment.contract
        logs = await compare_logs(self.rpc, contract, first, last)
        await check_blooms(self.rpc, contract, headers, logs)
        return read_events(self.domain, logs)

    def events_of(self, receipt: Receipt) -> tuple[ChainEvent, ...]:
        """What a transaction did to channels."""
        return read_events(self.domain, receipt.logs)

    async def simulate(self, call: Call, sender: Address) -> int:
        """Try a call: the gas it needs. Raises Reverted's children where the contract refuses it."""
        needed = await self._run(call, sender) if self._runs else None
        if needed is not None:
            return needed
        return await self.rpc.estimate(call.to, call.data, sender=sender, value=call.value)

    async def _run(self, call: Call, sender: Address) -> int | None:
        """Gas a call uses, if so much is enough; None leaves it to an estimate, which runs it twenty times.

        What is used may be less than what must be there: storage given back is paid for at the end. A call
        that fails is estimated, too: that says why.
        """
        needed: int | None = MAX_TRANSACTION_GAS
        try:
            for _ in range(2):
                needed = needed and await self.rpc.run(
                    call.to, call.data, sender=sender, value=call.value, gas=needed
                )
        except NodeRefused as error:
            self._runs = error.rpc_code not in _NO_SUCH_METHOD
            return None
        return needed

    def _token(self, token: Address | None) -> Address:
        return self.deployment.token if token is None else token

    async def _try(self, token: Address, function: str, *arguments: object) -> tuple[Any, ...] | None:
        """Ask a token for what it may not have."""
        try:
            return await self._view(TOKEN, token, function, *arguments, block="latest")
        except (Reverted, ContractMissing):
            return None

    async def _view(
        self, contract: str, address: Address, function: str, *arguments: object, block: BlockId
    ) -> tuple[Any, ...]:
        data = encode_call(contract, function, *arguments)
        returned = await self.rpc.call(address, data, block=block)
        try:
            return decode_result(contract, function, returned)
        except DecodingError as err:
            raise ContractMissing(self.rpc.url, address) from err


def _separator(domain: DomainFields) -> bytes:
    return domain_separator(domain.name, domain.version or "", domain.chain_id, domain.contract)


_IS_VALID_SIGNATURE: Final = bytes.fromhex("1626ba7e")
"""The selector of ERC-1271's only function, which is also what it answers for yes."""
_ACCOUNT_GAS: Final = 100_000
"""What PaymentChannels gives an account for its answer (Signatures.sol)."""
_NO_SUCH_METHOD: Final = (-32_601, -32_004, -32_700)
"""Codes by which nodes say so: JSON-RPC's own, that of EIP-1474, and what Ganache has for it."""
_FOUR_FIELDS: Final = b"\x0f"
"""A domain with name, version, chainId and verifyingContract (EIP-5267)."""
