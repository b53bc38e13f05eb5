// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {IReceiveWithAuthorization} from "../../../contracts/src/Authorizers.sol";
import {IHook} from "../support/Tokens.sol";
import {WalletSignatures} from "../support/WalletSignatures.sol";
import {Ledger} from "./Ledger.sol";

/// @title Steps that raise deposits, in each of the five ways, and attempts to raise them with another's money
abstract contract FundingSteps is Ledger, WalletSignatures {
    /// @dev A funding of some channels of one group.
    struct Order {
        uint256 payer;
        IPaymentChannels.Funding funding;
        uint256 sum;
    }

    function fundMany(uint256 seed) external {
        Turn memory turn = begin("fund", seed, seed % TOKENS);
        Order memory order = drawOrder(turn, PAYERS);
        turn.expected = order.sum;
        IPaymentChannels.Funding memory it = order.funding;
        run(turn, it.payer, abi.encodeCall(channels.fund, (it.signer, it.token, it.challengePeriod, it.salt, it.rows)));
    }

    function fundAlone(uint256 seed) external {
        Turn memory turn = begin("fundOne", seed, seed % TOKENS);
        uint256 g = turn.dice.below(PAYERS) * TOKENS + turn.token;
        uint256 e = turn.dice.below(PAYEES);
        uint256 i = g * PAYEES + e;
        uint96 target = drawTarget(turn, i);
        turn.refused = turn.forecast[i].closesAt != 0;
        turn.expected = foretellFund(turn, i, target);
        if (turn.expected != 0 && isBlocked(turn, groups[g].payer)) turn.refused = true;
        turn.spender = g / TOKENS;
        bytes32 key = keyOf(groups[g].signer, groups[g].period);
        bytes memory data =
            abi.encodeCall(channels.fundOne, (tokens[turn.token], key, groups[g].salt, row(payees[e], target)));
        run(turn, groups[g].payer, data);
    }

    /// @dev By a payer that has approved nothing: with its permit, with one that somebody else has presented already,
    /// or with a worthless one.
    function fundByPermit(uint256 seed) external {
        Turn memory turn = begin("fundWithPermit", seed, seed % TOKENS);
        Order memory order = drawOrder(turn, KEYED_PAYERS);
        turn.expected = order.sum;
        IPaymentChannels.Funding memory it = order.funding;
        IPaymentChannels.Permit memory permit =
            signPermit(payerKey(order.payer), it.token, address(channels), order.sum, time);
        vm.prank(it.payer);
        IERC20(it.token).approve(address(channels), 0);
        uint256 manner = turn.dice.below(4);
        if (manner == 0) {
            IERC20Permit(it.token)
                .permit(it.payer, address(channels), permit.value, permit.deadline, permit.v, permit.r, permit.s);
        } else if (manner == 1) {
            permit.r = ~permit.r;
            if (order.sum != 0) turn.refused = true;
        }
        bytes memory data = abi.encodeCall(
            channels.fundWithPermit, (it.signer, it.token, it.challengePeriod, it.salt, it.rows, permit)
        );
        run(turn, it.payer, data);
        vm.prank(it.payer);
        IERC20(it.token).approve(address(channels), type(uint256).max);
    }

    function fundByAuthorization(uint256 seed) external {
        Turn memory turn = begin("fundWithAuthorization", seed, seed % TOKENS);
        Order memory order = drawOrder(turn, KEYED_PAYERS);
        turn.expected = order.sum;
        if (order.sum == 0) turn.refused = true;
        run(turn, thief, abi.encodeCall(channels.fundWithAuthorization, (order.funding, authorize(order))));
    }

    function fundByPermit2(uint256 seed) external {
        Turn memory turn = begin("fundWithPermit2", seed, seed % TOKENS);
        Order memory order = drawOrder(turn, KEYED_PAYERS);
        turn.expected = order.sum;
        if (order.sum == 0) turn.refused = true;
        uint256 maximum = order.sum + turn.dice.below(2);
        IPaymentChannels.WitnessedPermit memory permit = signPermit2(
            payerKey(order.payer), order.funding, address(channels), maximum, uint256(turn.dice.seed), time
        );
        run(turn, thief, abi.encodeCall(channels.fundWithPermit2, (order.funding, permit)));
    }

    /// @dev A thief holds a payer's signature and tries to make it pay for something else, or without the contract.
    function robFunding(uint256 seed) external {
        Turn memory turn = begin("rob a funding", seed, 0);
        Order memory order = drawOrder(turn, KEYED_PAYERS);
        turn.forecast = turn.before;
        turn.refused = true;
        IPaymentChannels.Funding memory it = order.funding;
        IPaymentChannels.Authorization memory authorization = authorize(order);
        IPaymentChannels.WitnessedPermit memory permit =
            signPermit2(payerKey(order.payer), it, address(channels), type(uint96).max, uint256(turn.dice.seed), time);
        uint256 manner = turn.dice.below(7);
        if (manner == 0) it.rows[0] = row(thief, uint96(WEALTH));
        if (manner == 1) it.payer = payers[1 - order.payer];
        if (manner == 2) it.signer = thief;
        if (manner == 3) it.salt = ~it.salt;
        if (manner == 4) ++it.challengePeriod;
        if (manner == 5) it.token = tokens[1];
        if (manner == 6) takeDirectly(order, authorization);
        if (manner == 6) (authorization.r, permit.signature) = (0, new bytes(64));
        bytes memory data = turn.dice.oneIn(2)
            ? abi.encodeCall(channels.fundWithAuthorization, (it, authorization))
            : abi.encodeCall(channels.fundWithPermit2, (it, permit));
        run(turn, thief, data);
        ++counts[turn.name].successes; // it was refused, or `run` has failed
    }

    /// @dev Present the authorization to the token itself.
    function takeDirectly(Order memory order, IPaymentChannels.Authorization memory by) private {
        bytes32 nonce = fundingNonce(domain, order.funding);
        vm.prank(thief);
        (bool taken,) = order.funding.token
            .call(
                abi.encodeCall(
                    IReceiveWithAuthorization.receiveWithAuthorization,
                    (
                        order.funding.payer,
                        address(channels),
                        order.sum,
                        by.validAfter,
                        by.validBefore,
                        nonce,
                        by.v,
                        by.r,
                        by.s
                    )
                )
            );
        vm.assertTrue(!taken, "DOMAIN_FENCE: an authorization was taken by another than the contract");
    }

    function authorize(Order memory order) private view returns (IPaymentChannels.Authorization memory) {
        return signAuthorization(payerKey(order.payer), domain, order.funding, address(channels), order.sum, time);
    }

    /// @dev Targets for one to six rows of a group of one of the first `count` payers. A payer whose channels are all
    /// over begins anew.
    function drawOrder(Turn memory turn, uint256 count) private returns (Order memory order) {
        order.payer = turn.dice.below(count);
        uint256 g = order.payer * TOKENS + turn.token;
        if (isOver(turn, g)) startAnew(turn, g);
        turn.spender = order.payer;
        Group memory group = groups[g];
        bytes32[] memory rows = new bytes32[](1 + turn.dice.below(6));
        for (uint256 k; k < rows.length; ++k) {
            uint256 e = turn.dice.below(PAYEES + 1);
            if (e == PAYEES) {
                rows[k] = row(address(0), uint96(turn.dice.below(WEALTH)));
                continue;
            }
            for (uint256 n; n < 3 && turn.forecast[g * PAYEES + e].closesAt != 0; ++n) {
                e = (e + 1) % PAYEES;
            }
            uint96 target = drawTarget(turn, g * PAYEES + e);
            order.sum += foretellFund(turn, g * PAYEES + e, target);
            rows[k] = row(payees[e], target);
        }
        order.funding = IPaymentChannels.Funding(group.payer, group.signer, group.token, group.period, group.salt, rows);
        if (order.sum != 0 && isBlocked(turn, group.payer)) turn.refused = true;
    }

    /// @dev Mostly above the deposit.
    function drawTarget(Turn memory turn, uint256 i) private pure returns (uint96) {
        uint256 deposit = turn.forecast[i].deposit;
        if (turn.dice.oneIn(5)) return uint96(turn.dice.upTo(deposit));
        return uint96(deposit + 1 + turn.dice.below(100e18));
    }

    function isOver(Turn memory turn, uint256 g) private pure returns (bool) {
        bool begun;
        for (uint256 i = g * PAYEES; i < (g + 1) * PAYEES; ++i) {
            if (turn.before[i].deposit != turn.before[i].claimed) return false;
            if (turn.before[i].closesAt != 0) begun = true;
        }
        return begun;
    }

    function startAnew(Turn memory turn, uint256 g) private {
        for (uint256 i = g * PAYEES; i < (g + 1) * PAYEES; ++i) {
            uint256 returned = tracks[ids[i]].returned;
            pastEarned[turn.token][i % PAYEES] += turn.before[i].claimed - returned;
            pastSpent[turn.token][payerOf(i)] += turn.before[i].deposit - returned;
            delete turn.before[i];
            delete turn.forecast[i];
        }
        renew(g);
        ++counts["lives"].successes;
        // What the intruder has planned may be about the life before.
        moody.arm(IHook(address(0)), moody.denies());
        turn.armed = false;
    }
}
