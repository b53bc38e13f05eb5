// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

import {IPermit2, PERMIT2} from "../../../contracts/src/Authorizers.sol";
import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {Messages} from "./Messages.sol";
import {Permit2} from "./Permit2.sol";
import {Vm} from "./Vm.sol";

/// @title What a payer's wallet signs so that its tokens can be moved without its transaction
/// @dev `until` is the last second of a permit; an authorization is good from the beginning of time to after it.
abstract contract WalletSignatures {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @dev As Permit2 is told by its callers; written out here, so that a slip in the contract's own is noticed.
    string private constant WITNESS_TYPE = "Funding witness)"
        "Funding(address payer,address signer,address token,uint32 challengePeriod,bytes32 salt,bytes32[] rows)"
        "TokenPermissions(address token,uint256 amount)";

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
        bytes32 hash = keccak256(abi.encode(Messages.RECEIVE_TYPE, vm.addr(key), receiver, sum, 0, until + 1, nonce));
        (uint8 v, bytes32 r, bytes32 s) = signFor(key, funding.token, hash);
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
        bytes32 digest = Permit2(address(PERMIT2))
            .digestOf(
                IPermit2.PermitTransferFrom(IPermit2.TokenPermissions(funding.token, maximum), nonce, until),
                spender,
                Messages.funding(funding),
                WITNESS_TYPE
            );
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
