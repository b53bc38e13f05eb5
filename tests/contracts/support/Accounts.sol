// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @dev Accepts one digest with one signature.
contract WillingAccount is IERC1271 {
    bytes32 private immutable _digest;
    bytes32 private immutable _signature;

    constructor(bytes32 digest, bytes memory signature) {
        (_digest, _signature) = (digest, keccak256(signature));
    }

    function isValidSignature(bytes32 digest, bytes memory signature) external view returns (bytes4) {
        bool good = digest == _digest && keccak256(signature) == _signature;
        return good ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}

/// @dev Answers every question in one of the ways that do not count.
contract AwkwardAccount {
    enum Manner {
        REVERTS,
        SAYS_NO,
        SAYS_TRUE,
        ANSWERS_SHORT,
        ANSWERS_DIRTY,
        REVERTS_WITH_MAGIC,
        WRITES,
        BURNS,
        FLOODS
    }

    Manner private immutable _manner;
    uint256 private _asked;

    constructor(Manner manner) {
        _manner = manner;
    }

    fallback() external {
        bytes32 magic = bytes32(IERC1271.isValidSignature.selector);
        if (_manner == Manner.REVERTS) revert("no");
        if (_manner == Manner.SAYS_NO) answer(bytes32(hex"ffffffff"), 32);
        if (_manner == Manner.SAYS_TRUE) answer(bytes32(uint256(1)), 32);
        if (_manner == Manner.ANSWERS_SHORT) answer(magic, 31);
        if (_manner == Manner.ANSWERS_DIRTY) answer(magic | bytes32(uint256(1)), 32);
        if (_manner == Manner.REVERTS_WITH_MAGIC) {
            assembly {
                mstore(0, magic)
                revert(0, 32)
            }
        }
        if (_manner == Manner.WRITES) {
            _asked = 1;
            answer(magic, 32);
        }
        if (_manner == Manner.BURNS) {
            while (true) {}
        }
        assembly {
            return(0, 150000)
        }
    }

    function answer(bytes32 word, uint256 size) private pure {
        assembly {
            mstore(0, word)
            return(0, size)
        }
    }
}

/// @dev An account of one key that may change its mind: after `forget`, nothing it has signed is valid any more.
contract FickleAccount is IERC1271 {
    address private immutable _owner;
    bool private _forgot;

    constructor(address owner) {
        _owner = owner;
    }

    function forget() external {
        _forgot = true;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        (address by,,) = ECDSA.tryRecover(digest, bytes32(signature), bytes32(signature[32:]));
        return by == _owner && !_forgot ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}

/// @dev Accepts every signature when asked by `asker` with the gas that PaymentChannels gives.
contract AttentiveAccount {
    address private immutable _asker;

    constructor(address asker) {
        _asker = asker;
    }

    fallback() external {
        uint256 left = gasleft();
        bool good = msg.sender == _asker && left <= 100_000 && left > 99_000;
        bytes32 word = good ? bytes32(IERC1271.isValidSignature.selector) : bytes32(0);
        assembly {
            mstore(0, word)
            return(0, 32)
        }
    }
}
