// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

import {PERMIT2} from "../../../contracts/src/Authorizers.sol";
import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {Messages} from "./Messages.sol";
import {AuthorizedToken} from "./Tokens.sol";
import {Vm} from "./Vm.sol";

/// @title What a payer's wallet signs so that its tokens can be moved without its transaction
/// @dev `until` is the last second of a permit; an authorization is good from the beginning of time to after it.
abstract contract WalletSignatures {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    bytes32 private constant PERMISSIONS_TYPE = keccak256("TokenPermissions(address token,uint256 amount)");
    bytes32 private constant TRANSFER_TYPE = keccak256(
        "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,"
        "Funding witness)"
        "Funding(address payer,address signer,address token,uint32 challengePeriod,bytes32 salt,bytes32[] rows)"
        "TokenPermissions(address token,uint256 amount)"
    );

    function signPermit(uint256 key, address token, address spender, uint256 value, uint256 until)
        internal
        view
        returns (IPaymentChannels.Permit memory)
    {
        address owner = vm.addr(key);
        bytes32 hash = keccak256(
            abi.encode(Messages.PERMIT_TYPE, owner, spender, value, IERC20Permit(token).nonces(owner), until)
        );
        (uint8 v, bytes32 r, bytes32 s) = signFor(key, token, hash);
        return IPaymentChannels.Permit(value, until, v, r, s);
    }

    function signAuthorization(
        uint256 key,
        bytes32 domain,
        IPaymentChannels.Funding memory funding,
        address receiver,
        uint256 sum,
        uint256 until
    ) internal view returns (IPaymentChannels.Authorization memory) {
        bytes32 nonce = fundingNonce(domain, funding);
        bytes32 digest =
            AuthorizedToken(funding.token).authorizationDigest(vm.addr(key), receiver, sum, 0, until + 1, nonce);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return IPaymentChannels.Authorization(0, until + 1, v, r, s);
    }

    function signPermit2(
        uint256 key,
        IPaymentChannels.Funding memory funding,
        address spender,
        uint256 maximum,
        uint256 nonce,
        uint256 until
    ) internal view returns (IPaymentChannels.WitnessedPermit memory) {
        bytes32 permitted = keccak256(abi.encode(PERMISSIONS_TYPE, funding.token, maximum));
        bytes32 witness = Messages.funding(funding);
        bytes32 hash = keccak256(abi.encode(TRANSFER_TYPE, permitted, spender, nonce, until, witness));
        bytes32 digest = Messages.typed(IERC20Permit(address(PERMIT2)).DOMAIN_SEPARATOR(), hash);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return IPaymentChannels.WitnessedPermit(maximum, nonce, until, abi.encodePacked(r, s, v));
    }

    function fundingNonce(bytes32 domain, IPaymentChannels.Funding memory funding) internal pure returns (bytes32) {
        return Messages.typed(domain, Messages.funding(funding));
    }

    function signFor(uint256 key, address token, bytes32 hash) private view returns (uint8 v, bytes32 r, bytes32 s) {
        return vm.sign(key, Messages.typed(IERC20Permit(token).DOMAIN_SEPARATOR(), hash));
    }
}
