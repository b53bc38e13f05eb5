// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {IPaymentChannels} from "./IPaymentChannels.sol";
import {MessageHashes} from "./MessageHashes.sol";

/// @title Payment channels of Tithebarn
/// @notice Every channel of a chain, in one contract without owner, proxy or fee. See IPaymentChannels.
/// @dev Safe against reentrancy by order: a row's effect is written before its tokens move, and nothing read from
/// storage before a transfer is relied on after it. A failed transfer takes its rows' own steps back by subtraction.
contract PaymentChannels is IPaymentChannels, EIP712 {
    using SafeERC20 for IERC20;

    /// @dev Gas of an ERC-1271 check: enough for a multi-signature or a precompiled P-256, and the most that one bad
    /// signer can cost whoever claims for many.
    uint256 private constant SIGNATURE_CHECK_GAS = 100_000;

    mapping(bytes32 id => Channel) private _channels;

    constructor() EIP712("Tithebarn", "1") {}

    // ------------------------------------------------------------------------------------------------------- the payer

    /// @inheritdoc IPaymentChannels
    function fund(address signer, address token, uint32 challengePeriod, bytes32 salt, bytes32[] calldata rows)
        external
        returns (uint256 moved)
    {
        if (signer == address(0)) revert ZeroSigner();
        bytes32 domain = _domainSeparatorV4();
        bytes32[] memory deposits = rows;
        for (uint256 i; i < deposits.length; ++i) {
            (address payee, uint96 target) = _unpack(deposits[i]);
            bytes32 id = _channelId(domain, msg.sender, signer, payee, token, challengePeriod, salt);
            Channel storage channel = _channels[id];
            // Check:
            uint96 deposit = channel.deposit;
            Reason reason = payee == address(0)
                ? Reason.ZERO_PAYEE
                : channel.closesAt != 0 ? Reason.CLOSING : Reason.NONE;
            if (reason != Reason.NONE) {
                emit Skipped(id, reason);
                deposits[i] = _pack(payee, deposit);
            } else if (target <= deposit) {
                deposits[i] = _pack(payee, deposit);
            } else {
                // Effect:
                channel.deposit = target;
                moved += target - deposit;
            }
        }
        emit Funded(msg.sender, token, signer, challengePeriod, salt, deposits);
        // Interaction:
        if (moved != 0) _pull(IERC20(token), msg.sender, moved);
    }

    /// @inheritdoc IPaymentChannels
    function push(address signer, address token, uint32 challengePeriod, bytes32 salt, bytes32[] calldata rows)
        external
        returns (uint256 paid)
    {
        bytes32 domain = _domainSeparatorV4();
        bytes32[] memory totals = rows;
        for (uint256 i; i < totals.length; ++i) {
            (address payee, uint96 total) = _unpack(totals[i]);
            bytes32 id = _channelId(domain, msg.sender, signer, payee, token, challengePeriod, salt);
            Channel storage channel = _channels[id];
            // Check:
            (Reason reason, uint96 claimed, uint96 step) = _due(channel, total);
            if (reason == Reason.NONE) {
                // Effect:
                channel.claimed = claimed;
                // Interaction:
                if (IERC20(token).trySafeTransfer(payee, step)) {
                    paid += step;
                } else {
                    reason = Reason.TRANSFER_FAILED;
                    channel.claimed -= step;
                }
            }
            if (reason != Reason.NONE) {
                emit Skipped(id, reason);
                claimed = channel.claimed;
            }
            totals[i] = _pack(payee, claimed);
        }
        emit Pushed(msg.sender, token, signer, challengePeriod, salt, totals);
    }

    /// @inheritdoc IPaymentChannels
    function requestClose(address signer, address token, uint32 challengePeriod, bytes32 salt, address[] calldata payees)
        external
        returns (uint256 closing)
    {
        bytes32 domain = _domainSeparatorV4();
        uint40 closesAt = uint40(block.timestamp) + challengePeriod;
        for (uint256 i; i < payees.length; ++i) {
            bytes32 id = _channelId(domain, msg.sender, signer, payees[i], token, challengePeriod, salt);
            Channel storage channel = _channels[id];
            // Check: an empty channel could be aged before it is funded, and the money taken back at once.
            Reason reason = channel.closesAt != 0
                ? Reason.CLOSING
                : channel.deposit == channel.claimed ? Reason.EMPTY : Reason.NONE;
            if (reason != Reason.NONE) {
                emit Skipped(id, reason);
                continue;
            }
            // Effect:
            channel.closesAt = closesAt;
            ++closing;
            emit CloseRequested(id, closesAt);
        }
    }

    /// @inheritdoc IPaymentChannels
    function withdraw(address signer, address token, uint32 challengePeriod, bytes32 salt, address[] calldata payees)
        external
        returns (uint256 returned)
    {
        bytes32 domain = _domainSeparatorV4();
        for (uint256 i; i < payees.length; ++i) {
            bytes32 id = _channelId(domain, msg.sender, signer, payees[i], token, challengePeriod, salt);
            Channel storage channel = _channels[id];
            // Check:
            Reason reason = channel.closesAt == 0
                ? Reason.NOT_CLOSING
                : block.timestamp < channel.closesAt
                    ? Reason.TOO_EARLY
                    : channel.deposit == channel.claimed ? Reason.EMPTY : Reason.NONE;
            if (reason != Reason.NONE) emit Skipped(id, reason);
            // Effect:
            else returned += _spend(channel, id);
        }
        // Interaction:
        if (returned != 0) IERC20(token).safeTransfer(msg.sender, returned);
    }

    // ------------------------------------------------------------------------------------------------------- the payee

    /// @inheritdoc IPaymentChannels
    function release(Terms calldata terms) external returns (uint256 returned) {
        // Check:
        if (msg.sender != terms.payee) revert NotPayee(terms.payee, msg.sender);
        bytes32 id = channelId(terms);
        Channel storage channel = _channels[id];
        if (channel.closesAt == 0) revert Refused(id, Reason.NOT_CLOSING);
        if (channel.deposit == channel.claimed) revert Refused(id, Reason.EMPTY);
        // Effect:
        returned = _spend(channel, id);
        // Interaction:
        IERC20(terms.token).safeTransfer(terms.payer, returned);
    }

    /// @inheritdoc IPaymentChannels
    function claimOne(address token, Claim calldata row) external returns (uint256 paid) {
        // Check:
        bytes32 domain = _domainSeparatorV4();
        bytes32 id = _channelId(domain, row.payer, row.signer, row.payee, token, row.challengePeriod, row.salt);
        Channel storage channel = _channels[id];
        (Reason reason, uint96 claimed, uint96 step) = _due(channel, row.cumulativeAmount);
        if (reason != Reason.NONE) revert Refused(id, reason);
        if (!_signed(domain, id, row)) revert Refused(id, Reason.BAD_SIGNATURE);
        // Effect:
        channel.claimed = claimed;
        emit Claimed(id, claimed);
        // Interaction:
        if (!IERC20(token).trySafeTransfer(row.payee, step)) revert Refused(id, Reason.TRANSFER_FAILED);
        return step;
    }

    /// @inheritdoc IPaymentChannels
    function claim(address token, Claim[] calldata rows) external returns (uint256 paid) {
        bytes32 domain = _domainSeparatorV4();
        bytes32[] memory totals = new bytes32[](2 * rows.length);
        uint256[] memory steps = new uint256[](rows.length);
        address payee;
        uint256 first; // of the run of rows paid by one transfer
        uint256 sum; // of its steps
        for (uint256 i; i < rows.length; ++i) {
            Claim calldata row = rows[i];
            if (row.payee != address(0) && row.payee != payee) {
                paid += _payRun(token, payee, sum, totals, steps, first, i);
                (payee, first, sum) = (row.payee, i, 0);
            }
            bytes32 id = _channelId(domain, row.payer, row.signer, payee, token, row.challengePeriod, row.salt);
            Channel storage channel = _channels[id];
            // Check:
            (Reason reason, uint96 claimed, uint96 step) = _due(channel, row.cumulativeAmount);
            if (reason == Reason.NONE && !_signed(domain, id, row)) reason = Reason.BAD_SIGNATURE;
            if (reason != Reason.NONE) {
                emit Skipped(id, reason);
                continue;
            }
            // Effect:
            channel.claimed = claimed;
            (totals[2 * i], totals[2 * i + 1], steps[i]) = (id, bytes32(uint256(claimed)), step);
            sum += step;
        }
        paid += _payRun(token, payee, sum, totals, steps, first, rows.length);
        emit ClaimedMany(token, totals);
    }

    // ----------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IPaymentChannels
    function channels(bytes32[] calldata ids) external view returns (Channel[] memory states) {
        states = new Channel[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            states[i] = _channels[ids[i]];
        }
    }

    /// @inheritdoc IPaymentChannels
    function channelId(Terms calldata terms) public view returns (bytes32) {
        return _channelId(
            _domainSeparatorV4(),
            terms.payer,
            terms.signer,
            terms.payee,
            terms.token,
            terms.challengePeriod,
            terms.salt
        );
    }

    /// @inheritdoc IPaymentChannels
    function voucherDigest(Voucher calldata voucher) external view returns (bytes32) {
        return _hashTypedDataV4(
            MessageHashes.voucher(voucher.channelId, voucher.cumulativeAmount, voucher.condition)
        );
    }

    // ----------------------------------------------------------------------------------------------------------- steps

    /// @dev What a promise of `total` is worth now: the new claimed total, and the step up to it. A channel holding
    /// less than promised pays what is there.
    function _due(Channel storage channel, uint96 total)
        private
        view
        returns (Reason reason, uint96 claimed, uint96 step)
    {
        uint96 before = channel.claimed;
        if (total <= before) return (Reason.STALE, before, 0);
        uint96 deposit = channel.deposit;
        if (deposit == before) return (Reason.EMPTY, before, 0);
        claimed = total < deposit ? total : deposit;
        step = claimed - before;
    }

    /// @dev Pay the rows `first` to `end - 1`, all of one payee. If the token refuses, the rows are taken back.
    function _payRun(
        address token,
        address payee,
        uint256 sum,
        bytes32[] memory totals,
        uint256[] memory steps,
        uint256 first,
        uint256 end
    ) private returns (uint256 paid) {
        if (sum == 0 || IERC20(token).trySafeTransfer(payee, sum)) return sum;
        for (uint256 i = first; i < end; ++i) {
            if (steps[i] == 0) continue;
            bytes32 id = totals[2 * i];
            _channels[id].claimed -= uint96(steps[i]);
            (totals[2 * i], totals[2 * i + 1]) = (0, 0);
            emit Skipped(id, Reason.TRANSFER_FAILED);
        }
    }

    /// @dev Give the rest of a channel back to its payer and end its life. The caller moves the tokens.
    function _spend(Channel storage channel, bytes32 id) private returns (uint96 rest) {
        uint96 deposit = channel.deposit;
        rest = deposit - channel.claimed;
        channel.claimed = deposit;
        emit Withdrawn(id, rest);
    }

    /// @dev Take `sum` from `owner`; the balance has to rise by exactly that.
    function _pull(IERC20 token, address owner, uint256 sum) private {
        uint256 balance = token.balanceOf(address(this));
        token.safeTransferFrom(owner, address(this), sum);
        uint256 received = token.balanceOf(address(this)) - balance;
        if (received != sum) revert DepositMismatch(sum, received);
    }

    /// @dev Whether the row's unconditional voucher is signed by its signer: a plain key first, then ERC-1271 by a
    /// static call of bounded gas. A zero signer has neither key nor code.
    function _signed(bytes32 domain, bytes32 id, Claim calldata row) private view returns (bool) {
        bytes32 digest =
            MessageHashUtils.toTypedDataHash(domain, MessageHashes.voucher(id, row.cumulativeAmount, bytes32(0)));
        (address recovered,,) = ECDSA.tryRecover(digest, row.r, row.vs);
        if (recovered == row.signer && recovered != address(0)) return true;
        (bool success, bytes memory answer) = row.signer.staticcall{gas: SIGNATURE_CHECK_GAS}(
            abi.encodeCall(IERC1271.isValidSignature, (digest, abi.encodePacked(row.r, row.vs)))
        );
        return success && answer.length >= 32 && bytes32(answer) == bytes32(IERC1271.isValidSignature.selector);
    }

    function _channelId(
        bytes32 domain,
        address payer,
        address signer,
        address payee,
        address token,
        uint32 challengePeriod,
        bytes32 salt
    ) private pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(
            domain, MessageHashes.channel(payer, signer, payee, token, challengePeriod, salt)
        );
    }

    function _unpack(bytes32 row) private pure returns (address payee, uint96 total) {
        return (address(bytes20(row)), uint96(uint256(row)));
    }

    function _pack(address payee, uint96 total) private pure returns (bytes32) {
        return bytes32(bytes20(payee)) | bytes32(uint256(total));
    }
}
