// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "./IPaymentChannels.sol";

/// @title Calls of ERC-20 tokens, as old and new ones answer them
/// @notice OpenZeppelin's SafeERC20 says the same; encoding its calls costs 250 gas more each.
library Tokens {
    /// @dev Send tokens from here. False where the token reverts, says no, says nothing without being a contract, or says
    /// something else.
    function trySend(address token, address to, uint256 amount) internal returns (bool sent) {
        assembly ("memory-safe") {
            let question := mload(0x40)
            mstore(question, shl(224, 0xa9059cbb)) // transfer(address,uint256)
            mstore(add(question, 0x04), to)
            mstore(add(question, 0x24), amount)
            sent := call(gas(), token, 0, question, 0x44, 0x00, 0x20)
            switch returndatasize()
            case 0 { sent := and(sent, gt(extcodesize(token), 0)) }
            default { sent := and(sent, and(gt(returndatasize(), 0x1f), eq(mload(0x00), 1))) }
        }
    }

    /// @dev Send tokens from here or revert.
    function send(address token, address to, uint256 amount) internal {
        if (!trySend(token, to, amount)) revert IPaymentChannels.TransferFailed(token, to, amount);
    }

    /// @dev Have tokens of `owner` moved here and return by how much the balance rose. What the token answers is of no
    /// account; if it reverts, so does this, for the same reason.
    function take(address token, address owner, uint256 amount) internal returns (uint256 received) {
        assembly ("memory-safe") {
            let question := mload(0x40)
            mstore(0x00, 0x70a08231) // balanceOf(address)
            mstore(0x20, address())
            let answered := staticcall(gas(), token, 0x1c, 0x24, question, 0x20)
            if iszero(and(answered, gt(returndatasize(), 0x1f))) { revert(0x00, 0x00) }
            let before := mload(question)
            mstore(question, shl(224, 0x23b872dd)) // transferFrom(address,address,uint256)
            mstore(add(question, 0x04), owner)
            mstore(add(question, 0x24), address())
            mstore(add(question, 0x44), amount)
            if iszero(call(gas(), token, 0, question, 0x64, 0x00, 0x00)) {
                returndatacopy(question, 0, returndatasize())
                revert(question, returndatasize())
            }
            answered := staticcall(gas(), token, 0x1c, 0x24, 0x00, 0x20)
            if iszero(and(answered, gt(returndatasize(), 0x1f))) { revert(0x00, 0x00) }
            received := sub(mload(0x00), before)
        }
    }
}
