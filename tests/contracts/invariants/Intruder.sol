// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IHook} from "../support/Tokens.sol";

/// @dev An account of one key (ERC-1271): signs as whoever holds the key.
contract KeyedAccount is IERC1271 {
    address private immutable _owner;

    constructor(address owner) {
        _owner = owner;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        (address by,,) = ECDSA.tryRecover(digest, bytes32(signature), bytes32(signature[32:]));
        return by == _owner ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}

/// @dev An account that is called in the middle of transfers, and then does the one thing it has planned.
contract Intruder is KeyedAccount, IHook {
    address private immutable _channels;
    bytes private _plan;
    bool public succeeded;

    constructor(address owner, address channels) KeyedAccount(owner) {
        _channels = channels;
    }

    function plan(bytes calldata data) external {
        (_plan, succeeded) = (data, false);
    }

    function onMove(address, address) external {
        (succeeded,) = _channels.call(_plan);
    }
}
