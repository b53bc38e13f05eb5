// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title One-way payment channels, settled by cumulative vouchers
/// @notice A payer funds channels to many payees. A hot signer promises ever higher totals in EIP-712 vouchers; anyone
/// may turn a voucher into tokens for its payee. The payer takes the rest back after a challenge period.
///
/// Amounts are base units of the channel's token and always totals since the channel's first day, never steps: saying
/// the same thing twice changes nothing. A channel lives once. When its payer has withdrawn, its id is spent.
///
/// Rows: where a call takes many payees of one payer, a row is one word, `payee (20 bytes) || total (12 bytes)`.
/// A bad row is skipped with a reason and never blocks the others.
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
    /// @param payee Zero means: as the row before. Neighbouring rows of one payee are paid by one transfer.
    /// @param r First word of the EIP-2098 signature.
    /// @param vs Second word of it: s with the parity in its highest bit. High s is refused.
    struct Claim {
        address payer;
        address signer;
        address payee;
        uint32 challengePeriod;
        bytes32 salt;
        uint96 cumulativeAmount;
        bytes32 r;
        bytes32 vs;
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
        TOO_EARLY // the challenge period is not over
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

    /// @notice The only row of the call would have been skipped.
    error Refused(bytes32 channelId, Reason reason);

    /// @notice Only the payee may end the wait.
    error NotPayee(address payee, address caller);

    /// @notice Raise deposits of the caller's channels to target totals, opening those that are new, with one transfer.
    /// A target at or below the deposit changes nothing. A closing channel is skipped.
    /// @param rows `payee || target`.
    /// @return moved Tokens taken from the caller.
    function fund(address signer, address token, uint32 challengePeriod, bytes32 salt, bytes32[] calldata rows)
        external
        returns (uint256 moved);

    /// @notice Claim unconditional vouchers of many payers and payees, all in one token. Anyone may call; the payees
    /// get the money. A channel that holds less than promised pays what is there, the rest remains claimable.
    /// @return paid Tokens paid out.
    function claim(address token, Claim[] calldata rows) external returns (uint256 paid);

    /// @notice Claim one unconditional voucher; cheaper than a batch of one. Reverts with `Refused` where a batch skips.
    /// @return paid Tokens paid out.
    function claimOne(address token, Claim calldata row) external returns (uint256 paid);

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
