"""The embedded chain: eth-tester (py-evm) inside this process, as a web3 provider. Nothing to install.

Every transaction is a block of its own. Block times follow the clock, but each block is at least a second
after its parent, so a burst of transactions runs ahead. Reverts carry their data as real nodes send it, and
gas is estimated in two runs instead of a dozen. One thread executes, so that the event loop stays free.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, cast

from eth.exceptions import PyEVMError, Revert
from eth.vm.spoof import SpoofTransaction
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from eth_tester.exceptions import ValidationError as RequestRefused
from eth_utils.exceptions import ValidationError
from web3.providers.eth_tester import AsyncEthereumTesterProvider
from web3.providers.eth_tester.defaults import API_ENDPOINTS
from web3.providers.eth_tester.middleware import ethereum_tester_middleware
from web3.types import RPCEndpoint, RPCResponse

FLOOR_PER_TOKEN: Final = 10
INTRINSIC_GAS: Final = 21_000
CALL_STIPEND: Final = 2_300


class EmbeddedProvider(AsyncEthereumTesterProvider):
    """A fresh chain with `accounts` rich accounts of `phrase`; each has its own genesis hash."""

    _middleware: Any = (ethereum_tester_middleware,)  # not the one that asks for accounts before every call

    def __init__(self, phrase: str, path: str, accounts: int) -> None:
        super().__init__()
        genesis = PyEVMBackend.generate_genesis_params({"extra_data": os.urandom(16)})
        backend = PyEVMBackend.from_mnemonic(
            phrase, num_accounts=accounts, hd_path=path, genesis_parameters=genesis
        )
        self.ethereum_tester = EthereumTester(backend)
        self._chain = backend
        self._offset = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedded chain")

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ANN401 - web3's signature
        """Execute one JSON-RPC request."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._answer, method, params)

    async def disconnect(self) -> None:
        """Nothing to close: the chain lives as long as its provider."""

    def _answer(self, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ANN401
        own: dict[str, Callable[..., Any]] = {
            "eth_call": self._call,
            "eth_estimateGas": self._estimate,
            "evm_mine": self._mine,
            "testing_timeTravel": self._travel,
        }
        namespace, _, name = method.partition("_")
        try:
            if method in own:
                result = own[method](*params)
            elif name in API_ENDPOINTS.get(namespace, {}):
                if method in ("eth_sendRawTransaction", "eth_sendTransaction"):
                    self._keep_time()
                result = API_ENDPOINTS[namespace][name](self.ethereum_tester, params)
            else:
                return _error(-32601, f"the method {method} does not exist")
        except NotImplementedError:
            return _error(-32601, f"the method {method} does not exist")
        except Revert as err:
            return _error(3, "execution reverted", "0x" + bytes(err.args[0]).hex() if err.args else "0x")
        except (ValidationError, RequestRefused, PyEVMError, TransactionFailed) as err:
            return _error(-32000, str(err))
        return {"id": 0, "jsonrpc": "2.0", "result": result}

    def _keep_time(self) -> None:
        """Let the block about to be made carry the present time instead of its parent's."""
        header = self._chain.chain.header
        self._chain.chain.set_header_timestamp(max(header.timestamp, int(time.time()) + self._offset))

    def _mine(self) -> None:
        self._keep_time()
        self._chain.mine_blocks()

    def _travel(self, timestamp: str) -> None:
        """Mine a block at a later time; the clock goes on from there."""
        self._offset = max(self._offset, _integer(timestamp) - int(time.time()))
        self._mine()

    def _call(self, transaction: Mapping[str, Any], block: str | int = "latest") -> str:
        header = self._chain.chain.get_canonical_block_header_by_number(self._number(block))
        gas = min(header.gas_limit, _integer(transaction.get("gas", header.gas_limit)))
        computation = self._run(transaction, header, gas)
        computation.raise_if_error()
        return "0x" + bytes(computation.output).hex()

    def _estimate(self, transaction: Mapping[str, Any]) -> int:
        """Run once with all gas there is, then prove that what it used, with reserves, is enough.

        A call hands on at most 63 of 64 parts of its gas (EIP-150); data has a floor price (EIP-7623).
        """
        self._keep_time()
        header = self._chain.chain.header
        computation = self._run(transaction, header, header.gas_limit)
        computation.raise_if_error()
        used: int = header.gas_limit - computation.get_gas_remaining()
        data = _data(transaction)
        floor = INTRINSIC_GAS + FLOOR_PER_TOKEN * (4 * len(data) - 3 * data.count(0))
        reserve: int = used // 63 + CALL_STIPEND if computation.children else 0
        for estimate in (max(used, floor), max(used + reserve, floor), max(used + 4 * reserve, floor)):
            if self._run(transaction, header, estimate).is_success:
                return estimate
        return cast(int, header.gas_limit)

    def _run(self, transaction: Mapping[str, Any], header: Any, gas: int) -> Any:  # noqa: ANN401 - py-evm is untyped
        """Execute without keeping anything; the sender is lent what the gas costs."""
        vm = self._chain.chain.get_vm(at_header=header)
        state, sender = vm.state, _address(transaction.get("from")) or bytes(20)
        snapshot = state.snapshot()
        state.set_balance(sender, state.get_balance(sender) + gas * header.base_fee_per_gas)
        unsigned = vm.get_transaction_builder().new_unsigned_dynamic_fee_transaction(
            chain_id=self._chain.chain.chain_id,
            nonce=state.get_nonce(sender),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=header.base_fee_per_gas,
            gas=gas,
            to=_address(transaction.get("to")),
            value=_integer(transaction.get("value", 0)),
            data=_data(transaction),
            access_list=(),
        )
        try:
            return state.apply_transaction(SpoofTransaction(unsigned, from_=sender))
        finally:
            state.revert(snapshot)

    def _number(self, block: str | int) -> int:
        newest = cast(int, self._chain.chain.header.block_number) - 1
        if block in ("latest", "pending", "safe", "finalized"):
            return newest
        number = _integer(block)
        if number > newest:
            raise ValidationError(f"block {number} does not exist yet")
        return number


def _error(code: int, message: str, data: str | None = None) -> RPCResponse:
    fields = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return cast(RPCResponse, {"id": 0, "jsonrpc": "2.0", "error": fields})


def _address(value: str | None) -> bytes:
    return bytes.fromhex(value.removeprefix("0x")) if value else b""


def _integer(value: str | int) -> int:
    return value if isinstance(value, int) else int(value, 16)


def _data(transaction: Mapping[str, Any]) -> bytes:
    return bytes.fromhex(str(transaction.get("data", "0x")).removeprefix("0x"))
