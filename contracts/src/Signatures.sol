// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

/// @title Signatures by plain keys and by accounts
/// @notice 64 bytes (EIP-2098), r and vs: the lower half of all s, with the parity in the highest bit.
library Signatures {
    /// @dev Half the order of secp256k1. An s in the upper half is the same signature again, malleated.
    uint256 private constant HIGHEST_S = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    /// @dev Gas of an account's check: enough for several signatures or a precompiled P-256, and the most that one bad
    /// signer can cost whoever claims for many.
    uint256 private constant ACCOUNT_GAS = 100_000;

    /// @dev Whether `signer` signed: a plain key, a delegated one (EIP-7702), or an account.
    function by(address signer, bytes32 digest, bytes32 r, bytes32 vs) internal view returns (bool) {
        return byKey(signer, digest, r, vs) || byAccount(signer, digest, r, vs);
    }

    /// @dev Whether the key of `signer` signed. Never true for the zero address.
    function byKey(address signer, bytes32 digest, bytes32 r, bytes32 vs) internal view returns (bool signed) {
        assembly ("memory-safe") {
            let input := mload(0x40)
            let s := shr(1, shl(1, vs))
            mstore(input, digest)
            mstore(add(input, 0x20), add(27, shr(255, vs)))
            mstore(add(input, 0x40), r)
            mstore(add(input, 0x60), s)
            mstore(0x00, not(0)) // nobody's address; ecrecover writes nothing where it recovers nothing
            pop(staticcall(gas(), 1, input, 0x80, 0x00, 0x20))
            signed := and(eq(mload(0x00), signer), iszero(gt(s, HIGHEST_S)))
        }
    }

    /// @dev Whether the account at `signer` accepts the signature (ERC-1271): asked by a static call of bounded gas, of
    /// whose answer one word is read.
    function byAccount(address signer, bytes32 digest, bytes32 r, bytes32 vs) internal view returns (bool signed) {
        bytes4 magic = IERC1271.isValidSignature.selector;
        bytes memory question = abi.encodeCall(IERC1271.isValidSignature, (digest, abi.encodePacked(r, vs)));
        assembly ("memory-safe") {
            signed := staticcall(ACCOUNT_GAS, signer, add(question, 0x20), mload(question), 0x00, 0x20)
            signed := and(signed, and(gt(returndatasize(), 0x1f), eq(mload(0x00), magic)))
        }
    }
}
