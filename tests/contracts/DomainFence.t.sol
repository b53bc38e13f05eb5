// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {Messages} from "./support/Messages.sol";
import {Worlds} from "./invariants/Worlds.sol";

contract DomainFenceTest is Worlds {
    /// DOMAIN_FENCE: a signature over anything but this very voucher, and a proof of anything but its condition, is worth
    /// nothing by any way of claiming; the right one is paid in full afterwards.
    /// forge-config: default.fuzz.runs = 64
    function testFuzz_ForAnyVoucherThatIsNotThisOne(uint256 seed) external {
        Turn memory turn = begin("fence", seed, seed % TOKENS);
        Draft memory draft = drawOne(turn);
        for (uint256 m = 1; m <= uint256(type(Mischief).max); ++m) {
            draft.mischief = Mischief(m);
            if (draft.mischief == Mischief.NO_PROOF && draft.audit == 0) continue; // which would be right
            (bytes memory proof,) = drawProof(turn, draft);
            assertWorthless(turn, sign(draft), proof);
        }
        draft.mischief = Mischief.NONE;
        (bytes memory right,) = drawProof(turn, draft);
        (, uint256 paid) =
            attempt(thief, abi.encodeCall(channels.claimOneProven, (tokens[turn.token], sign(draft), right)));
        vm.assertEq(paid, draft.total);
    }

    /// DOMAIN_FENCE: after a fork of the chain, what was signed before it is worth nothing on the other side.
    function testFuzz_WhenTheChainForks(uint256 seed, uint32 id) external {
        Turn memory turn = begin("fork", seed, 0);
        Draft memory draft = drawOne(turn);
        (bytes memory proof,) = drawProof(turn, draft);
        IPaymentChannels.Claim memory one = sign(draft);
        uint256 here = block.chainid;
        vm.assume(id != here && id != 0);
        vm.chainId(id);
        assertWorthless(turn, one, proof);
        vm.chainId(here);
        vm.assertEq(channels.claimOneProven(tokens[0], one, proof), draft.total);
    }

    /// FEE_BOUND: whatever a relayer asks for and however often, one consent gives it at most its maximum, once, and
    /// the payee has all else.
    /// forge-config: default.fuzz.runs = 64
    function testFuzz_ForAnyFeesAskedFor(uint256 seed, uint96 maximum, uint96[6] calldata asked) external {
        Turn memory turn = begin("fees", seed, 0);
        Draft memory draft = drawOne(turn);
        draft.total *= 2; // short at first
        (bytes memory proof,) = drawProof(turn, draft);
        IPaymentChannels.Fee memory consent = sign(draft, uint96(bound(maximum, 0, draft.total)));
        uint256 highest;
        for (uint256 k; k < asked.length; ++k) {
            if (k == 2) fundChannel(draft.i, draft.total);
            uint96 fee = uint96(bound(asked[k], 0, k % 2 == 0 ? type(uint96).max : draft.total / 8));
            relayOnce(draft, consent, fee, proof);
            uint256 has = balance(0, relayer);
            vm.assertTrue(highest == 0 || has == highest, "FEE_BOUND: a fee was charged twice");
            highest = has;
            vm.assertLe(has, uint96(uint256(consent.terms) >> 64), "FEE_BOUND: a fee is above its maximum");
            uint256 claimed = state(ids[draft.i]).claimed;
            vm.assertEq(has + balance(0, payees[draft.i % PAYEES]), claimed, "FEE_BOUND: tokens went astray");
        }
    }

    function relayOnce(Draft memory draft, IPaymentChannels.Fee memory consent, uint96 fee, bytes memory proof)
        private
    {
        IPaymentChannels.Fee[] memory fees = new IPaymentChannels.Fee[](1);
        fees[0] = consent;
        fees[0].terms = bytes32(uint256(fee) << 160 | uint256(uint160(uint256(consent.terms))));
        vm.prank(relayer);
        channels.relay(tokens[0], list(sign(draft)), fees, proofs(proof));
    }

    function sign(Draft memory draft, uint96 maximum) private view returns (IPaymentChannels.Fee memory consent) {
        uint64 deadline = uint64(time);
        IPaymentChannels.RelayFee memory it =
            IPaymentChannels.RelayFee(relayer, ids[draft.i], draft.total, maximum, deadline);
        consent.terms = bytes32(uint256(maximum) << 64 | deadline);
        (consent.r, consent.vs) = signDigest(payeeKey(draft.i % PAYEES), Messages.relayFee(domain, it));
    }

    /// @dev A voucher of a funded channel, with a condition or without.
    function drawOne(Turn memory turn) private returns (Draft memory draft) {
        for (uint256 i; i < CHANNELS; ++i) {
            fundChannel(i, 1000); // so that the others could pay as well
        }
        draft.i = channelAt(turn.token, turn.dice.below(PAYERS * PAYEES));
        draft.total = uint96(1 + turn.dice.below(1000));
        draft.audit = turn.dice.upTo(1) * (1 + turn.dice.below(1000));
    }

    function assertWorthless(Turn memory turn, IPaymentChannels.Claim memory one, bytes memory proof) private {
        (bool accepted,) = attempt(thief, abi.encodeCall(channels.claimOneProven, (tokens[turn.token], one, proof)));
        vm.assertTrue(!accepted, "DOMAIN_FENCE: claimOneProven takes it");
        IPaymentChannels.Fee[] memory none;
        vm.assertEq(
            channels.relay(tokens[turn.token], list(one), none, proofs(proof)), 0, "DOMAIN_FENCE: relay takes it"
        );
        vm.assertEq(
            channels.claimProven(tokens[turn.token], list(one), proofs(proof)), 0, "DOMAIN_FENCE: claimProven does"
        );
        if (proof.length != 0) return;
        (accepted,) = attempt(thief, abi.encodeCall(channels.claimOne, (tokens[turn.token], one)));
        vm.assertTrue(!accepted, "DOMAIN_FENCE: claimOne takes it");
        vm.assertEq(channels.claim(tokens[turn.token], list(one)), 0, "DOMAIN_FENCE: claim takes it");
    }

    function proofs(bytes memory one) private pure returns (bytes[] memory all) {
        all = new bytes[](1);
        all[0] = one;
    }
}
