// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {PERMIT2} from "../../contracts/src/Authorizers.sol";
import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {ChannelsTest} from "./support/ChannelsTest.sol";
import {MessageHashesHarness} from "./support/MessageHashesHarness.sol";
import {
    BlocklistToken,
    CarelessMover,
    FeeToken,
    GreedyToken,
    HookToken,
    Meddler,
    ShrinkingToken,
    SilentToken
} from "./support/Tokens.sol";

contract HostileTokensTest is ChannelsTest {
    uint256 internal constant END = 1_750_000_000 + PERIOD;
    address internal constant SECOND_PAYER = address(0xBEEF);

    function use(address hostile) private {
        token = IERC20(hostile);
        enrich(payer);
    }

    // ------------------------------------------------------------------------------------------------ refuses a payee

    function test_GivenATokenThatReverts() external {
        takesBack(false);
    }

    function test_GivenATokenThatReturnsFalse() external {
        takesBack(true);
    }

    function takesBack(bool politely) private {
        BlocklistToken strict = new BlocklistToken();
        use(address(strict));
        if (politely) strict.bePolite();
        enrich(SECOND_PAYER);
        fund(list(row(payee, 100), row(other, 100)));
        vm.prank(SECOND_PAYER);
        channels.fund(signer, address(token), PERIOD, SALT, list(row(payee, 100)));
        claim(signed(payee, 5));

        IPaymentChannels.Terms memory second = termsTo(payee);
        second.payer = SECOND_PAYER;
        IPaymentChannels.Claim[] memory rows = new IPaymentChannels.Claim[](5);
        (rows[0], rows[1], rows[2]) = (signed(other, 10), signed(payee, 20), signedBy(OTHER_KEY, payee, 90));
        (rows[3], rows[4]) = (sign(SIGNER_KEY, second, 30), signed(other, 11));

        bytes32[] memory words = new bytes32[](10);
        (words[0], words[1]) = (idOf(other), bytes32(uint256(10)));
        (words[8], words[9]) = (idOf(other), bytes32(uint256(11)));
        strict.block_(payee);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.BAD_SIGNATURE);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.TRANSFER_FAILED);
        expectSkipped(channels.channelId(second), IPaymentChannels.Reason.TRANSFER_FAILED);
        expectClaimedMany(words);
        vm.assertEq(claim(rows), 11);
        assertState(payee, 100, 5, 0);
        assertState(channels.channelId(second), 100, 0, 0);
        assertState(other, 100, 11, 0);

        strict.unblock(payee);
        vm.assertEq(claim(rows), 15 + 30);
        vm.assertEq(token.balanceOf(address(channels)), 300 - 5 - 11 - 45);
    }

    function test_GivenATokenThatRefusesTheLastRun_WithTwoVouchersOfOneChannel() external {
        BlocklistToken strict = new BlocklistToken();
        use(address(strict));
        fund(payee, 100);
        strict.block_(payee);
        vm.assertEq(claim(list(signed(payee, 20), signed(payee, 70))), 0);
        assertState(payee, 100, 0, 0);
    }

    // -------------------------------------------------------------------------------------------------- other manners

    function test_GivenATokenThatReturnsNothing() external {
        SilentToken silent = new SilentToken();
        silent.transfer(payer, 1000);
        vm.prank(payer);
        silent.approve(address(channels), 1000);
        token = IERC20(address(silent));
        fund(list(row(payee, 100), row(other, 100)));
        vm.assertEq(claim(signed(payee, 20)), 20);
        vm.assertEq(claimOne(signed(payee, 30)), 10);
        vm.assertEq(push(list(row(other, 40))), 40);
        requestClose(list(payee, other));
        vm.warp(END);
        vm.assertEq(withdraw(list(payee, other)), 130);
        vm.assertEq(silent.balanceOf(payer), 930);
    }

    function test_RevertGiven_ATokenThatKeepsAFee() external {
        use(address(new FeeToken()));
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.DepositMismatch.selector, 1000, 990));
        fund(payee, 1000);
        assertState(payee, 0, 0, 0);
    }

    function test_GivenATokenThatChangesBalancesByItself() external {
        fund(payee, 100);
        bytes32 sound = idOf(payee);
        IPaymentChannels.Claim memory voucher = signed(payee, 60);
        IERC20 good = token;

        ShrinkingToken shrinking = new ShrinkingToken();
        use(address(shrinking));
        fund(payee, 100);
        shrinking.shrink(address(channels));
        expectSkipped(idOf(payee), IPaymentChannels.Reason.TRANSFER_FAILED);
        vm.assertEq(claim(signed(payee, 60)), 0);
        vm.assertEq(claim(signed(payee, 50)), 50);

        token = good;
        vm.assertEq(claim(voucher), 60);
        assertState(sound, 100, 60, 0);
    }

    function test_GivenATokenThatReturnsNothing_ByTheOtherWays() external {
        SilentToken silent = new SilentToken();
        silent.transfer(payer, 1000);
        vm.prank(payer);
        silent.approve(address(channels), 1000);
        token = IERC20(address(silent));
        (address relayed, IPaymentChannels.Fee[] memory fees) = feeOf(40, 3);
        vm.prank(payer);
        vm.assertEq(channels.fundOne(address(token), keyOf(signer, PERIOD), SALT, row(relayed, 100)), 100);
        IPaymentChannels.Claim[] memory rows = list(signed(relayed, 40));
        vm.prank(relayer);
        vm.assertEq(channels.relay(address(token), rows, fees, new bytes[](0)), 40);
        vm.assertEq(silent.balanceOf(relayer), 3);
        vm.assertEq(channels.claimOneProven(address(token), signed(relayed, 50), ""), 10);
        vm.assertEq(channels.claimProven(address(token), list(signed(relayed, 60)), new bytes[](0)), 10);
        vm.assertEq(silent.balanceOf(relayed), 57);
    }

    /// Where a transfer is refused by a polite no, nothing has come.
    function test_RevertGiven_ATokenThatReturnsFalseForTheDeposit() external {
        BlocklistToken strict = new BlocklistToken();
        use(address(strict));
        strict.block_(payer);
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.DepositMismatch.selector, 100, 0));
        fund(payee, 100);
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.DepositMismatch.selector, 100, 0));
        fundOne(payee, 100);
        assertState(payee, 0, 0, 0);
    }

    function test_RevertGiven_ATokenThatRefusesThePayer() external {
        BlocklistToken strict = new BlocklistToken();
        use(address(strict));
        fund(payee, 100);
        requestClose(payee);
        vm.warp(END);
        strict.block_(payer);
        bytes memory refusal =
            abi.encodeWithSelector(IPaymentChannels.TransferFailed.selector, address(strict), payer, 100);
        vm.expectRevert(refusal);
        withdraw(payee);
        vm.expectRevert(refusal);
        vm.prank(payee);
        channels.release(termsTo(payee));
        assertState(payee, 100, 0, END);
    }

    function test_RevertGiven_ATokenThatKeepsAFee_ByTheOtherWays() external {
        use(address(new FeeToken()));
        bytes memory mismatch = abi.encodeWithSelector(IPaymentChannels.DepositMismatch.selector, 1000, 990);
        vm.expectRevert(mismatch);
        fundOne(payee, 1000);
        vm.expectRevert(mismatch);
        vm.prank(payer);
        channels.fundWithPermit(
            signer, address(token), PERIOD, SALT, list(row(payee, 1000)), IPaymentChannels.Permit(1000, END, 27, 0, 0)
        );
        IPaymentChannels.Funding memory it =
            IPaymentChannels.Funding(payer, signer, address(token), PERIOD, SALT, list(row(payee, 1000)));
        vm.etch(address(PERMIT2), address(new CarelessMover()).code);
        vm.prank(payer);
        token.approve(address(PERMIT2), 1000);
        vm.expectRevert(mismatch);
        channels.fundWithPermit2(it, IPaymentChannels.WitnessedPermit(1000, 0, END, ""));
        GreedyToken greedy = new GreedyToken();
        use(address(greedy));
        it.token = address(greedy);
        vm.expectRevert(mismatch);
        channels.fundWithAuthorization(it, IPaymentChannels.Authorization(0, END, 27, 0, 0));
        assertState(payee, 0, 0, 0);
    }

    function test_GivenATokenThatChangesBalancesByItself_AndTheFeesAreShort() external {
        ShrinkingToken shrinking = new ShrinkingToken();
        use(address(shrinking));
        (address relayed, IPaymentChannels.Fee[] memory fees) = feeOf(60, 10);
        fund(relayed, 100);
        shrinking.shrink(address(channels)); // 50 are left: enough for the payee, not for the relayer
        IPaymentChannels.Claim[] memory rows = list(signed(relayed, 60));
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.TransferFailed.selector, address(token), relayer, 10));
        vm.prank(relayer);
        channels.relay(address(token), rows, fees, new bytes[](0));
        assertState(relayed, 100, 0, 0);
    }

    // ------------------------------------------------------------------------------------------------------ calls back

    /// @dev Whoever is paid or pays calls every function that moves money from within every other, with what it was just
    /// about to be paid for. All that it gets is what its vouchers say, once.
    function test_WhenThePayeeClaimsFromWithinARelay() external {
        (HookToken hooked, Meddler meddler) = hook();
        fund(list(row(address(meddler), 100), row(other, 100)));
        IPaymentChannels.Claim[] memory rows = list(signed(address(meddler), 60), signed(other, 10));
        bytes[] memory none = new bytes[](0);
        meddler.plan(abi.encodeCall(IPaymentChannels.claimProven, (address(token), rows, none)));
        meddler.plan(
            abi.encodeCall(IPaymentChannels.claimOneProven, (address(token), signed(address(meddler), 80), ""))
        );
        IPaymentChannels.Fee[] memory free = new IPaymentChannels.Fee[](0);
        meddler.plan(abi.encodeCall(IPaymentChannels.relay, (address(token), list(signed(other, 15)), free, none)));
        hooked.arm(meddler, false);
        vm.prank(relayer);
        vm.assertEq(channels.relay(address(token), rows, free, none), 60);
        vm.assertTrue(meddler.succeeded());
        vm.assertEq(token.balanceOf(address(meddler)), 80);
        vm.assertEq(token.balanceOf(other), 15);
        solvent(200 - 95);
    }

    /// The relayer is called when its fee comes: the rows are claimed and the fee is on its way.
    function test_WhenTheRelayerRelaysAgainFromWithinItsFee() external {
        (HookToken hooked, Meddler meddler) = hook();
        relayer = address(meddler);
        (address relayed, IPaymentChannels.Fee[] memory fees) = feeOf(60, 10);
        fund(relayed, 100);
        bytes memory data =
            abi.encodeCall(IPaymentChannels.relay, (address(token), list(signed(relayed, 60)), fees, new bytes[](0)));
        meddler.plan(data);
        hooked.arm(meddler, false);
        vm.assertEq(abi.decode(meddler.act(address(channels), data), (uint256)), 60);
        vm.assertTrue(meddler.succeeded());
        vm.assertEq(token.balanceOf(relayed), 50);
        vm.assertEq(token.balanceOf(address(meddler)), 10);
        solvent(40);
    }

    function test_RevertWhen_ThePayerClaimsFromWithinFundingOne() external {
        (HookToken hooked, Meddler meddler) = hook();
        fund(payee, 500); // the victim
        fundMeddler(hooked, meddler, 100);
        IPaymentChannels.Terms memory terms = termsTo(other);
        terms.payer = address(meddler);
        bytes[] memory none = new bytes[](0);
        IPaymentChannels.Claim[] memory loot = list(sign(SIGNER_KEY, terms, 300));
        meddler.plan(
            abi.encodeCall(IPaymentChannels.relay, (address(token), loot, new IPaymentChannels.Fee[](0), none))
        );
        hooked.arm(meddler, false);
        bytes memory more =
            abi.encodeCall(IPaymentChannels.fundOne, (address(token), keyOf(signer, PERIOD), SALT, row(other, 400)));
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.DepositMismatch.selector, 300, 0));
        meddler.act(address(channels), more);
        assertState(channels.channelId(terms), 100, 0, 0);
        solvent(600);
    }

    function test_RevertWhen_ThePayerFundsOneFromWithinFunding() external {
        (HookToken hooked, Meddler meddler) = hook();
        fundMeddler(hooked, meddler, 100);
        meddler.plan(
            abi.encodeCall(IPaymentChannels.fundOne, (address(token), keyOf(signer, PERIOD), SALT, row(payee, 50)))
        );
        hooked.arm(meddler, false);
        bytes memory more = abi.encodeCall(
            IPaymentChannels.fundWithPermit,
            (signer, address(token), PERIOD, SALT, list(row(other, 400)), IPaymentChannels.Permit(0, 0, 27, 0, 0))
        );
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.DepositMismatch.selector, 300, 350));
        meddler.act(address(channels), more);
        solvent(100);
    }

    function test_WhenThePayeeClaimsAgainFromWithinAClaim() external {
        (HookToken hooked, Meddler meddler) = hook();
        fund(list(row(address(meddler), 100), row(other, 100)));
        IPaymentChannels.Claim[] memory rows = list(signed(address(meddler), 60), signed(other, 10));
        meddler.plan(abi.encodeCall(IPaymentChannels.claim, (address(token), rows)));
        hooked.arm(meddler, false);
        // Inside, the first row is stale and the second is paid; outside, it is the other way round.
        vm.assertEq(claim(rows), 60);
        vm.assertTrue(meddler.succeeded());
        vm.assertEq(token.balanceOf(address(meddler)), 60);
        vm.assertEq(token.balanceOf(other), 10);
        solvent(200 - 70);
    }

    function test_RevertWhen_ThePayerClaimsFromWithinFundingWhatHasNotArrived() external {
        (HookToken hooked, Meddler meddler) = hook();
        fund(payee, 500); // the victim
        fundMeddler(hooked, meddler, 100);

        IPaymentChannels.Terms memory terms = termsTo(other);
        terms.payer = address(meddler);
        IPaymentChannels.Claim[] memory loot = list(sign(SIGNER_KEY, terms, 300));
        meddler.plan(abi.encodeCall(IPaymentChannels.claim, (address(token), loot)));
        hooked.arm(meddler, false);
        bytes memory more =
            abi.encodeCall(IPaymentChannels.fund, (signer, address(token), PERIOD, SALT, list(row(other, 400))));
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.DepositMismatch.selector, 300, 0));
        meddler.act(address(channels), more);
        assertState(channels.channelId(terms), 100, 0, 0);
        solvent(600);
    }

    function test_RevertWhen_ThePayerFundsAgainFromWithinFunding() external {
        (HookToken hooked, Meddler meddler) = hook();
        fundMeddler(hooked, meddler, 100);
        bytes memory more =
            abi.encodeCall(IPaymentChannels.fund, (signer, address(token), PERIOD, SALT, list(row(other, 400))));
        bytes memory within =
            abi.encodeCall(IPaymentChannels.fund, (signer, address(token), PERIOD, SALT, list(row(payee, 50))));
        meddler.plan(within);
        hooked.arm(meddler, false);
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.DepositMismatch.selector, 300, 350));
        meddler.act(address(channels), more);
        solvent(100);
    }

    function test_WhenThePayerWithdrawsAgainFromWithinAWithdrawal() external {
        (HookToken hooked, Meddler meddler) = hook();
        fund(payee, 500);
        fundMeddler(hooked, meddler, 100);
        bytes memory data =
            abi.encodeCall(IPaymentChannels.requestClose, (signer, address(token), PERIOD, SALT, list(other)));
        meddler.act(address(channels), data);
        vm.warp(END);
        data = abi.encodeCall(IPaymentChannels.withdraw, (signer, address(token), PERIOD, SALT, list(other)));
        meddler.plan(data);
        hooked.arm(meddler, false);
        uint256 before = token.balanceOf(address(meddler));
        vm.assertEq(abi.decode(meddler.act(address(channels), data), (uint256)), 100);
        vm.assertTrue(meddler.succeeded());
        vm.assertEq(token.balanceOf(address(meddler)), before + 100);
        solvent(500);
    }

    function test_WhenThePayeeIsPaidInARunAndPushesFromWithin() external {
        (HookToken hooked, Meddler meddler) = hook();
        fund(address(meddler), 100);
        fundMeddler(hooked, meddler, 100);
        meddler.plan(
            abi.encodeCall(IPaymentChannels.push, (signer, address(token), PERIOD, SALT, list(row(other, 30))))
        );
        hooked.arm(meddler, false);
        vm.assertEq(claim(signed(address(meddler), 60)), 60);
        vm.assertTrue(meddler.succeeded());
        vm.assertEq(token.balanceOf(other), 30);
        solvent(200 - 90);
    }

    /// The token lets the payer withdraw in the middle of a claim and then denies the payment. The payer got what was
    /// left beside the step; the step alone is taken back, and every token in the contract still belongs to the channel.
    function test_WhenTheTokenLiesAboutTheTransfer() external {
        (HookToken hooked, Meddler meddler) = hook();
        fund(payee, 500);
        fundMeddler(hooked, meddler, 100);
        IPaymentChannels.Terms memory terms = termsTo(other);
        terms.payer = address(meddler);
        IPaymentChannels.Claim[] memory rows = list(sign(SIGNER_KEY, terms, 60));
        bytes memory data =
            abi.encodeCall(IPaymentChannels.requestClose, (signer, address(token), PERIOD, SALT, list(other)));
        meddler.act(address(channels), data);
        vm.warp(END);
        data = abi.encodeCall(IPaymentChannels.withdraw, (signer, address(token), PERIOD, SALT, list(other)));
        meddler.plan(data);
        hooked.arm(meddler, true);
        vm.assertEq(claim(rows), 0);
        vm.assertTrue(meddler.succeeded());
        assertState(channels.channelId(terms), 100, 40, END);
        solvent(500 + 60);

        vm.assertEq(claim(rows), 20);
        vm.assertEq(abi.decode(meddler.act(address(channels), data), (uint256)), 40);
        solvent(500);
    }

    // --------------------------------------------------------------------------------------------------------- helpers

    function hook() private returns (HookToken hooked, Meddler meddler) {
        hooked = new HookToken();
        use(address(hooked));
        meddler = new Meddler(channels);
    }

    /// @dev Let the meddler be a payer with a channel to `other`.
    function fundMeddler(HookToken hooked, Meddler meddler, uint96 target) private {
        require(hooked.transfer(address(meddler), 1000), "no money");
        meddler.act(address(token), abi.encodeCall(IERC20.approve, (address(channels), type(uint256).max)));
        bytes memory data =
            abi.encodeCall(IPaymentChannels.fund, (signer, address(token), PERIOD, SALT, list(row(other, target))));
        meddler.act(address(channels), data);
    }

    function fundOne(address to, uint96 target) private {
        vm.prank(payer);
        channels.fundOne(address(token), keyOf(signer, PERIOD), SALT, row(to, target));
    }

    /// @dev A payee with a key, and what it signs to let the relayer keep a fee.
    function feeOf(uint96 total, uint96 amount) private returns (address to, IPaymentChannels.Fee[] memory fees) {
        to = vm.addr(OTHER_KEY);
        bytes32 digest = new MessageHashesHarness()
            .relayFeeIn(
                IERC5267(address(channels)), IPaymentChannels.RelayFee(relayer, idOf(to), total, amount, uint64(END))
            );
        (bytes32 r, bytes32 vs) = signDigest(OTHER_KEY, digest);
        fees = new IPaymentChannels.Fee[](1);
        fees[0] = IPaymentChannels.Fee(bytes32(abi.encodePacked(amount, amount, uint64(END))), r, vs);
    }

    function solvent(uint256 owed) private view {
        vm.assertEq(token.balanceOf(address(channels)), owed);
    }
}
