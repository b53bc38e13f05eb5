"""Every fault settlement can name, as one tree.

Each error has a `code` (its class name in UPPER_SNAKE) and keeps the offending values as attributes (`detail`
gives them all); bytes stay bytes. A sentence names the remedy where there is one, and never a secret: a
URL is kept without what may be one.

    SettlementError
    +- StorageError            the disk or the database refused: StorageFull, StorageReadOnly, StorageCorrupt,
    |                          StorageLost, StorageBusy, StorageClosed, StorageFailed
    +- ChainError              the chain, or the node that speaks for it
    |  +- ChainUnreachable     no answer: could not check
    |  +- MalformedAnswer      an answer that cannot be read
    |  +- NodeRefused          the node answered with an error of its own
    |  +- DeploymentError      not the chain or contract we know: WrongChain, WrongGenesis, ContractMissing,
    |  |                       ContractDifferent, MalformedDeployment
    |  +- Reorganised          a block we relied upon is no longer part of the chain
    |  +- TransactionError     OutOfGasMoney, FeeAboveCeiling, TransactionTooLarge, TransactionFailed,
    |  |                       TransactionReplaced, TransactionCancelled, TransactionPending
    |  +- Reverted             a call the contract refuses; its children, named like the Solidity errors, live
    |                          beside their decoder in `reverts`
    +- WalletError             WrongPassword, UnknownWallet, WalletExists, MalformedWallet, MalformedPhrase
    +- SignerError             an external signer: SignerUnreachable, SignerRefused, SignedDifferently
    +- LocalChainError         ToolMissing, LocalChainFailed
"""

from typing import ClassVar

from payments.errors import upper_snake
from settlement.urls import public_text, public_url


class SettlementError(Exception):
    """Root of the tree."""

    code: ClassVar[str] = "SETTLEMENT_ERROR"

    def __init_subclass__(cls) -> None:
        """Derive `code` from the class name."""
        super().__init_subclass__()
        cls.code = upper_snake(cls.__name__)

    @property
    def detail(self) -> dict[str, object]:
        """The offending values by name, as they were: bytes, integers, strings."""
        return dict(vars(self))


# Storage


class StorageError(SettlementError):
    """The database could not do what was asked; nothing of the refused work was written."""

    def __init__(self, database: str, problem: str) -> None:
        super().__init__(f"{database}: {problem}")
        self.database = database
        self.problem = problem


class StorageFull(StorageError):
    """No room left on the disk."""

    def __init__(self, database: str) -> None:
        super().__init__(database, "the disk is full; free some space and try again, nothing was written")


class StorageReadOnly(StorageError):
    """The database, or the directory it lives in, may not be written."""

    def __init__(self, database: str) -> None:
        super().__init__(database, "not writable; check the owner and mode of the file and of its directory")


class StorageCorrupt(StorageError):
    """The file is no database or has a broken page."""

    def __init__(self, database: str) -> None:
        super().__init__(database, "the database is damaged; restore it from its newest good copy")


class StorageLost(StorageError):
    """The file is gone or empty, and copies say that it was not always so."""

    def __init__(self, database: str, copies: str) -> None:
        super().__init__(
            database, f"the database is gone; go on from its newest copy, or move {copies} away to begin anew"
        )
        self.copies = copies


class StorageBusy(StorageError):
    """Another process held the database for longer than the busy timeout."""

    def __init__(self, database: str) -> None:
        super().__init__(database, "another process keeps the database locked; stop it or try again")


class StorageClosed(StorageError):
    """The database object was closed before this request."""

    def __init__(self, database: str) -> None:
        super().__init__(database, "already closed")


class StorageFailed(StorageError):
    """The operating system reported an I/O error, or the file cannot be opened at all."""

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(database, f"the disk refused: {reason}")
        self.reason = reason


class StorageUnreachable(StorageError):
    """The database's server does not answer, or does not let us in."""

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(database, f"no connection ({reason}); check that the server runs and who may use it")
        self.reason = reason


class StorageTooNew(StorageError):
    """A later version of this software has written the database."""

    def __init__(self, database: str, found: int, known: int) -> None:
        super().__init__(
            database,
            f"written by a later version (its books are version {found}, this one knows {known}); use that"
            " version again, or restore a copy from before",
        )
        self.found = found
        self.known = known


class StorageTooOld(StorageError):
    """A version too early to be brought up to date has written the database."""

    def __init__(self, database: str, missing: str) -> None:
        super().__init__(
            database,
            f"written by an early version ({missing} is missing); go on with the version that wrote it, or"
            " begin with an empty TITHE_HOME",
        )
        self.missing = missing


class StorageNotDurable(StorageError):
    """The database's server may forget what it has acknowledged: not fit for money."""

    def __init__(self, database: str, setting: str) -> None:
        super().__init__(database, f"its server may lose what it acknowledged; turn its setting {setting} on")
        self.setting = setting


# The chain


class ChainError(SettlementError):
    """The chain, or the node that speaks for it."""


class ChainUnreachable(ChainError):
    """The node did not answer: nothing is known about the request, it may be tried again."""

    def __init__(self, url: str, reason: str) -> None:
        url, reason = public_url(url), public_text(reason)
        super().__init__(f"no answer from the chain at {url} ({reason}); check the URL or start the chain")
        self.url = url
        self.reason = reason


class MalformedAnswer(ChainError):
    """The node answered something that is no answer to the question."""

    def __init__(self, url: str, method: str) -> None:
        url = public_url(url)
        super().__init__(f"{url} answers {method} with nonsense; check that the URL is a chain's JSON-RPC")
        self.url = url
        self.method = method


class NodeRefused(ChainError):
    """The node answered a request with a JSON-RPC error that is no revert."""

    def __init__(self, method: str, rpc_code: int, message: str) -> None:
        super().__init__(f"the chain's node refused {method}: {message} ({rpc_code})")
        self.method = method
        self.rpc_code = rpc_code
        self.message = message


class DeploymentError(ChainError):
    """Not the chain or the contract of the deployment record."""


class WrongChain(DeploymentError):
    """The node serves another chain id than the record says."""

    def __init__(self, url: str, expected: int, actual: int) -> None:
        url = public_url(url)
        super().__init__(
            f"{url} serves chain {actual}, the record says {expected}; point it at the right node"
        )
        self.url = url
        self.expected = expected
        self.actual = actual


class WrongGenesis(DeploymentError):
    """Same chain id, another chain: a local chain that was started anew."""

    def __init__(self, url: str, expected: bytes, actual: bytes) -> None:
        url = public_url(url)
        super().__init__(
            f"{url} is another chain than the recorded one (genesis 0x{actual.hex()[:8]}..., recorded "
            f"0x{expected.hex()[:8]}...); a local chain was restarted: deploy again and use the new record"
        )
        self.url = url
        self.expected = expected
        self.actual = actual


class ContractMissing(DeploymentError):
    """No code at the address."""

    def __init__(self, url: str, address: bytes) -> None:
        url = public_url(url)
        super().__init__(f"no contract at 0x{address.hex()} on {url}; deploy, or correct the record")
        self.url = url
        self.address = address


class ContractDifferent(DeploymentError):
    """Other code than ours at the address."""

    def __init__(self, url: str, address: bytes) -> None:
        url = public_url(url)
        super().__init__(
            f"the contract at 0x{address.hex()} on {url} is not this version's PaymentChannels; "
            "use the program that deployed it, or deploy again"
        )
        self.url = url
        self.address = address


class MalformedDeployment(DeploymentError):
    """A deployment record that cannot be read."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path} is no deployment record: {problem}")
        self.path = path
        self.problem = problem


class Reorganised(ChainError):
    """A block we relied upon is no longer part of the chain: read again."""

    def __init__(self, number: int, expected: bytes, actual: bytes) -> None:
        super().__init__(f"block {number} was 0x{expected.hex()[:8]}..., is 0x{actual.hex()[:8]}...")
        self.number = number
        self.expected = expected
        self.actual = actual


class TransactionError(ChainError):
    """A transaction that did not do what it was sent for."""


class OutOfGasMoney(TransactionError):
    """The sender cannot pay for the gas (and value). The work stays queued."""

    def __init__(self, sender: bytes, balance: int, needed: int) -> None:
        super().__init__(
            f"0x{sender.hex()} has {balance} wei, the transaction may cost {needed}; send it gas money, "
            "the work stays queued"
        )
        self.sender = sender
        self.balance = balance
        self.needed = needed


class FeeAboveCeiling(TransactionError):
    """The network asks for more than the configured highest fee per gas. The work stays queued."""

    def __init__(self, fee: int, ceiling: int) -> None:
        super().__init__(f"gas costs {fee} wei a unit, the ceiling is {ceiling}; wait or raise the ceiling")
        self.fee = fee
        self.ceiling = ceiling


class TransactionTooLarge(TransactionError):
    """No chain takes a transaction like that: it was not signed."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(f"the transaction takes {size} {what}, no chain takes more than {limit}: not sent")
        self.what = what
        self.size = size
        self.limit = limit


class TransactionFailed(TransactionError):
    """It is in a block and reverted."""

    def __init__(self, transaction: bytes) -> None:
        super().__init__(f"transaction 0x{transaction.hex()} reverted on the chain")
        self.transaction = transaction


class TransactionReplaced(TransactionError):
    """Its nonce was used by a transaction that no node shows: whether the work is done is not known."""

    def __init__(self, sender: bytes, nonce: int) -> None:
        super().__init__(
            f"nonce {nonce} of 0x{sender.hex()} was used by a transaction this chain's node does not show; "
            "look whether the work is done before asking for it again, and keep this key to one program"
        )
        self.sender = sender
        self.nonce = nonce


class TransactionCancelled(TransactionError):
    """Given up: never sent (`transaction` is empty), or an empty transfer (its hash) used the nonce.

    reason: why, where nobody asked for that.
    """

    def __init__(self, purpose: str, transaction: bytes, reason: str = "") -> None:
        by = f"transaction 0x{transaction.hex()} took its nonce" if transaction else "it was never sent"
        super().__init__(f"cancelled: {purpose}; {by}" + (f"; {reason}" if reason else ""))
        self.purpose = purpose
        self.transaction = transaction
        self.reason = reason


class TransactionPending(TransactionError):
    """Not confirmed within the time the caller was ready to wait. It stays queued."""

    def __init__(self, transaction: bytes, seconds: float) -> None:
        super().__init__(
            f"transaction 0x{transaction.hex()} is not confirmed after {seconds:g} s; it stays queued"
        )
        self.transaction = transaction
        self.seconds = seconds


class Reverted(ChainError):
    """The contract refuses the call; `says` is its reason in words."""

    def __init__(self, says: str) -> None:
        super().__init__(f"the contract refuses: {says}")
        self.says = says


# External signers


class SignerError(SettlementError):
    """An external signer did not sign what it was asked to; nothing was sent."""


class SignerUnreachable(SignerError):
    """No answer from the signer, or not in time."""

    def __init__(self, url: str, reason: str) -> None:
        url, reason = public_url(url), public_text(reason)
        super().__init__(f"the signer at {url} gave no answer: {reason}; start it and repeat the command")
        self.url = url
        self.reason = reason


class SignerRefused(SignerError):
    """The signer, or its owner, said no."""

    def __init__(self, url: str, reason: str) -> None:
        url, reason = public_url(url), public_text(reason)
        super().__init__(f"the signer at {url} refused: {reason}")
        self.url = url
        self.reason = reason


class SignedDifferently(SignerError):
    """What came back is not the signature of this account over what was asked for."""

    def __init__(self, url: str, address: bytes) -> None:
        url = public_url(url)
        super().__init__(f"the signer at {url} did not sign this as 0x{address.hex()}: approve it unchanged")
        self.url = url
        self.address = address


# Wallets and local chains


class WalletError(SettlementError):
    """Keys on disk."""


class WrongPassword(WalletError):
    """The password does not open this wallet."""

    def __init__(self, name: str) -> None:
        super().__init__(f"wrong password for wallet {name}")
        self.name = name


class UnknownWallet(WalletError):
    """There is no wallet of this name."""

    def __init__(self, name: str, folder: str) -> None:
        super().__init__(f"no wallet {name} in {folder}; make one or list those that exist")
        self.name = name
        self.folder = folder


class WalletExists(WalletError):
    """A wallet of this name is there already and is not overwritten."""

    def __init__(self, name: str) -> None:
        super().__init__(f"a wallet {name} exists already; choose another name")
        self.name = name


class MalformedWallet(WalletError):
    """The file is no keystore we can read, or the name cannot be a file's."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"wallet {name}: {problem}")
        self.name = name
        self.problem = problem


class MalformedPhrase(WalletError):
    """Not a BIP-39 phrase. Keeps no value: it may be one word away from a real one."""

    def __init__(self) -> None:
        super().__init__("not a BIP-39 phrase: 12 to 24 words of one word list, the last one a checksum")


class LocalChainError(SettlementError):
    """A chain on this machine."""


class ToolMissing(LocalChainError):
    """A program we need is not installed."""

    def __init__(self, tool: str) -> None:
        super().__init__(
            f"{tool} not found on PATH, in $TITHE_TOOLS or in node_modules; run npm ci, or install it"
        )
        self.tool = tool


class LocalChainFailed(LocalChainError):
    """The chain did not start, or died."""

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(f"the local {kind} chain: {problem}")
        self.kind = kind
        self.problem = problem
