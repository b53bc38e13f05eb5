// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IReceiveWithAuthorization} from "../../../contracts/src/Authorizers.sol";
import {Messages} from "./Messages.sol";

/// @dev A token with ERC-2612 and the receiving half of EIP-3009. Its first holder is the test.
contract AuthorizingToken is ERC20Permit, IReceiveWithAuthorization {
    mapping(address authorizer => mapping(bytes32 nonce => bool)) public authorizationState;

    error CallerIsNotTheReceiver();
    error NotNow();
    error Used();
    error NotAuthorized();

    constructor() ERC20("Authorizing", "AUTH") ERC20Permit("Authorizing") {
        _mint(msg.sender, 1_000_000_000e18);
    }

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        if (to != msg.sender) revert CallerIsNotTheReceiver();
        if (block.timestamp <= validAfter || block.timestamp >= validBefore) revert NotNow();
        if (authorizationState[from][nonce]) revert Used();
        authorizationState[from][nonce] = true;
        bytes32 hash = keccak256(abi.encode(Messages.RECEIVE_TYPE, from, to, value, validAfter, validBefore, nonce));
        if (ECDSA.recover(_hashTypedDataV4(hash), v, r, s) != from) revert NotAuthorized();
        _transfer(from, to, value);
    }
}
