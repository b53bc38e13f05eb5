"""The client of one deployment: what PaymentChannels and its tokens hold, and calls ready to be sent.

Typed values only. Reads may be pinned to a block; a call the contract would refuse raises the error that has
the name of the Solidity one.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from eth_abi.abi import encode
from eth_abi.exceptions import DecodingError
from web3.providers import AsyncBaseProvider

import contracts
from payments.eip712 import Domain, domain_separator
from payments.funding import Authorization, Funding, Permit, SplitSignature, WitnessedTransfer
from payments.relay_fees import SignedFee
from payments.typed_data import DomainFields
from payments.types import ZERO32, Address, Amount, ChannelId, Seconds, Timestamp
from payments.vouchers import SignedVoucher, Terms
from settlement.abi import CHANNELS, TOKEN, decode_result, encode_call
from settlement.chain_events import ChainEvent, key, read_events, row
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
class Call:
    """A transaction to be: where to, the data, wei to go with it. What `--unsigned` prints."""

    to: Address
    data: bytes
    value: int = 0


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
class Claim:
    """One voucher to be turned into tokens, with its channel's terms.

    `proof`: what makes a conditional voucher good, packed as the contract reads it; else empty.
    """

    terms: Terms
    voucher: SignedVoucher
    proof: bytes = b""


@dataclass(frozen=True, slots=True)
class Fee:
    """What a relayer keeps of one claim, and the payee's word that it may."""

    amount: Amount
    signed: SignedFee


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

    async def total_supply(self, token: Address | None = None) -> int:
        """Base units of a token that exist; a uint256."""
        (found,) = await self._view(TOKEN, self._token(token), "totalSupply", block="latest")
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

    # Calls

    def fund(
        self,
        signer: Address,
        challenge_period: Seconds,
        salt: bytes,
        targets: Sequence[tuple[Address, Amount]],
        token: Address | None = None,
    ) -> Call:
        """Raise the sender's channels to these payees to these total deposits. Needs an allowance.

        A single one goes by `fundOne`, which is cheaper, and reverts where `fund` skips.
        """
        rows = [row(payee, target) for payee, target in targets]
        if len(rows) == 1:
            packed = key(signer, challenge_period)
            return self._channels("fundOne", self._token(token), packed, salt, rows[0])
        return self._channels("fund", signer, self._token(token), challenge_period, salt, rows)

    def fund_with_permit(self, funding: Funding, permit: Permit, signed: SplitSignature) -> Call:
        """`fund`, the allowance being the sender's ERC-2612 permit that comes along."""
        terms = (funding.signer, funding.token, funding.challenge_period, funding.salt)
        fields = (permit.value, permit.deadline, signed.v, signed.r, signed.s)
        return self._channels("fundWithPermit", *terms, list(funding.rows), fields)

    def fund_with_authorization(
        self, funding: Funding, authorization: Authorization, signed: SplitSignature
    ) -> Call:
        """Fund the channels of a payer that has signed EIP-3009's authorization; anybody may send it.

        Its value must be exactly what these rows move.
        """
        fields = (authorization.valid_after, authorization.valid_before, signed.v, signed.r, signed.s)
        return self._channels("fundWithAuthorization", _funding(funding), fields)

    def fund_with_permit2(self, transfer: WitnessedTransfer, signature: bytes) -> Call:
        """Fund the channels of a payer that has signed a Permit2 transfer; anybody may send it."""
        fields = (transfer.amount, transfer.nonce, transfer.deadline, signature)
        return self._channels("fundWithPermit2", _funding(transfer.funding), fields)

    def push(
        self,
        signer: Address,
        challenge_period: Seconds,
        salt: bytes,
        totals: Sequence[tuple[Address, Amount]],
        token: Address | None = None,
    ) -> Call:
        """Pay these totals from the sender's own channels without vouchers."""
        rows = [row(payee, total) for payee, total in totals]
        return self._channels("push", signer, self._token(token), challenge_period, salt, rows)

    def request_close(
        self,
        signer: Address,
        challenge_period: Seconds,
        salt: bytes,
        payees: Sequence[Address],
        token: Address | None = None,
    ) -> Call:
        """Start the challenge period of the sender's channels to these payees."""
        return self._channels(
            "requestClose", signer, self._token(token), challenge_period, salt, list(payees)
        )

    def withdraw(
        self,
        signer: Address,
        challenge_period: Seconds,
        salt: bytes,
        payees: Sequence[Address],
        token: Address | None = None,
    ) -> Call:
        """Take back what is left in the sender's channels after their challenge period."""
        return self._channels("withdraw", signer, self._token(token), challenge_period, salt, list(payees))

    def release(self, terms: Terms) -> Call:
        """End the wait: the sender, payee of the channel, lets the rest go back to the payer."""
        fields = (terms.payer, terms.signer, terms.payee, terms.token, terms.challenge_period, terms.salt)
        return self._channels("release", fields)

    def claim(self, claims: Sequence[Claim]) -> Call:
        """Claim vouchers of one token by the cheapest function that can. The order of the rows is kept."""
        token, rows, proofs = claims[0].terms.token, _claim_rows(claims), _proofs(claims)
        if len(rows) == 1 and proofs:
            return self._channels("claimOneProven", token, rows[0], proofs[0])
        if len(rows) == 1:
            return self._channels("claimOne", token, rows[0])
        if proofs:
            return self._channels("claimProven", token, rows, proofs)
        return self._channels("claim", token, rows)

    def relay(self, claims: Sequence[Claim], fees: Sequence[Fee | None] = ()) -> Call:
        """Claim for others, the sender keeping the fee beside each row as far as its payee has allowed it."""
        token, rows, proofs = claims[0].terms.token, _claim_rows(claims), _proofs(claims)
        return self._channels("relay", token, rows, [_fee(fee) for fee in fees], proofs)

    def approve(self, amount: int, token: Address | None = None) -> Call:
        """Let PaymentChannels take up to `amount` base units from the sender."""
        data = encode_call(TOKEN, "approve", self.deployment.contract, amount)
        return Call(self._token(token), data)

    def transfer(self, to: Address, amount: Amount, token: Address | None = None) -> Call:
        """Send tokens."""
        return Call(self._token(token), encode_call(TOKEN, "transfer", to, amount))

    def _channels(self, function: str, *arguments: object) -> Call:
        return Call(self.deployment.contract, encode_call(CHANNELS, function, *arguments))

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


def _funding(funding: Funding) -> tuple[object, ...]:
    terms = (funding.payer, funding.signer, funding.token, funding.challenge_period, funding.salt)
    return (*terms, list(funding.rows))


def _fee(fee: Fee | None) -> tuple[bytes, bytes, bytes]:
    """Pack a fee: `fee || maximum || deadline`, r, vs; zeros for none."""
    if fee is None:
        return (ZERO32, ZERO32, ZERO32)
    terms, signature = fee.signed.terms, fee.signed.signature
    packed = fee.amount.to_bytes(12) + terms.maximum.to_bytes(12) + terms.deadline.to_bytes(8)
    return (packed, signature[:32], signature[32:])


def _claim_rows(claims: Sequence[Claim]) -> list[tuple[object, ...]]:
    return [_claim_row(claim, before) for claim, before in zip(claims, (None, *claims), strict=False)]


def _proofs(claims: Sequence[Claim]) -> list[bytes]:
    """List the rows' proofs as far as there are any: a missing one costs nothing, an empty one two words."""
    last = max((index for index, claim in enumerate(claims) if claim.proof), default=-1)
    return [claim.proof for claim in claims[: last + 1]]


def _claim_row(claim: Claim, before: Claim | None) -> tuple[object, ...]:
    """Pack one row; zeros mean "as the row before"."""
    terms, signature = claim.terms, claim.voucher.signature
    last = None if before is None else before.terms
    payee = _NOBODY if last is not None and last.payee == terms.payee else terms.payee
    head: tuple[bytes, bytes, bytes] = (terms.payer, key(terms.signer, terms.challenge_period), terms.salt)
    if last is not None and replace(last, payee=terms.payee) == terms:
        head = (_NOBODY, ZERO32, ZERO32)
    payer, packed, salt = head
    return (payer, packed, row(payee, claim.voucher.total), salt, signature[:32], signature[32:])


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
_NOBODY: Final = Address(bytes(20))
