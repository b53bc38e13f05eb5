// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IPermit2} from "../../../contracts/src/Authorizers.sol";

/// @title The part of Permit2 that PaymentChannels calls, to the letter of its hashes, nonces and limits
/// @dev It reads its address when asked, so that its code can be placed at Permit2's own.
contract Permit2 is IPermit2 {
    using SafeERC20 for IERC20;

    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)");
    bytes32 private constant PERMISSIONS_TYPE = keccak256("TokenPermissions(address token,uint256 amount)");
    string private constant WITNESS_STUB =
        "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,";

    mapping(address owner => mapping(uint256 word => uint256 bits)) public nonceBitmap;

    error SignatureExpired(uint256 deadline);
    error InvalidAmount(uint256 maximum);
    error InvalidNonce();
    error InvalidSigner();

    function permitWitnessTransferFrom(
        PermitTransferFrom calldata permit,
        SignatureTransferDetails calldata details,
        address owner,
        bytes32 witness,
        string calldata witnessType,
        bytes calldata signature
    ) external {
        if (block.timestamp > permit.deadline) revert SignatureExpired(permit.deadline);
        if (details.requestedAmount > permit.permitted.amount) revert InvalidAmount(permit.permitted.amount);
        uint256 bit = 1 << uint8(permit.nonce);
        uint256 flipped = nonceBitmap[owner][permit.nonce >> 8] ^= bit;
        if (flipped & bit == 0) revert InvalidNonce();
        bytes32 digest = digestOf(permit, msg.sender, witness, witnessType);
        if (signerOf(digest, signature) != owner) revert InvalidSigner();
        IERC20(permit.permitted.token).safeTransferFrom(owner, details.to, details.requestedAmount);
    }

    /// @dev The real one asks owners that are accounts as well; ours are keys.
    function signerOf(bytes32 digest, bytes calldata signature) private pure returns (address) {
        if (signature.length != 64) return ECDSA.recover(digest, signature);
        return ECDSA.recover(digest, bytes32(signature), bytes32(signature[32:]));
    }

    function digestOf(PermitTransferFrom calldata permit, address spender, bytes32 witness, string calldata witnessType)
        public
        view
        returns (bytes32)
    {
        bytes32 permissions = keccak256(abi.encode(PERMISSIONS_TYPE, permit.permitted));
        bytes32 typeHash = keccak256(abi.encodePacked(WITNESS_STUB, witnessType));
        bytes32 hash = keccak256(abi.encode(typeHash, permissions, spender, permit.nonce, permit.deadline, witness));
        bytes32 domain = keccak256(abi.encode(DOMAIN_TYPE, keccak256("Permit2"), block.chainid, address(this)));
        return keccak256(abi.encodePacked(hex"1901", domain, hash));
    }
}
