// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

import {IPermit2, IReceiveWithAuthorization, PERMIT2} from "./Authorizers.sol";
import {ChannelSlot} from "./ChannelSlot.sol";
import {ChannelStore} from "./ChannelStore.sol";
import {Drafts} from "./Drafts.sol";
import {IPaymentChannels} from "./IPaymentChannels.sol";
import {MessageHashes} from "./MessageHashes.sol";
import {Tokens} from "./Tokens.sol";
import {Words} from "./Words.sol";

/// @title How deposits rise
/// @dev Every way books the rows first and then takes their sum. The money comes from the caller's allowance, or from a
/// payer whose signature covers the rows; the balance has to rise by exactly the sum.
abstract contract Fundings is ChannelStore {
    using Drafts for Words;

    /// @dev The rest of the type that Permit2 hashes, after `PermitWitnessTransferFrom(...,uint256 deadline,`.
    string private constant WITNESS_TYPE = "Funding witness)"
        "Funding(address payer,address signer,address token,uint32 challengePeriod,bytes32 salt,bytes32[] rows)"
        "TokenPermissions(address token,uint256 amount)";

    /// @dev Asks that the token's balance here rises by exactly `sum` in the meantime.
    modifier receives(address token, uint256 sum) {
        uint256 balance = IERC20(token).balanceOf(address(this));
        _;
        uint256 received = IERC20(token).balanceOf(address(this)) - balance;
        if (received != sum) revert DepositMismatch(sum, received);
    }

    /// @inheritdoc IPaymentChannels
    function fund(address signer, address token, uint32 challengePeriod, bytes32 salt, bytes32[] calldata rows)
        external
        returns (uint256 moved)
    {
        moved = _raise(msg.sender, signer, token, challengePeriod, salt, rows);
        // Interaction:
        if (moved != 0) _pull(token, moved);
    }

    /// @inheritdoc IPaymentChannels
    function fundOne(address token, bytes32 key, bytes32 salt, bytes32 row) external returns (uint256 moved) {
        // Check:
        if (uint256(key) >> 96 == 0) revert ZeroSigner();
        bytes32 id = Drafts.forOne(_domain(), token, key, salt, row);
        if (uint256(row) >> 96 == 0) revert Refused(id, Reason.ZERO_PAYEE);
        uint256 target = uint96(uint256(row));
        Entry storage entry = _entries[id];
        ChannelSlot slot = entry.slot;
        if (slot.closesAt() != 0) revert Refused(id, Reason.CLOSING);
        if (target <= slot.deposit()) return 0;
        // Effect:
        unchecked {
            moved = target - slot.deposit(); // just compared
        }
        entry.slot = slot.raiseDeposit(moved);
        emit FundedOne(msg.sender, token, key, salt, row);
        // Interaction:
        _pull(token, moved);
    }

    /// @inheritdoc IPaymentChannels
    function fundWithPermit(
        address signer,
        address token,
        uint32 challengePeriod,
        bytes32 salt,
        bytes32[] calldata rows,
        Permit calldata permit
    ) external returns (uint256 moved) {
        moved = _raise(msg.sender, signer, token, challengePeriod, salt, rows);
        // Interaction:
        if (moved == 0) return 0;
        try IERC20Permit(token)
            .permit(msg.sender, address(this), permit.value, permit.deadline, permit.v, permit.r, permit.s) {}
            catch {} // the allowance decides
        _pull(token, moved);
    }

    /// @inheritdoc IPaymentChannels
    function fundWithAuthorization(Funding calldata funding, Authorization calldata authorization)
        external
        returns (uint256 moved)
    {
        moved = _raiseSigned(funding);
        // Interaction:
        _receive(funding, authorization, moved);
    }

    /// @inheritdoc IPaymentChannels
    function fundWithPermit2(Funding calldata funding, WitnessedPermit calldata permit)
        external
        returns (uint256 moved)
    {
        moved = _raiseSigned(funding);
        // Interaction:
        _receive(funding, permit, moved);
    }

    /// @dev Book the deposits of a call and tell them. The sum is still to be taken from the payer.
    function _raise(
        address payer,
        address signer,
        address token,
        uint32 challengePeriod,
        bytes32 salt,
        bytes32[] calldata rows
    ) private returns (uint256 moved) {
        if (signer == address(0)) revert ZeroSigner();
        Words draft = Drafts.forPayer(_domain(), payer, signer, token, challengePeriod, salt);
        Words deposits = _list(signer, challengePeriod, salt, rows);
        for (uint256 i; i < rows.length; ++i) {
            (address payee, uint256 target) = _unpack(rows[i]);
            bytes32 id = draft.channelTo(payee);
            Entry storage entry = _entries[id];
            ChannelSlot slot = entry.slot;
            uint256 deposit = slot.deposit();
            // Check:
            if (payee == address(0)) {
                emit Skipped(id, Reason.ZERO_PAYEE);
            } else if (slot.closesAt() != 0) {
                emit Skipped(id, Reason.CLOSING);
            } else if (target > deposit) {
                // Effect:
                unchecked {
                    uint256 step = target - deposit; // just compared
                    entry.slot = slot.raiseDeposit(step);
                    moved += step; // fewer than 2^160 rows
                }
                continue;
            }
            deposits.set(LIST_HEAD + i, _pack(payee, deposit));
        }
        deposits.log3(LIST_HEAD + rows.length, Funded.selector, payer, token);
    }

    /// @dev For a payer that has signed: it is asked only where money moves, so there has to be some.
    function _raiseSigned(Funding calldata it) private returns (uint256 moved) {
        moved = _raise(it.payer, it.signer, it.token, it.challengePeriod, it.salt, it.rows);
        if (moved == 0) revert NothingToFund();
    }

    function _pull(address token, uint256 sum) private {
        uint256 received = Tokens.take(token, msg.sender, sum);
        if (received != sum) revert DepositMismatch(sum, received);
    }

    function _receive(Funding calldata it, Authorization calldata by, uint256 sum) private receives(it.token, sum) {
        bytes32 nonce = _hashTypedDataV4(MessageHashes.funding(it));
        IReceiveWithAuthorization(it.token)
            .receiveWithAuthorization(
                it.payer, address(this), sum, by.validAfter, by.validBefore, nonce, by.v, by.r, by.s
            );
    }

    function _receive(Funding calldata it, WitnessedPermit calldata by, uint256 sum) private receives(it.token, sum) {
        PERMIT2.permitWitnessTransferFrom(
            IPermit2.PermitTransferFrom(IPermit2.TokenPermissions(it.token, by.amount), by.nonce, by.deadline),
            IPermit2.SignatureTransferDetails(address(this), sum),
            it.payer,
            MessageHashes.funding(it),
            WITNESS_TYPE,
            by.signature
        );
    }
}
