// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {Audits} from "../support/Audits.sol";
import {Messages} from "../support/Messages.sol";
import {Intruder} from "./Intruder.sol";
import {Ledger} from "./Ledger.sol";

/// @title Steps of the world around the contract: time, gifts, and the moods of a token
abstract contract WorldSteps is Ledger {
    /// @dev Some hours, or to the very edge of a challenge period.
    function passTime(uint256 seed) external {
        Turn memory turn = begin("time", seed, 0);
        uint256 i = firstClosing(turn, turn.dice.below(CHANNELS));
        uint256 closesAt = turn.before[i].closesAt;
        if (closesAt > time && !turn.dice.oneIn(3)) {
            time = closesAt - turn.dice.below(2);
        } else {
            time += turn.dice.below(8 hours);
        }
        ++counts[turn.name].successes;
    }

    /// @dev Tokens sent to the contract by mistake.
    function give(uint256 seed) external {
        Turn memory turn = begin("gift", seed, seed % TOKENS);
        if (!turn.foreseen) return;
        uint256 amount = turn.dice.below(10);
        require(IERC20(tokens[turn.token]).transfer(address(channels), amount), "a gift was refused");
        donated[turn.token] += amount;
        ++counts[turn.name].successes;
    }

    function changeMood(uint256 seed) external {
        Turn memory turn = begin("mood", seed, 1);
        uint256 choice = turn.dice.below(15);
        if (choice < 3) calm();
        if (choice == 3) moody.setBlocked(payees[2], true);
        if (choice == 4) moody.setBlocked(payees[turn.dice.below(PAYEES)], true);
        if (choice == 5) moody.setBlocked(payers[turn.dice.below(PAYERS)], true);
        if (choice == 6) moody.setPolite(!moody.polite());
        if (choice == 7) shrink(turn.dice.upTo(balance(1, address(channels)) / 2));
        if (choice == 8) moody.skim(address(channels));
        if (choice > 8) scheme(turn);
        ++counts[turn.name].successes;
    }

    /// @dev Whom it is about to call, it still calls.
    function calm() private {
        moody.arm(moody.hook(), false);
        moody.skim(address(0));
        for (uint256 e; e < PAYEES; ++e) {
            moody.setBlocked(payees[e], false);
        }
        for (uint256 p; p < PAYERS; ++p) {
            moody.setBlocked(payers[p], false);
        }
        moody.give(address(channels), shrunk);
        shrunk = 0;
    }

    function shrink(uint256 amount) private {
        moody.shrink(address(channels), amount);
        shrunk += amount;
    }

    /// @dev Arm the token, which calls the intruder, who has planned something as payer or payee, in either token.
    function scheme(Turn memory turn) private {
        Deed deed = Deed(turn.dice.below(uint256(type(Deed).max) + 1));
        uint256 i = turn.dice.below(CHANNELS);
        for (uint256 k; k < CHANNELS && !isWithin(turn, deed, i); ++k) {
            i = (i + 1) % CHANNELS;
        }
        plan = Plan(deed, ids[i]);
        Intruder who = deed == Deed.RELEASE ? Intruder(payees[PAYEES - 1]) : intruder;
        who.plan(deedData(turn, deed, i));
        moody.arm(who, turn.dice.oneIn(2));
        ++counts["schemes"].successes;
    }

    /// @dev Whether the intruder has the right to do this to a channel, and for exits whether it is closing.
    function isWithin(Turn memory turn, Deed deed, uint256 i) private pure returns (bool) {
        IPaymentChannels.Channel memory it = turn.before[i];
        if (isExit(deed) && (it.closesAt == 0 || isSpent(it))) return false;
        if (deed == Deed.RELEASE) return i % PAYEES == PAYEES - 1;
        return deed == Deed.CLAIM || payerOf(i) == INTRUDER;
    }

    function deedData(Turn memory turn, Deed deed, uint256 i) private view returns (bytes memory) {
        Group memory it = groups[i / PAYEES];
        address payee_ = payees[i % PAYEES];
        uint96 deposit = turn.before[i].deposit;
        if (deed == Deed.CLAIM) return claimData(i);
        if (deed == Deed.RELEASE) return abi.encodeCall(channels.release, (tracks[ids[i]].terms));
        if (deed == Deed.CLOSE) {
            return abi.encodeCall(channels.requestClose, (it.signer, it.token, it.period, it.salt, list(payee_)));
        }
        if (deed == Deed.WITHDRAW) {
            return abi.encodeCall(channels.withdraw, (it.signer, it.token, it.period, it.salt, list(payee_)));
        }
        bytes32[] memory rows = list(row(payee_, deed == Deed.FUND ? deposit + 10e18 : deposit));
        return deed == Deed.FUND
            ? abi.encodeCall(channels.fund, (it.signer, it.token, it.period, it.salt, rows))
            : abi.encodeCall(channels.push, (it.signer, it.token, it.period, it.salt, rows));
    }

    /// @dev The claim of a channel's newest voucher, with its proof.
    function claimData(uint256 i) internal view returns (bytes memory) {
        Track storage it = tracks[ids[i]];
        IPaymentChannels.Claim memory claim_;
        claim_.payer = it.terms.payer;
        claim_.key = keyOf(it.terms.signer, it.terms.challengePeriod);
        claim_.row = row(it.terms.payee, it.promised);
        claim_.salt = it.terms.salt;
        bytes memory proof;
        bytes32 condition;
        if (it.audit != 0) {
            proof = Audits.prove(Audits.draw(it.audit));
            condition = Audits.condition(Audits.draw(it.audit), domain);
        }
        bytes32 digest = Messages.voucher(domain, ids[i], it.promised, condition);
        (claim_.r, claim_.vs) = signDigest(signerKey(payerOf(i)), digest);
        return abi.encodeCall(channels.claimOneProven, (it.terms.token, claim_, proof));
    }
}
