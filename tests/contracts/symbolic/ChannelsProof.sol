// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {Symbolic} from "./Symbolic.sol";

/// @title SOLVENT, CLAIM_MONO and NO_EARLY_EXIT, one step from any state
/// @notice Every call of the contract, with any arguments, by anybody, at any time, from any state.
///
/// Bounds: one row of any channel with any words; two rows, of one channel or two, for `requestClose` and `withdraw`;
/// two rows of two given channels for `fundTwo`, and one of a given channel for `relay`, whose signer and payee are an
/// account that says anything (a plain key is one that never says yes). By induction it holds after any number of calls.
///
/// SOLVENT: the balance falls by no more, and rises by no less, than the sum of deposit - claimed of all channels.
/// CLAIM_MONO: deposit and claimed never fall, closesAt is set once, claimed <= deposit.
/// NO_EARLY_EXIT: the payer gets nothing before closesAt unless its payee says so, and closesAt is a challenge period
/// after a request that found money in the channel.
contract ChannelsProof is Symbolic {
    struct Before {
        bytes32 first;
        bytes32 second;
        bytes32 other;
        IPaymentChannels.Channel one;
        IPaymentChannels.Channel two;
        IPaymentChannels.Channel third;
    }

    address private constant FIRST = address(0x1111);
    address private constant SECOND = address(0x2222);

    address internal payer;
    address internal signer;
    uint32 internal period;
    bytes32 internal salt;

    function setUp() public override {
        super.setUp();
        payer = anybody("payer");
        signer = svm.createAddress("signer");
        vm.assume(signer != address(vm) && signer != address(svm) && signer != address(this));
        period = uint32(svm.createUint(32, "period"));
        salt = svm.createBytes32("salt");
        uint256 time = svm.createUint(40, "time");
        vm.assume(time < 2 ** 39);
        vm.warp(time);
    }

    // -------------------------------------------------------------------------------------------------------- the steps

    function check_fund(bytes32 a) external {
        Before memory before = look(idTo(payeeOf(a)), 0);
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.fund, (signer, address(token), period, salt, list(a))));
        assertFunded(before, done, a, 0);
    }

    function check_fundTwo(uint96 first, uint96 second) external {
        (bytes32 a, bytes32 b) = (word(FIRST, first), word(SECOND, second));
        Before memory before = lookAtKnown(a, b);
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.fund, (signer, address(token), period, salt, list(a, b))));
        assertFunded(before, done, a, b);
    }

    function check_fundOne(bytes32 key, bytes32 row) external {
        signer = payeeOf(key);
        vm.assume(signer != address(vm) && signer != address(svm) && signer != address(this));
        period = uint32(uint256(key));
        Before memory before = look(idTo(payeeOf(row)), 0);
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.fundOne, (address(token), key, salt, row)));
        assertFunded(before, done, row, 0);
    }

    function check_fundWithPermit(bytes32 a, IPaymentChannels.Permit calldata permit) external {
        Before memory before = look(idTo(payeeOf(a)), 0);
        vm.prank(payer);
        (bool done,) =
            send(abi.encodeCall(channels.fundWithPermit, (signer, address(token), period, salt, list(a), permit)));
        assertFunded(before, done, a, 0);
    }

    function check_fundWithAuthorization(bytes32 a, IPaymentChannels.Authorization calldata authorization) external {
        Before memory before = look(idTo(payeeOf(a)), 0);
        vm.prank(anybody("carrier"));
        (bool done,) = send(abi.encodeCall(channels.fundWithAuthorization, (fundingOf(a), authorization)));
        assertFunded(before, done, a, 0);
    }

    function check_fundWithPermit2(bytes32 a) external {
        Before memory before = look(idTo(payeeOf(a)), 0);
        IPaymentChannels.WitnessedPermit memory permit = IPaymentChannels.WitnessedPermit(
            svm.createUint256("amount"), svm.createUint256("nonce"), svm.createUint256("deadline"), new bytes(65)
        );
        vm.prank(anybody("carrier"));
        (bool done,) = send(abi.encodeCall(channels.fundWithPermit2, (fundingOf(a), permit)));
        assertFunded(before, done, a, 0);
    }

    function check_push(bytes32 a) external {
        Before memory before = look(idTo(payeeOf(a)), 0);
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.push, (signer, address(token), period, salt, list(a))));
        assertPaid(before, done, a, 0);
    }

    function check_claimOne(IPaymentChannels.Claim memory row) external {
        address caller = anybody("caller");
        Before memory before = look(idOf(row, caller), 0);
        vm.prank(caller);
        (bool done,) = send(abi.encodeCall(channels.claimOne, (address(token), row)));
        assertPaid(before, done, row.row, 0);
    }

    function rowOf(bytes32 row) private returns (IPaymentChannels.Claim memory) {
        return
            IPaymentChannels.Claim(
                payer, word(signer, period), row, salt, svm.createBytes32("r"), svm.createBytes32("vs")
            );
    }

    /// @dev The payee is the account, too, which says anything to any fee.
    function check_relay(uint96 total, IPaymentChannels.Fee memory fee) external {
        bytes32 a = word(address(account), total);
        Before memory before = lookAtKnown(a, 0);
        IPaymentChannels.Claim[] memory rows = new IPaymentChannels.Claim[](1);
        IPaymentChannels.Fee[] memory fees = new IPaymentChannels.Fee[](1);
        (rows[0], fees[0]) = (rowOf(a), fee);
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.relay, (address(token), rows, fees, new bytes[](0))));
        assertPaid(before, done, a, 0);
    }

    function check_requestClose(address a, address b) external {
        Before memory before = look(idTo(a), idTo(b));
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.requestClose, (signer, address(token), period, salt, list(a, b))));
        assertClosing(before, done);
    }

    function check_withdraw(address a, address b) external {
        Before memory before = look(idTo(a), idTo(b));
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.withdraw, (signer, address(token), period, salt, list(a, b))));
        assertReturned(before, done, true);
    }

    function check_release(address payee) external {
        Before memory before = look(idTo(payee), 0);
        address caller = anybody("caller");
        vm.prank(caller);
        (bool done,) = send(
            abi.encodeCall(
                channels.release, (IPaymentChannels.Terms(payer, signer, payee, address(token), period, salt))
            )
        );
        assertReturned(before, done, false);
        assert(!done || caller == payee);
    }

    // ---------------------------------------------------------------------------------------------------- what is shown

    // Each comes in few questions to the solver, each easier for those before it: what the call may write, then the sum.

    /// @dev Deposits rise to one of two targets or stay, those of closing channels stay (NO_EARLY_EXIT); all else stays.
    function assertFunded(Before memory before, bool done, bytes32 a, bytes32 b) private view {
        (IPaymentChannels.Channel memory one, IPaymentChannels.Channel memory two) = look(before, done);
        assert(both(isFunded(before.one, one, a, b), isFunded(before.two, two, a, b)));
        (one.claimed, two.claimed) = (before.one.claimed, before.two.claimed);
        one.deposit = knownDeposit(before.one, one.deposit, a, b);
        if (before.second != 0) two.deposit = knownDeposit(before.two, two.deposit, a, b);
        assertSolvent(before, one, two);
    }

    function isFunded(IPaymentChannels.Channel memory was, IPaymentChannels.Channel memory isNow, bytes32 a, bytes32 b)
        private
        pure
        returns (bool)
    {
        bool raised = either(isNow.deposit == targetOf(a), isNow.deposit == targetOf(b));
        bool risen = both(raised, both(isNow.deposit > was.deposit, was.closesAt == 0));
        bool kept = both(isNow.claimed == was.claimed, isNow.closesAt == was.closesAt);
        return both(kept, either(isNow.deposit == was.deposit, risen));
    }

    /// @dev Claims rise to one of two totals or to the deposit, never above it, or stay; all else stays.
    function assertPaid(Before memory before, bool done, bytes32 a, bytes32 b) private view {
        (IPaymentChannels.Channel memory one, IPaymentChannels.Channel memory two) = look(before, done);
        assert(both(isPaid(before.one, one, a, b), isPaid(before.two, two, a, b)));
        (one.deposit, two.deposit) = (before.one.deposit, before.two.deposit);
        one.claimed = knownClaimed(before.one, one.claimed, a, b);
        if (before.second != 0) two.claimed = knownClaimed(before.two, two.claimed, a, b);
        assertSolvent(before, one, two);
    }

    function isPaid(IPaymentChannels.Channel memory was, IPaymentChannels.Channel memory isNow, bytes32 a, bytes32 b)
        private
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
    function assertReturned(Before memory before, bool done, bool waited) private view {
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
        private
        view
        returns (bool)
    {
        bool over = both(was.closesAt != 0, either(!waited, was.closesAt <= block.timestamp));
        bool kept = both(isNow.deposit == was.deposit, isNow.closesAt == was.closesAt);
        bool gone = both(isNow.claimed == was.deposit, over);
        return both(kept, either(isNow.claimed == was.claimed, gone));
    }

    /// @dev closesAt is set once, a challenge period ahead, where there is money (NO_EARLY_EXIT); all else stays.
    function assertClosing(Before memory before, bool done) private view {
        (IPaymentChannels.Channel memory one, IPaymentChannels.Channel memory two) = look(before, done);
        assert(both(isClosing(before.one, one), isClosing(before.two, two)));
        assert(both(token.gone() == 0, token.come() == 0));
    }

    function isClosing(IPaymentChannels.Channel memory was, IPaymentChannels.Channel memory isNow)
        private
        view
        returns (bool)
    {
        bool asked = both(isNow.closesAt == block.timestamp + period, was.claimed != was.deposit);
        bool kept = both(isNow.deposit == was.deposit, isNow.claimed == was.claimed);
        return both(kept, either(isNow.closesAt == was.closesAt, both(was.closesAt == 0, asked)));
    }

    /// @dev The channels after the call. No other channel has changed, and a call that failed has changed none.
    function look(Before memory before, bool done)
        private
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
    ) private view {
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
        private
        pure
        returns (uint96)
    {
        if (isNow == was.deposit) return was.deposit;
        return isNow == targetOf(a) ? targetOf(a) : targetOf(b);
    }

    function knownClaimed(IPaymentChannels.Channel memory was, uint96 isNow, bytes32 a, bytes32 b)
        private
        pure
        returns (uint96)
    {
        if (isNow == was.claimed) return was.claimed;
        if (isNow == was.deposit) return was.deposit;
        return isNow == targetOf(a) ? targetOf(a) : targetOf(b);
    }

    function isSame(IPaymentChannels.Channel memory was, IPaymentChannels.Channel memory isNow)
        private
        pure
        returns (bool)
    {
        bool money = both(was.deposit == isNow.deposit, was.claimed == isNow.claimed);
        return both(money, was.closesAt == isNow.closesAt);
    }

    // ------------------------------------------------------------------------------------------------------------ steps

    /// @dev The channels that a call names, which may be one and the same, and any other.
    function look(bytes32 first, bytes32 second) private returns (Before memory before) {
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
    function lookAtKnown(bytes32 a, bytes32 b) private returns (Before memory) {
        (payer, signer, period, salt) = (address(0x3333), address(account), 1 days, "salt");
        return look(idTo(payeeOf(a)), b == 0 ? bytes32(0) : idTo(payeeOf(b)));
    }

    function send(bytes memory data) private returns (bool done, bytes memory answer) {
        return address(channels).call(data);
    }

    function idTo(address payee) private view returns (bytes32) {
        return channels.channelId(IPaymentChannels.Terms(payer, signer, payee, address(token), period, salt));
    }

    function idOf(IPaymentChannels.Claim memory row, address caller) private view returns (bytes32) {
        address payee = payeeOf(row.row) == address(0) ? caller : payeeOf(row.row);
        vm.assume(payeeOf(row.key) != address(vm) && payeeOf(row.key) != address(svm));
        return channels.channelId(
            IPaymentChannels.Terms(
                row.payer, payeeOf(row.key), payee, address(token), uint32(uint256(row.key)), row.salt
            )
        );
    }

    function fundingOf(bytes32 a) private view returns (IPaymentChannels.Funding memory) {
        return IPaymentChannels.Funding(payer, signer, address(token), period, salt, list(a));
    }

    function targetOf(bytes32 row) private pure returns (uint96) {
        return uint96(uint256(row));
    }

    function payeeOf(bytes32 row) private pure returns (address) {
        return address(uint160(uint256(row) >> 96));
    }

    function list(bytes32 a) private pure returns (bytes32[] memory all) {
        all = new bytes32[](1);
        all[0] = a;
    }

    function list(bytes32 a, bytes32 b) private pure returns (bytes32[] memory all) {
        all = new bytes32[](2);
        (all[0], all[1]) = (a, b);
    }

    function list(address a, address b) private pure returns (address[] memory all) {
        all = new address[](2);
        (all[0], all[1]) = (a, b);
    }
}
