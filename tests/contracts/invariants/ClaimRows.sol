// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {Audits} from "../support/Audits.sol";
import {Messages} from "../support/Messages.sol";
import {Ledger} from "./Ledger.sol";

/// @title Rows of claims, honest and dishonest, and what each of them is worth
abstract contract ClaimRows is Ledger {
    enum Mischief {
        NONE,
        OTHER_KEY,
        OTHER_TOTAL,
        OTHER_CHANNEL,
        OTHER_PAYER,
        OTHER_PAYEE,
        OTHER_TOKEN,
        OTHER_CHAIN,
        OTHER_CONTRACT,
        MALLEATED,
        ZERO_SIGNER,
        NO_PROOF,
        OTHER_PROOF,
        CUT_PROOF,
        LONG_PROOF
    }

    enum FeeMischief {
        NONE,
        OTHER_KEY,
        OTHER_RELAYER,
        OTHER_TOTAL,
        OTHER_MAXIMUM,
        ABOVE_MAXIMUM,
        ABOVE_STEP,
        TOO_LATE
    }

    /// @dev Rows in the making.
    struct Batch {
        IPaymentChannels.Claim[] rows;
        bytes[] proofs;
        IPaymentChannels.Fee[] fees;
        bool proven; // the call carries proofs
        bool relayed; // and fees
        uint256 liars; // one row in so many is dishonest; zero for none
        uint256 payee; // of the row before
    }

    /// @dev One row's voucher.
    struct Draft {
        uint256 i;
        uint96 total;
        uint256 audit;
        Mischief mischief;
    }

    uint256 private _audits;
    mapping(bytes32 consent => bool) private _charged;

    function drawBatch(Turn memory turn, uint256 count, bool proven, bool relayed)
        internal
        returns (Batch memory batch)
    {
        batch = drawBatch(turn, count, proven, relayed, 4);
        lean(turn, batch.rows);
    }

    function drawBatch(Turn memory turn, uint256 count, bool proven, bool relayed, uint256 liars)
        internal
        returns (Batch memory batch)
    {
        batch.rows = new IPaymentChannels.Claim[](count);
        batch.proofs = new bytes[](count);
        batch.fees = new IPaymentChannels.Fee[](count);
        (batch.proven, batch.relayed, batch.liars) = (proven, relayed, liars);
        for (uint256 k; k < count; ++k) {
            Draft memory draft = drawVoucher(turn, batch);
            batch.rows[k] = sign(draft);
            (bytes memory proof, bool fits) = drawProof(turn, draft);
            if (proven) batch.proofs[k] = proof;
            bool good = isSigned(draft.mischief) && (proven ? fits : draft.audit == 0);
            if (!foretellRow(turn, batch, k, draft, good)) ++counts["bad rows"].successes;
        }
    }

    /// @dev Let rows leave unsaid what the row before has said: its payee; its payer, key and salt.
    function lean(Turn memory turn, IPaymentChannels.Claim[] memory rows) internal pure {
        bytes32 payee_ = rows[0].row >> 96;
        bytes32 terms = termsOf(rows[0]);
        for (uint256 k = 1; k < rows.length; ++k) {
            (bytes32 nextPayee, bytes32 nextTerms) = (rows[k].row >> 96, termsOf(rows[k]));
            if (nextPayee == payee_ && turn.dice.oneIn(2)) rows[k].row &= bytes32(uint256(type(uint96).max));
            if (nextTerms == terms && turn.dice.oneIn(2)) rows[k].payer = address(0);
            (payee_, terms) = (nextPayee, nextTerms);
        }
    }

    function termsOf(IPaymentChannels.Claim memory it) private pure returns (bytes32) {
        return keccak256(abi.encode(it.payer, it.key, it.salt));
    }

    /// @dev By the channel's signer, over this very voucher. It may still lack its proof.
    function isSigned(Mischief mischief) internal pure returns (bool) {
        return mischief == Mischief.NONE || mischief >= Mischief.NO_PROOF;
    }

    /// @dev Neighbouring rows often have one payee, for runs. Some vouchers are the newest of before, some are stale, some
    /// promise more than the channel holds.
    function drawVoucher(Turn memory turn, Batch memory batch) private returns (Draft memory draft) {
        uint256 e = turn.dice.oneIn(2) ? batch.payee : turn.dice.below(PAYEES);
        draft.i = channelAt(turn.token, turn.dice.below(PAYERS) * PAYEES + e);
        if (!turn.dice.oneIn(4)) draft.i = firstLive(turn, draft.i);
        batch.payee = draft.i % PAYEES;
        if (batch.liars != 0 && turn.dice.oneIn(batch.liars)) {
            draft.mischief = Mischief(1 + turn.dice.below(uint256(type(Mischief).max)));
        }
        Track storage it = tracks[ids[draft.i]];
        IPaymentChannels.Channel memory channel = turn.forecast[draft.i];
        if (it.promised != 0 && turn.dice.oneIn(4)) {
            (draft.total, draft.audit) = (it.promised, it.audit);
            return draft;
        }
        draft.total = uint96(channel.claimed + turn.dice.upTo((channel.deposit - channel.claimed) / 2));
        if (turn.dice.oneIn(6)) draft.total = uint96(turn.dice.upTo(channel.claimed));
        if (turn.dice.oneIn(6)) draft.total = uint96(channel.deposit + 1 + turn.dice.below(50e18));
        if (turn.dice.oneIn(batch.proven ? 2 : 10)) draft.audit = ++_audits;
        if (isSigned(draft.mischief) && draft.total > it.promised) {
            (it.promised, it.audit) = (draft.total, draft.audit);
        }
    }

    /// @dev The row, with a signature of the channel's signer over a voucher that the mischief has made another.
    function sign(Draft memory draft) internal view returns (IPaymentChannels.Claim memory claim_) {
        IPaymentChannels.Terms memory terms = tracks[ids[draft.i]].terms;
        claim_.payer = terms.payer;
        claim_.key = keyOf(terms.signer, terms.challengePeriod);
        claim_.row = row(terms.payee, draft.total);
        claim_.salt = terms.salt;
        bytes32 within = domain;
        uint256 total = draft.total;
        Mischief it = draft.mischief;
        if (it == Mischief.OTHER_TOTAL) total = total == 0 ? 1 : total - 1;
        if (it == Mischief.OTHER_CHANNEL) terms = tracks[ids[draft.i ^ 1]].terms;
        if (it == Mischief.OTHER_PAYER) terms.payer = payers[(payerOf(draft.i) + 1) % PAYERS];
        if (it == Mischief.OTHER_PAYEE) terms.payee = thief;
        if (it == Mischief.OTHER_TOKEN) terms.token = tokens[1 - tokenOf(draft.i)];
        if (it == Mischief.OTHER_CHAIN) within = Messages.domain(block.chainid + 1, address(channels));
        if (it == Mischief.OTHER_CONTRACT) within = Messages.domain(block.chainid, thief);
        uint256 key = it == Mischief.OTHER_KEY ? payerKey(0) : signerKey(payerOf(draft.i));
        bytes32 condition = draft.audit == 0 ? bytes32(0) : Audits.condition(Audits.draw(draft.audit), within);
        bytes32 digest = Messages.voucher(within, Messages.channel(within, terms), total, condition);
        (claim_.r, claim_.vs) = signDigest(key, digest);
        if (it == Mischief.MALLEATED) claim_.vs = malleate(claim_.vs);
        if (it == Mischief.ZERO_SIGNER) claim_.key = keyOf(address(0), terms.challengePeriod);
        if (it == Mischief.ZERO_SIGNER) (claim_.r, claim_.vs) = (0, 0);
    }

    /// @dev The other signature of the same key over the same digest, of which 64 bytes cannot say all.
    function malleate(bytes32 vs) private pure returns (bytes32) {
        uint256 s = CURVE_ORDER - (uint256(vs) & type(uint256).max >> 1);
        return bytes32((s & type(uint256).max >> 1) | (~uint256(vs) >> 255 << 255));
    }

    /// @return proof What is presented.
    /// @return fits Whether it is the proof of the voucher's condition, or nothing where there is none.
    function drawProof(Turn memory turn, Draft memory draft) internal pure returns (bytes memory proof, bool fits) {
        fits = true;
        if (draft.audit != 0) proof = Audits.prove(Audits.draw(draft.audit));
        if (draft.mischief == Mischief.NO_PROOF) return ("", draft.audit == 0);
        if (draft.mischief < Mischief.NO_PROOF) return (proof, true);
        if (proof.length == 0 || draft.mischief == Mischief.OTHER_PROOF) {
            return (Audits.prove(Audits.draw(draft.audit + 1_000_000)), false);
        }
        bool longer = draft.mischief == Mischief.LONG_PROOF;
        uint256 change = 1 + turn.dice.below(longer ? 64 : proof.length - 1);
        bytes memory other = new bytes(longer ? proof.length + change : proof.length - change);
        for (uint256 k; k < other.length && k < proof.length; ++k) {
            other[k] = proof[k];
        }
        return (other, false);
    }

    /// @dev Book what the row does, fee and all, in the forecast.
    function foretellRow(Turn memory turn, Batch memory batch, uint256 k, Draft memory draft, bool good)
        private
        returns (bool paid)
    {
        IPaymentChannels.Channel memory it = turn.forecast[draft.i];
        uint256 e = draft.i % PAYEES;
        uint256 worth = (draft.total < it.deposit ? draft.total : it.deposit);
        worth = worth > it.claimed ? worth - it.claimed : 0;
        FeeMischief mischief;
        uint256 fee;
        if (batch.relayed && !turn.dice.oneIn(3)) (fee, mischief) = drawFee(turn, batch, k, draft, worth);
        if (!good) return false;
        bool short = it.deposit < draft.total;
        if (fee != 0 && !short && mischief != FeeMischief.NONE) return false;
        uint256 step = foretellPay(turn, draft.i, draft.total);
        if (step == 0) return false;
        turn.expected += step;
        if (fee != 0 && !short) turn.fees[e] += fee;
        if (!turn.foreseen) return true;
        if (short) ++counts["short payments"].successes;
        if (draft.audit != 0) ++counts["conditional claims"].successes;
        if (it.closesAt != 0) ++counts["claims while closing"].successes;
        if (fee == 0 || short) return true;
        ++counts["fees"].successes;
        bytes32 consent = keccak256(abi.encode(ids[draft.i], draft.total));
        vm.assertTrue(!_charged[consent], "FEE_BOUND: a fee was charged twice");
        _charged[consent] = true;
        return true;
    }

    function drawFee(Turn memory turn, Batch memory batch, uint256 k, Draft memory draft, uint256 worth)
        private
        view
        returns (uint256 fee, FeeMischief mischief)
    {
        fee = 1 + turn.dice.upTo(worth / 4);
        if (fee > worth) return (0, mischief); // the row is worth nothing
        if (turn.dice.oneIn(3)) mischief = FeeMischief(1 + turn.dice.below(uint256(type(FeeMischief).max)));
        if (mischief == FeeMischief.ABOVE_STEP) fee = worth + 1;
        uint256 maximum = fee + turn.dice.below(3);
        uint256 deadline = time + turn.dice.below(2);
        if (mischief == FeeMischief.ABOVE_MAXIMUM) maximum = fee - 1;
        if (mischief == FeeMischief.TOO_LATE) deadline = time - 1;
        IPaymentChannels.RelayFee memory it =
            IPaymentChannels.RelayFee(relayer, ids[draft.i], draft.total, uint96(maximum), uint64(deadline));
        if (mischief == FeeMischief.OTHER_RELAYER) it.relayer = thief;
        if (mischief == FeeMischief.OTHER_TOTAL) ++it.cumulativeAmount;
        if (mischief == FeeMischief.OTHER_MAXIMUM) ++it.maximum;
        uint256 key = mischief == FeeMischief.OTHER_KEY ? payerKey(0) : payeeKey(draft.i % PAYEES);
        IPaymentChannels.Fee memory one = batch.fees[k];
        one.terms = bytes32(fee << 160 | maximum << 64 | deadline);
        (one.r, one.vs) = signDigest(key, Messages.relayFee(domain, it));
        if (mischief == FeeMischief.NONE) turn.feesAllowed[draft.i % PAYEES] += maximum;
    }
}
