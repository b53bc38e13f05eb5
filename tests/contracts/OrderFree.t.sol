// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {Worlds} from "./invariants/Worlds.sol";

contract OrderFreeTest is Worlds {
    uint256 private constant COUNT = 10;

    /// ORDER_FREE: one by one as drawn, or shuffled and in batches of any size, by claimProven or relay.
    /// forge-config: default.fuzz.runs = 64
    function testFuzz_ForAnyOrderAndBatching(uint256 seed) external {
        (Turn memory turn, Batch memory batch) = drawWorld(seed);
        depart();
        claimEach(turn, batch);
        Picture memory each = look(0);
        for (uint256 i; i < CHANNELS; ++i) {
            vm.assertEq(each.channels[i].claimed, turn.forecast[i].claimed, "the vouchers were not worth their totals");
        }
        goBack();
        shuffle(turn, batch);
        claimInBatches(turn, batch);
        assertSame(each, look(0), "ORDER_FREE: the order of vouchers matters");
    }

    /// REPLAY_NOOP: all of them again, in another order, however often.
    /// forge-config: default.fuzz.runs = 64
    function testFuzz_ForAnyVouchersPresentedAgain(uint256 seed) external {
        (Turn memory turn, Batch memory batch) = drawWorld(seed);
        claimEach(turn, batch);
        Picture memory once = look(0);
        claimEach(turn, batch);
        shuffle(turn, batch);
        claimInBatches(turn, batch);
        assertSame(once, look(0), "REPLAY_NOOP: a voucher is worth something twice");
    }

    /// REPLAY_NOOP: also when the payer is gone with the rest.
    /// forge-config: default.fuzz.runs = 64
    function testFuzz_ForAnyVouchersPresentedAfterTheEnd(uint256 seed) external {
        (Turn memory turn, Batch memory batch) = drawWorld(seed);
        claimEach(turn, batch);
        for (uint256 i; i < CHANNELS; ++i) {
            closeChannel(i);
        }
        vm.warp(START + 1 days);
        for (uint256 g; g < GROUPS; ++g) {
            Group memory it = groups[g];
            vm.prank(it.payer);
            channels.withdraw(it.signer, it.token, it.period, it.salt, everyPayee());
        }
        Picture memory ended = look(0);
        vm.assertEq(balance(0, address(channels)), 0);
        claimEach(turn, batch);
        shuffle(turn, batch);
        claimInBatches(turn, batch);
        assertSame(ended, look(0), "REPLAY_NOOP: a voucher is worth something after the end");
    }

    function drawWorld(uint256 seed) private returns (Turn memory turn, Batch memory batch) {
        turn = begin("order", seed, 0);
        fundSome(turn);
        batch = drawBatch(turn, COUNT, true, false, 4);
    }

    function claimEach(Turn memory turn, Batch memory batch) private {
        for (uint256 k; k < COUNT; ++k) {
            claimAlone(turn, batch.rows[k], batch.proofs[k]);
        }
    }

    function claimAlone(Turn memory turn, IPaymentChannels.Claim memory one, bytes memory proof) private {
        attempt(thief, abi.encodeCall(channels.claimOneProven, (tokens[turn.token], one, proof)));
    }

    function claimInBatches(Turn memory turn, Batch memory batch) private {
        for (uint256 start; start < COUNT;) {
            uint256 size = 1 + turn.dice.below(COUNT - start);
            (IPaymentChannels.Claim[] memory rows, bytes[] memory proofs) = part(batch, start, size);
            start += size;
            lean(turn, rows);
            bytes memory data = turn.dice.oneIn(2)
                ? abi.encodeCall(channels.claimProven, (tokens[turn.token], rows, proofs))
                : abi.encodeCall(
                    channels.relay, (tokens[turn.token], rows, new IPaymentChannels.Fee[](turn.dice.upTo(size)), proofs)
                );
            (bool accepted,) = attempt(relayer, data);
            vm.assertTrue(accepted, "a batch was refused as a whole");
        }
    }

    /// @dev Copies, as rows of a batch are changed when they lean on each other.
    function part(Batch memory batch, uint256 start, uint256 size)
        private
        pure
        returns (IPaymentChannels.Claim[] memory rows, bytes[] memory proofs)
    {
        (rows, proofs) = (new IPaymentChannels.Claim[](size), new bytes[](size));
        for (uint256 k; k < size; ++k) {
            rows[k] = abi.decode(abi.encode(batch.rows[start + k]), (IPaymentChannels.Claim));
            proofs[k] = batch.proofs[start + k];
        }
    }

    function shuffle(Turn memory turn, Batch memory batch) private pure {
        for (uint256 k = COUNT - 1; k != 0; --k) {
            uint256 other_ = turn.dice.upTo(k);
            (batch.rows[k], batch.rows[other_]) = (batch.rows[other_], batch.rows[k]);
            (batch.proofs[k], batch.proofs[other_]) = (batch.proofs[other_], batch.proofs[k]);
        }
    }

    function everyPayee() private view returns (address[] memory all) {
        all = new address[](PAYEES);
        for (uint256 e; e < PAYEES; ++e) {
            all[e] = payees[e];
        }
    }
}
