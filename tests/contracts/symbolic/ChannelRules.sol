// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {Symbolic} from "./Symbolic.sol";

/// @title What a call may do to the channels it names, and what a proof looks at before and after it
/// @notice SOLVENT: the balance falls by no more, and rises by no less, than the sum of deposit - claimed of all channels.
/// CLAIM_MONO: deposit and claimed never fall, closesAt is set once, claimed <= deposit.
/// NO_EARLY_EXIT: the payer gets nothing before closesAt unless its payee says so, and closesAt is a challenge period
/// after a request that found money in the channel.
abstract contract ChannelRules is Symbolic {
    struct Before {
        bytes32 first;
        bytes32 second;
        bytes32 other;
        IPaymentChannels.Channel one;
        IPaymentChannels.Channel two;
        IPaymentChannels.Channel third;
    }

    address internal payer;
    address internal signer;
    uint32 internal period;
    bytes32 internal salt;

    // ---------------------------------------------------------------------------------------------------- what is shown

    // Each comes in few questions to the solver, each easier for those before it: what the call may write, then the sum.

    /// @dev Deposits rise to one of two targets or stay, those of closing channels stay (NO_EARLY_EXIT); all else stays.
    function assertFunded(Before memory before, bool done, bytes32 a, bytes32 b) internal view {
        (IPaymentChannels.Channel memory one, IPaymentChannels.Channel memory two) = look(before, done);
        assert(both(isFunded(before.one, one, a, b), isFunded(before.two, two, a, b)));
        (one.claimed, two.claimed) = (before.one.claimed, before.two.claimed);
        one.deposit = knownDeposit(before.one, one.deposit, a, b);
        if (before.second != 0) two.deposit = knownDeposit(before.two, two.deposit, a, b);
        assertSolvent(before, one, two);
    }

    function isFunded(IPaymentChannels.Channel memory was, IPaymentChannels.Channel memory isNow, bytes32 a, bytes32 b)
        internal
        pure
        returns (bool)
    {
        bool raised = either(isNow.deposit == targetOf(a), isNow.deposit == targetOf(b));
        bool risen = both(raised, both(isNow.deposit > was.deposit, was.closesAt == 0));
        bool kept = both(isNow.claimed == was.claimed, isNow.closesAt == was.closesAt);
        return both(kept, either(isNow.deposit == was.deposit, risen));
    }

    /// @dev Claims rise to one of two totals or to the deposit, never above it, or stay; all else stays.
    function assertPaid(Before memory before, bool done, bytes32 a, bytes32 b) internal view {
        (IPaymentChannels.Channel memory one, IPaymentChannels.Channel memory two) = look(before, done);
        assert(both(isPaid(before.one, one, a, b), isPaid(before.two, two, a, b)));
        (one.deposit, two.deposit) = (before.one.deposit, before.two.deposit);
        one.claimed = knownClaimed(before.one, one.claimed, a, b);
        if (before.second != 0) two.claimed = knownClaimed(before.two, two.claimed, a, b);
        assertSolvent(before, one, two);
    }

    function isPaid(IPaymentChannels.Channel memory was, IPaymentChannels.Channel memory isNow, bytes32 a, bytes32 b)
        internal
        pure
        returns (bool)
    {
        bool raised = either(isNow.claimed == targetOf(a), isNow.claimed == targetOf(b));
        bool risen = both(isNow.claimed > was.claimed, isNow.claimed <= was.deposit);
        bool kept = both(isNow.deposit == was.deposit, isNow.closesAt == was.closesAt);
        bool paid = both(risen, either(isNow.claimed == was.deposit, raised));
        return both(kept, either(isNow.claimed == was.claimed, paid));
    }

    /// @dev The rest of a closing channel goes, once it is time (NO_EARLY_EXIT) or its payee says so; all else stays.
    function assertReturned(Before memory before, bool done, bool waited) internal view {
        (IPaymentChannels.Channel memory one, IPaymentChannels.Channel memory two) = look(before, done);
        assert(both(isReturned(before.one, one, waited), isReturned(before.two, two, waited)));
        (one.deposit, two.deposit) = (before.one.deposit, before.two.deposit);
        one.claimed = one.claimed == before.one.claimed ? before.one.claimed : before.one.deposit;
        if (before.second != 0) {
            two.claimed = two.claimed == before.two.claimed ? before.two.claimed : before.two.deposit;
        }
        assertSolvent(before, one, two);
    }

    function isReturned(IPaymentChannels.Channel memory was, IPaymentChannels.Channel memory isNow, bool waited)
        internal
        view
        returns (bool)
    {
        bool over = both(was.closesAt != 0, either(!waited, was.closesAt <= block.timestamp));
        bool kept = both(isNow.deposit == was.deposit, isNow.closesAt == was.closesAt);
        bool gone = both(isNow.claimed == was.deposit, over);
        return both(kept, either(isNow.claimed == was.claimed, gone));
    }

    /// @dev closesAt is set once, a challenge period ahead, where there is money (NO_EARLY_EXIT); all else stays.
    function assertClosing(Before memory before, bool done) internal view {
        (IPaymentChannels.Channel memory one, IPaymentChannels.Channel memory two) = look(before, done);
        assert(both(isClosing(before.one, one), isClosing(before.two, two)));
        assert(both(token.gone() == 0, token.come() == 0));
    }

    function isClosing(IPaymentChannels.Channel memory was, IPaymentChannels.Channel memory isNow)
        internal
        view
        returns (bool)
    {
        bool asked = both(isNow.closesAt == block.timestamp + period, was.claimed != was.deposit);
        bool kept = both(isNow.deposit == was.deposit, isNow.claimed == was.claimed);
        return both(kept, either(isNow.closesAt == was.closesAt, both(was.closesAt == 0, asked)));
    }

    /// @dev The channels after the call. No other channel has changed, and a call that failed has changed none.
    function look(Before memory before, bool done)
        internal
        view
        returns (IPaymentChannels.Channel memory one, IPaymentChannels.Channel memory two)
    {
        (one, two) = (state(before.first), state(before.second));
        bool untouched = both(isSame(before.one, one), isSame(before.two, two));
        assert(both(isSame(before.third, state(before.other)), either(done, untouched)));
    }

    /// SOLVENT: what the token was told to send is what claims grew by, what it brought is what deposits grew by. A channel
    /// that is named twice counts once.
    function assertSolvent(
        Before memory before,
        IPaymentChannels.Channel memory one,
        IPaymentChannels.Channel memory two
    ) internal view {
        unchecked {
            uint256 gone = uint256(one.claimed) - before.one.claimed;
            uint256 come = uint256(one.deposit) - before.one.deposit;
            if (before.second != 0 && before.second != before.first) {
                gone += uint256(two.claimed) - before.two.claimed;
                come += uint256(two.deposit) - before.two.deposit;
            }
            assert(both(both(token.gone() == gone, token.come() == come), token.bits() < 2 ** 128));
        }
    }

    /// @dev What was just shown to be one of few values, as that value: what the solver need not take out of a sum again.
    function knownDeposit(IPaymentChannels.Channel memory was, uint96 isNow, bytes32 a, bytes32 b)
        internal
        pure
        returns (uint96)
    {
        if (isNow == was.deposit) return was.deposit;
        return isNow == targetOf(a) ? targetOf(a) : targetOf(b);
    }

    function knownClaimed(IPaymentChannels.Channel memory was, uint96 isNow, bytes32 a, bytes32 b)
        internal
        pure
        returns (uint96)
    {
        if (isNow == was.claimed) return was.claimed;
        if (isNow == was.deposit) return was.deposit;
        return isNow == targetOf(a) ? targetOf(a) : targetOf(b);
    }

    // ------------------------------------------------------------------------------------------------------------ steps

    /// @dev The channels that a call names, which may be one and the same, and any other.
    function look(bytes32 first, bytes32 second) internal returns (Before memory before) {
        before.first = first;
        before.second = second;
        before.other = svm.createBytes32("other");
        vm.assume(before.other != first && before.other != second);
        before.one = soundState(first);
        before.two = soundState(second);
        before.third = state(before.other);
        token.begin();
    }

    /// @dev The same for channels with given terms.
    function lookAtKnown(bytes32 a, bytes32 b) internal returns (Before memory) {
        (payer, signer, period, salt) = (address(0x3333), address(account), 1 days, "salt");
        return look(idTo(payeeOf(a)), b == 0 ? bytes32(0) : idTo(payeeOf(b)));
    }

    function send(bytes memory data) internal returns (bool done, bytes memory answer) {
        return address(channels).call(data);
    }

    function idTo(address payee) internal view returns (bytes32) {
        return channels.channelId(IPaymentChannels.Terms(payer, signer, payee, address(token), period, salt));
    }

    function idOf(IPaymentChannels.Claim memory row, address caller) internal view returns (bytes32) {
        address payee = payeeOf(row.row) == address(0) ? caller : payeeOf(row.row);
        vm.assume(payeeOf(row.key) != address(vm) && payeeOf(row.key) != address(svm));
        return channels.channelId(
            IPaymentChannels.Terms(
                row.payer, payeeOf(row.key), payee, address(token), uint32(uint256(row.key)), row.salt
            )
        );
    }

    function fundingOf(bytes32 a) internal view returns (IPaymentChannels.Funding memory) {
        return IPaymentChannels.Funding(payer, signer, address(token), period, salt, list(a));
    }

    function targetOf(bytes32 row) internal pure returns (uint96) {
        return uint96(uint256(row));
    }

    function payeeOf(bytes32 row) internal pure returns (address) {
        return address(uint160(uint256(row) >> 96));
    }

    function list(bytes32 a) internal pure returns (bytes32[] memory all) {
        all = new bytes32[](1);
        all[0] = a;
    }

    function list(bytes32 a, bytes32 b) internal pure returns (bytes32[] memory all) {
        all = new bytes32[](2);
        (all[0], all[1]) = (a, b);
    }

    function list(address a, address b) internal pure returns (address[] memory all) {
        all = new address[](2);
        (all[0], all[1]) = (a, b);
    }
}
