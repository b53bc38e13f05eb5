// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {PERMIT2} from "../../../contracts/src/Authorizers.sol";
import {ChannelsTest} from "../support/ChannelsTest.sol";
import {Messages} from "../support/Messages.sol";
import {Permit2Code} from "../support/Permit2Code.sol";
import {AuthorizedToken} from "../support/Tokens.sol";
import {Intruder, KeyedAccount} from "./Intruder.sol";
import {MoodyToken} from "./MoodyToken.sol";

/// @title Who and what there is: payers, signers, payees, two tokens, and the channels between them
/// @notice Three payers: two keys and the intruder. Each has a signer of its own, the second payer's an ERC-1271
/// account. Four payees: three keys and the intruder. Token 0 is good, token 1 is moody. A group is one payer's channels
/// in one token and one life, one to each payee; channel `i` is that of group `i / PAYEES` to payee `i % PAYEES`.
abstract contract World is ChannelsTest {
    uint256 internal constant PAYERS = 3;
    uint256 internal constant PAYEES = 4;
    uint256 internal constant TOKENS = 2;
    uint256 internal constant GROUPS = PAYERS * TOKENS;
    uint256 internal constant CHANNELS = GROUPS * PAYEES;
    uint256 internal constant KEYED_PAYERS = 2;
    uint256 internal constant INTRUDER = 2; // as payer
    uint256 internal constant START = 1_750_000_000;
    uint256 internal constant WEALTH = 1_000_000e18;

    struct Group {
        address payer;
        address signer;
        address token;
        uint32 period;
        bytes32 salt;
    }

    /// @dev What nobody but us knows of a channel.
    struct Track {
        IPaymentChannels.Terms terms;
        uint256 returned; // to the payer
        uint256 requestedAt;
        uint256 exitedAt;
        bool released;
        uint96 promised; // the highest total ever signed
        uint256 audit; // seed of the audit on which that total depends, zero for none
    }

    address[PAYERS] internal payers;
    address[PAYEES] internal payees;
    address[TOKENS] internal tokens;
    address internal thief = address(uint160(uint256(keccak256("thief"))));
    uint256 internal supply;
    bytes32 internal domain;
    MoodyToken internal moody;
    Intruder internal intruder;

    Group[GROUPS] internal groups;
    bytes32[] internal ids; // of the channels of today's lives
    bytes32[] internal retired; // of those before
    mapping(bytes32 id => Track) internal tracks;
    uint256 internal time = START;

    constructor() {
        vm.warp(START);
        channels = IPaymentChannels(vm.deployCode("PaymentChannels.sol:PaymentChannels"));
        domain = Messages.domain(block.chainid, address(channels));
        vm.etch(address(PERMIT2), new Permit2Code().runtime());
        moody = new MoodyToken();
        tokens = [address(new AuthorizedToken()), address(moody)];
        supply = moody.totalSupply();
        equip();
        for (uint256 g; g < GROUPS; ++g) {
            uint256 p = g / TOKENS;
            address signer_ = p == 1 ? address(new KeyedAccount(vm.addr(signerKey(p)))) : vm.addr(signerKey(p));
            groups[g] = Group(payers[p], signer_, tokens[g % TOKENS], uint32(1 days >> p), keccak256("life"));
            for (uint256 e; e < PAYEES; ++e) {
                ids.push(track(g, e));
            }
        }
    }

    /// @dev Give everybody a name and the payers money, with the allowances that wallets have.
    function equip() private {
        intruder = new Intruder(vm.addr(payeeKey(3)), address(channels));
        payers = [vm.addr(payerKey(0)), vm.addr(payerKey(1)), address(intruder)];
        payees = [vm.addr(payeeKey(0)), vm.addr(payeeKey(1)), vm.addr(payeeKey(2)), address(0)];
        payees[3] = address(new Intruder(vm.addr(payeeKey(3)), address(channels)));
        for (uint256 p; p < PAYERS; ++p) {
            for (uint256 t; t < TOKENS; ++t) {
                AuthorizedToken it = AuthorizedToken(tokens[t]);
                it.transfer(payers[p], WEALTH);
                vm.startPrank(payers[p]);
                it.approve(address(channels), type(uint256).max);
                it.approve(address(PERMIT2), type(uint256).max);
                vm.stopPrank();
            }
        }
    }

    function track(uint256 g, uint256 e) internal returns (bytes32 id) {
        Group memory group = groups[g];
        IPaymentChannels.Terms memory terms =
            IPaymentChannels.Terms(group.payer, group.signer, payees[e], group.token, group.period, group.salt);
        id = Messages.channel(domain, terms);
        tracks[id].terms = terms;
    }

    /// @dev Let a group begin its next life.
    function renew(uint256 g) internal {
        groups[g].salt = keccak256(abi.encode(groups[g].salt));
        for (uint256 e; e < PAYEES; ++e) {
            uint256 i = g * PAYEES + e;
            retired.push(ids[i]);
            ids[i] = track(g, e);
        }
    }

    // ---------------------------------------------------------------------------------------------------------- values

    function payerKey(uint256 p) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("payer", p)));
    }

    function signerKey(uint256 p) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("signer", p)));
    }

    function payeeKey(uint256 e) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("payee", e)));
    }

    /// @dev The `j`th of the channels in token `t`.
    function channelAt(uint256 t, uint256 j) internal pure returns (uint256) {
        return (j / PAYEES * TOKENS + t) * PAYEES + j % PAYEES;
    }

    function tokenOf(uint256 i) internal pure returns (uint256) {
        return i / PAYEES % TOKENS;
    }

    function payerOf(uint256 i) internal pure returns (uint256) {
        return i / PAYEES / TOKENS;
    }

    function isSpent(IPaymentChannels.Channel memory it) internal pure returns (bool) {
        return it.closesAt != 0 && it.claimed == it.deposit;
    }

    function balance(uint256 t, address who) internal view returns (uint256) {
        return AuthorizedToken(tokens[t]).balanceOf(who);
    }
}
