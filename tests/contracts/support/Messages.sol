// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {MessageHashes} from "../../../contracts/src/MessageHashes.sol";

/// @title What wallets sign, hashed for any chain and any contract
/// @notice The contract shows only digests of its own domain; tests of its fences need those of others as well.
library Messages {
    bytes32 internal constant PERMIT_TYPE =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    function domain(uint256 chain, address channels) internal pure returns (bytes32) {
        return keccak256(abi.encode(DOMAIN_TYPE, keccak256("Tithebarn"), keccak256("1"), chain, channels));
    }

    function typed(bytes32 domain_, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domain_, structHash));
    }

    function channel(bytes32 domain_, IPaymentChannels.Terms memory terms) internal pure returns (bytes32) {
        return typed(domain_, keccak256(abi.encode(MessageHashes.CHANNEL_TYPE, terms)));
    }

    function voucher(bytes32 domain_, bytes32 id, uint256 total, bytes32 condition) internal pure returns (bytes32) {
        return typed(domain_, keccak256(abi.encode(MessageHashes.VOUCHER_TYPE, id, total, condition)));
    }

    function relayFee(bytes32 domain_, IPaymentChannels.RelayFee memory it) internal pure returns (bytes32) {
        return typed(domain_, keccak256(abi.encode(MessageHashes.RELAY_FEE_TYPE, it)));
    }

    /// @dev The struct hash, which Permit2 takes as witness. Its digest is the nonce of an EIP-3009 authorization.
    function funding(IPaymentChannels.Funding memory it) internal pure returns (bytes32) {
        bytes32 rows = keccak256(abi.encodePacked(it.rows));
        return keccak256(
            abi.encode(MessageHashes.FUNDING_TYPE, it.payer, it.signer, it.token, it.challengePeriod, it.salt, rows)
        );
    }
}
