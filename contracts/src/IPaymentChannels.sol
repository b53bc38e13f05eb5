// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title One-way payment channels, settled by cumulative vouchers
/// @notice A payer funds channels to many payees. A hot signer promises ever higher totals in EIP-712 vouchers; anyone
/// may turn a voucher into tokens for its payee. The payer takes the rest back after a challenge period.
///
/// Amounts are base units of the channel's token and always totals since the channel's first day, never steps: saying
/// the same thing twice changes nothing. A channel lives once. When its payer has withdrawn, its id is spent.
///
/// Words: an address and a number often share one, the address in its upper 20 bytes. A `row` is `payee (20 bytes) ||
/// total (12)`, a `key` is `signer (20) || nothing (8) || challengePeriod (4)`. A bad row is skipped with a reason and
/// never blocks the others.
interface IPaymentChannels {
    // ---------------------------------------------------------------------------------------------------- channels

    /// @notice What a channel is. Its EIP-712 hash is the channel's id, known before it is funded.
    /// @param payer Funds it, pushes, closes, and gets the rest.
    /// @param signer Signs its vouchers: a plain key, or an account that knows ERC-1271. Never zero.
    /// @param payee Receives every claim and push. Never zero.
    /// @param token The ERC-20 it holds.
    /// @param challengePeriod Seconds from a close request to the withdrawal.
    /// @param salt Tells lives of otherwise equal channels apart.
    struct Terms {
        address payer;
        address signer;
        address payee;
        address token;
        uint32 challengePeriod;
        bytes32 salt;
    }

    /// @notice The state of a channel, one storage slot. All three only rise.
    /// @param deposit Total ever funded.
    /// @param claimed Total ever paid out of it: to the payee, and after `withdraw` the rest to the payer.
    /// @param closesAt Zero while open, otherwise the time from which the payer may withdraw.
    struct Channel {
        uint96 deposit; // slot 0, bits 0..95
        uint96 claimed; // slot 0, bits 96..191
        uint40 closesAt; // slot 0, bits 192..231
    }

    // ------------------------------------------------------------------------------------------------ signed messages

    /// @notice A promise of the channel's signer.
    /// @param cumulativeAmount The total owed to the payee since the channel's first day.
    /// @param condition Zero: claimable as is. Otherwise the digest of the Challenge whose proof makes it good.
    struct Voucher {
        bytes32 channelId;
        uint96 cumulativeAmount;
        bytes32 condition;
    }

    /// @notice What one shard has to show in an audit.
    /// @param agreement The agreement's digest.
    /// @param dataRoot RFC 9162 root over the shard's 1 KiB leaves.
    /// @param leafCount Number of leaves under `dataRoot`.
    /// @param indices The leaves asked for, strictly increasing.
    struct Item {
        bytes32 agreement;
        bytes32 dataRoot;
        uint64 leafCount;
        uint64[] indices;
    }

    /// @notice An audit: the work that makes a conditional voucher good.
    /// @param auditId Never used twice.
    struct Challenge {
        bytes32 auditId;
        Item[] items;
    }

    /// @notice What a payer signs to let others carry its money into channels. Its digest is the nonce of an EIP-3009
    /// authorization, its struct hash the witness of a Permit2 transfer: neither can pay for anything else.
    /// @param rows `payee || target`.
    struct Funding {
        address payer;
        address signer;
        address token;
        uint32 challengePeriod;
        bytes32 salt;
        bytes32[] rows;
    }

    /// @notice What a payee signs to let a relayer keep a part of one voucher's money.
    /// @param maximum The most that the relayer may keep, once.
    /// @param deadline Unix time of the last second in which it may.
    struct RelayFee {
        address relayer;
        bytes32 channelId;
        uint96 cumulativeAmount;
        uint96 maximum;
        uint64 deadline;
    }

    /// @notice The storage contract between a renter and a farmer. It names no channel: any accepted one pays for it.
    /// @param renter Node id (Ed25519 public key) of the buyer.
    /// @param farmer Node id of the seller.
    /// @param shardLength Bytes stored.
    /// @param leafCount Leaves under `dataRoot`.
    /// @param dataRoot RFC 9162 root over the shard's 1 KiB leaves.
    /// @param step Price of one passed audit.
    /// @param auditInterval Seconds between audits.
    /// @param responseDeadline Seconds to answer one.
    /// @param grace Seconds a missed payment is borne before the shard is deleted.
    /// @param downloadPrice Base units per 10^9 bytes read.
    /// @param start Unix time of the first day.
    /// @param end Unix time after which nothing is owed.
    struct Agreement {
        bytes32 renter;
        bytes32 farmer;
        uint64 shardLength;
        uint64 leafCount;
        bytes32 dataRoot;
        uint96 step;
        uint32 auditInterval;
        uint32 responseDeadline;
        uint32 grace;
        uint96 downloadPrice;
        uint64 start;
        uint64 end;
    }

    // ---------------------------------------------------------------------------------------------------------- calls

    /// @notice One voucher to be claimed, with the terms of its channel (the token is given once per call).
    /// @param payer Zero means: payer, key and salt are those of the row before.
    /// @param key `signer || challengePeriod`.
    /// @param row `payee || cumulativeAmount`. Payee zero means: as the row before, in the first row the caller.
    /// Neighbouring rows of one payee are paid by one transfer.
    /// @param r First word of the EIP-2098 signature.
    /// @param vs Second word of it: s with the parity in its highest bit. High s is refused.
    struct Claim {
        address payer;
        bytes32 key;
        bytes32 row;
        bytes32 salt;
        bytes32 r;
        bytes32 vs;
    }

    /// @notice What a relayer keeps of one row, and the payee's signature (EIP-2098) over the RelayFee that allows it.
    /// @param terms `fee (12 bytes) || maximum (12) || deadline (8)`. Fee zero: nothing is kept, no signature needed.
    struct Fee {
        bytes32 terms;
        bytes32 r;
        bytes32 vs;
    }

    /// @notice An ERC-2612 permit of the caller for this contract.
    struct Permit {
        uint256 value;
        uint256 deadline;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice The payer's signature over EIP-3009's ReceiveWithAuthorization: from the payer, to this contract, the
    /// exact sum, these times, and the digest of the Funding as nonce.
    struct Authorization {
        uint256 validAfter;
        uint256 validBefore;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice The payer's signature over Permit2's PermitWitnessTransferFrom, with the Funding as witness.
    /// @param amount The most that may be moved.
    struct WitnessedPermit {
        uint256 amount;
        uint256 nonce;
        uint256 deadline;
        bytes signature;
    }

    /// @notice Why a row was skipped.
    enum Reason {
        NONE, // not skipped
        ZERO_PAYEE, // a channel must pay somebody
        CLOSING, // the payer has asked to close it: it takes no more money, and no second request
        STALE, // not above what was claimed before
        EMPTY, // nothing left in it
        BAD_SIGNATURE, // not by the channel's signer, malleable, or over another voucher
        TRANSFER_FAILED, // the token refused to pay this payee; the row remains claimable
        NOT_CLOSING, // withdrawing needs a close request first
        TOO_EARLY, // the challenge period is not over
        BAD_PROOF, // no well-formed proof; a well-formed one of something else is a BAD_SIGNATURE
        FEE_TOO_HIGH, // above the payee's maximum or above what the row pays
        FEE_EXPIRED, // its deadline is over
        FEE_UNSIGNED // not by the payee, or for another relayer, channel, amount, maximum or deadline
    }

    /// @notice Deposits of `payer` after a `fund` call: `rows` are `payee || deposit`, one for each row of the call.
    event Funded(
        address indexed payer,
        address indexed token,
        address signer,
        uint32 challengePeriod,
        bytes32 salt,
        bytes32[] rows
    );

    /// @notice The deposit of one channel after `fundOne`: `row` is `payee || deposit`.
    event FundedOne(address indexed payer, address token, bytes32 key, bytes32 salt, bytes32 row);

    /// @notice Totals claimed after a `push` call: `rows` are `payee || claimed`, one for each row of the call.
    event Pushed(
        address indexed payer,
        address indexed token,
        address signer,
        uint32 challengePeriod,
        bytes32 salt,
        bytes32[] rows
    );

    /// @notice A voucher was claimed by itself; `claimed` is the channel's new total.
    event Claimed(bytes32 indexed channelId, uint96 claimed);

    /// @notice Vouchers were claimed together: `rows` holds two words for each row of the call, the channel's id and
    /// its new total. Both are zero where the row was skipped.
    event ClaimedMany(address indexed token, bytes32[] rows);

    /// @notice Vouchers were claimed by a relayer: `rows` holds two words for each row of the call, the channel's id
    /// and `fee << 96 | new total`. Both are zero where the row was skipped.
    event Relayed(address indexed token, address indexed relayer, bytes32[] rows);

    /// @notice The payer wants the rest back and may take it at `closesAt`.
    event CloseRequested(bytes32 indexed channelId, uint40 closesAt);

    /// @notice The payer got the rest, `amount`, back. The channel is spent.
    event Withdrawn(bytes32 indexed channelId, uint96 amount);

    /// @notice A row was skipped and its channel is as it was.
    event Skipped(bytes32 indexed channelId, Reason reason);

    /// @notice A channel without a signer could be claimed by nobody's signature.
    error ZeroSigner();

    /// @notice The balance did not rise by exactly the sum: the token takes a fee or changes balances by itself.
    error DepositMismatch(uint256 expected, uint256 received);

    /// @notice The token refused to pay the caller or, in a release, the payer.
    error TransferFailed(address token, address to, uint256 amount);

    /// @notice The only row of the call would have been skipped.
    error Refused(bytes32 channelId, Reason reason);

    /// @notice A signed funding would move nothing. It is refused, so that nobody speaks for a payer without its word.
    error NothingToFund();

    /// @notice Only the payee may end the wait.
    error NotPayee(address payee, address caller);

    /// @notice Raise deposits of the caller's channels to target totals, opening those that are new, with one transfer.
    /// A target at or below the deposit changes nothing. A closing channel is skipped.
    /// @param rows `payee || target`.
    /// @return moved Tokens taken from the caller.
    function fund(address signer, address token, uint32 challengePeriod, bytes32 salt, bytes32[] calldata rows)
        external
        returns (uint256 moved);

    /// @notice `fund` for one channel, cheaper. Reverts with `Refused` where a batch skips.
    /// @param key `signer || challengePeriod`.
    /// @param row `payee || target`.
    /// @return moved Tokens taken from the caller.
    function fundOne(address token, bytes32 key, bytes32 salt, bytes32 row) external returns (uint256 moved);

    /// @notice `fund` after an ERC-2612 permit of the caller. A permit that fails is ignored: somebody may have
    /// presented it already. What counts is the allowance.
    /// @return moved Tokens taken from the caller.
    function fundWithPermit(
        address signer,
        address token,
        uint32 challengePeriod,
        bytes32 salt,
        bytes32[] calldata rows,
        Permit calldata permit
    ) external returns (uint256 moved);

    /// @notice `fund` the channels of a payer that has signed an EIP-3009 authorization over these very rows and over
    /// exactly the sum they move. Anyone may call. Reverts with `NothingToFund` if that is nothing.
    /// @return moved Tokens taken from the payer.
    function fundWithAuthorization(Funding calldata funding, Authorization calldata authorization)
        external
        returns (uint256 moved);

    /// @notice `fund` the channels of a payer that has signed a Permit2 transfer with these very rows as witness. Anyone
    /// may call. Reverts with `NothingToFund` if no deposit rises.
    /// @return moved Tokens taken from the payer.
    function fundWithPermit2(Funding calldata funding, WitnessedPermit calldata permit) external returns (uint256 moved);

    /// @notice Claim unconditional vouchers of many payers and payees, all in one token. Anyone may call; the payees
    /// get the money. A channel that holds less than promised pays what is there, the rest remains claimable.
    /// @return paid Tokens paid out.
    function claim(address token, Claim[] calldata rows) external returns (uint256 paid);

    /// @notice `claim`, where vouchers with a condition bring the proof of their audit.
    /// @param proofs The proof of the row of the same index; empty or missing where the voucher has no condition.
    /// A proof is `auditId (32 bytes)`, then for each item of the challenge `agreement (32) || leafCount (8) ||
    /// count (1) || indices (8 each)`, then for each index its leaf and its path. The leaf has 1,024 bytes; before leaf
    /// leafCount - 1 stands its own length (2). The path has as many hashes (32 each), from the bottom up, as index and
    /// leafCount require. The contract computes from it the root, the Challenge and the condition.
    /// @return paid Tokens paid out.
    function claimProven(address token, Claim[] calldata rows, bytes[] calldata proofs) external returns (uint256 paid);

    /// @notice Claim one unconditional voucher; cheaper than a batch of one. Reverts with `Refused` where a batch skips.
    /// @return paid Tokens paid out.
    function claimOne(address token, Claim calldata row) external returns (uint256 paid);

    /// @notice Claim one voucher with the proof of its audit, as `claimProven` takes it.
    /// @return paid Tokens paid out.
    function claimOneProven(address token, Claim calldata row, bytes calldata proof) external returns (uint256 paid);

    /// @notice `claimProven` for payees that let the caller keep a fee. It is charged only by the claim that pays a
    /// voucher in full, hence once: a channel that holds less pays what is there without a fee.
    /// @param fees The fee of the row of the same index; missing means none.
    /// @param proofs As `claimProven` takes them.
    /// @return paid Tokens paid out, the fees among them.
    function relay(address token, Claim[] calldata rows, Fee[] calldata fees, bytes[] calldata proofs)
        external
        returns (uint256 paid);

    /// @notice Pay totals from the caller's own channels, no voucher needed.
    /// @param rows `payee || total`.
    /// @return paid Tokens paid out.
    function push(address signer, address token, uint32 challengePeriod, bytes32 salt, bytes32[] calldata rows)
        external
        returns (uint256 paid);

    /// @notice Start the challenge period of the caller's channels. Claims and pushes count until the withdrawal,
    /// funding does not any more. Channels that are empty or closing already are skipped.
    /// @return closing Number of channels for which it was started.
    function requestClose(
        address signer,
        address token,
        uint32 challengePeriod,
        bytes32 salt,
        address[] calldata payees
    ) external returns (uint256 closing);

    /// @notice Take back what is left in the caller's channels, with one transfer, after their challenge period.
    /// @return returned Tokens paid to the caller.
    function withdraw(address signer, address token, uint32 challengePeriod, bytes32 salt, address[] calldata payees)
        external
        returns (uint256 returned);

    /// @notice End the wait: the payee of a closing channel lets the rest go back to the payer at once.
    /// @return returned Tokens paid to the payer.
    function release(Terms calldata terms) external returns (uint256 returned);

    // ---------------------------------------------------------------------------------------------------------- views

    /// @notice The states of many channels; a channel never funded is all zero.
    function channels(bytes32[] calldata ids) external view returns (Channel[] memory states);

    /// @notice The id of a channel: the EIP-712 digest of its terms.
    function channelId(Terms calldata terms) external view returns (bytes32);

    /// @notice What the signer signs.
    function voucherDigest(Voucher calldata voucher) external view returns (bytes32);
}
