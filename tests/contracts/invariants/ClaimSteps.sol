// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {ClaimRows} from "./ClaimRows.sol";

/// @title Steps that turn vouchers into tokens, in each of the five ways
abstract contract ClaimSteps is ClaimRows {
    function claimMany(uint256 seed) external {
        Turn memory turn = begin("claim", seed, seed % TOKENS);
        Batch memory batch = drawBatch(turn, 1 + turn.dice.below(6), false, false);
        run(turn, someone(turn), abi.encodeCall(channels.claim, (tokens[turn.token], batch.rows)));
    }

    function claimManyProven(uint256 seed) external {
        Turn memory turn = begin("claimProven", seed, seed % TOKENS);
        Batch memory batch = drawBatch(turn, 1 + turn.dice.below(4), true, false);
        run(turn, someone(turn), abi.encodeCall(channels.claimProven, (tokens[turn.token], batch.rows, batch.proofs)));
    }

    function claimAlone(uint256 seed) external {
        Turn memory turn = begin("claimOne", seed, seed % TOKENS);
        Batch memory batch = drawBatch(turn, 1, false, false);
        turn.refused = turn.expected == 0;
        run(turn, someone(turn), abi.encodeCall(channels.claimOne, (tokens[turn.token], batch.rows[0])));
    }

    function claimAloneProven(uint256 seed) external {
        Turn memory turn = begin("claimOneProven", seed, seed % TOKENS);
        Batch memory batch = drawBatch(turn, 1, true, false);
        turn.refused = turn.expected == 0;
        bytes memory data =
            abi.encodeCall(channels.claimOneProven, (tokens[turn.token], batch.rows[0], batch.proofs[0]));
        run(turn, someone(turn), data);
    }

    function relayMany(uint256 seed) external {
        Turn memory turn = begin("relay", seed, seed % TOKENS);
        Batch memory batch = drawBatch(turn, 1 + turn.dice.below(5), true, true);
        bytes memory data = abi.encodeCall(channels.relay, (tokens[turn.token], batch.rows, batch.fees, batch.proofs));
        run(turn, relayer, data);
    }

    function someone(Turn memory turn) private view returns (address) {
        return turn.dice.oneIn(2) ? relayer : thief;
    }
}
