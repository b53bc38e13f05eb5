// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {Vm} from "./Vm.sol";

/// @title What every test of the channels starts from: one contract, one token, a payer with money, a signer's key
abstract contract ChannelsTest {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant SIGNER_KEY = uint256(keccak256("signer"));
    uint256 internal constant OTHER_KEY = uint256(keccak256("somebody else"));
    uint256 internal constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    uint32 internal constant PERIOD = 1 days;
    bytes32 internal constant SALT = keccak256("first life");
    uint96 internal constant RICH = 1_000_000e18;

    address internal immutable signer = vm.addr(SIGNER_KEY);
    address internal payer = address(uint160(uint256(keccak256("payer"))));
    address internal payee = address(uint160(uint256(keccak256("payee"))));
    address internal other = address(uint160(uint256(keccak256("other payee"))));
    address internal relayer = address(uint160(uint256(keccak256("anybody"))));

    IPaymentChannels internal channels;
    IERC20 internal token;

    function setUp() public virtual {
        vm.warp(1_750_000_000);
        channels = IPaymentChannels(vm.deployCode("PaymentChannels.sol:PaymentChannels"));
        token = IERC20(vm.deployCode("StorageToken.sol:StorageToken", abi.encode(address(this))));
        enrich(payer);
    }

    // --------------------------------------------------------------------------------------------------------- actions

    /// @dev Give tokens and let the contract take them.
    function enrich(address who) internal {
        require(token.transfer(who, RICH), "the test is out of tokens");
        vm.prank(who);
        token.approve(address(channels), type(uint256).max);
    }

    function fund(address to, uint96 target) internal returns (uint256 moved) {
        return fund(list(row(to, target)));
    }

    function fund(bytes32[] memory rows) internal returns (uint256 moved) {
        vm.prank(payer);
        return channels.fund(signer, address(token), PERIOD, SALT, rows);
    }

    function push(bytes32[] memory rows) internal returns (uint256 paid) {
        vm.prank(payer);
        return channels.push(signer, address(token), PERIOD, SALT, rows);
    }

    function requestClose(address to) internal returns (uint256 closing) {
        return requestClose(list(to));
    }

    function requestClose(address[] memory payees) internal returns (uint256 closing) {
        vm.prank(payer);
        return channels.requestClose(signer, address(token), PERIOD, SALT, payees);
    }

    function withdraw(address to) internal returns (uint256 returned) {
        return withdraw(list(to));
    }

    function withdraw(address[] memory payees) internal returns (uint256 returned) {
        vm.prank(payer);
        return channels.withdraw(signer, address(token), PERIOD, SALT, payees);
    }

    function claim(IPaymentChannels.Claim memory one) internal returns (uint256 paid) {
        return claim(list(one));
    }

    function claim(IPaymentChannels.Claim[] memory rows) internal returns (uint256 paid) {
        vm.prank(relayer);
        return channels.claim(address(token), rows);
    }

    function claimOne(IPaymentChannels.Claim memory one) internal returns (uint256 paid) {
        vm.prank(relayer);
        return channels.claimOne(address(token), one);
    }

    // ---------------------------------------------------------------------------------------------------------- values

    function row(address to, uint256 total) internal pure returns (bytes32) {
        return bytes32(bytes20(to)) | bytes32(total);
    }

    function keyOf(address who, uint256 period) internal pure returns (bytes32) {
        return bytes32(bytes20(who)) | bytes32(period);
    }

    function termsTo(address to) internal view returns (IPaymentChannels.Terms memory) {
        return IPaymentChannels.Terms(payer, signer, to, address(token), PERIOD, SALT);
    }

    function idOf(address to) internal view returns (bytes32) {
        return channels.channelId(termsTo(to));
    }

    function state(address to) internal view returns (IPaymentChannels.Channel memory) {
        return state(idOf(to));
    }

    function state(bytes32 id) internal view returns (IPaymentChannels.Channel memory) {
        bytes32[] memory ids = new bytes32[](1);
        ids[0] = id;
        return channels.channels(ids)[0];
    }

    /// @dev A voucher of our signer for the channel from our payer.
    function signed(address to, uint96 total) internal view returns (IPaymentChannels.Claim memory) {
        return signedBy(SIGNER_KEY, to, total);
    }

    function signedBy(uint256 key, address to, uint96 total) internal view returns (IPaymentChannels.Claim memory one) {
        return sign(key, termsTo(to), total);
    }

    function sign(uint256 key, IPaymentChannels.Terms memory terms, uint96 total)
        internal
        view
        returns (IPaymentChannels.Claim memory one)
    {
        bytes32 digest = channels.voucherDigest(IPaymentChannels.Voucher(channels.channelId(terms), total, bytes32(0)));
        (bytes32 r, bytes32 vs) = signDigest(key, digest);
        return IPaymentChannels.Claim(
            terms.payer, keyOf(terms.signer, terms.challengePeriod), row(terms.payee, total), terms.salt, r, vs
        );
    }

    function signDigest(uint256 key, bytes32 digest) internal pure returns (bytes32 r, bytes32 vs) {
        uint8 v;
        bytes32 s;
        (v, r, s) = vm.sign(key, digest);
        vs = bytes32(uint256(s) | (uint256(v - 27) << 255));
    }

    function bound(uint256 value, uint256 lowest, uint256 highest) internal pure returns (uint256) {
        return lowest + value % (highest - lowest + 1);
    }

    // ---------------------------------------------------------------------------------------------------- expectations

    function expectSkipped(bytes32 id, IPaymentChannels.Reason reason) internal {
        vm.expectEmit(address(channels));
        emit IPaymentChannels.Skipped(id, reason);
    }

    function expectFunded(bytes32[] memory rows) internal {
        vm.expectEmit(address(channels));
        emit IPaymentChannels.Funded(payer, address(token), signer, PERIOD, SALT, rows);
    }

    function expectPushed(bytes32[] memory rows) internal {
        vm.expectEmit(address(channels));
        emit IPaymentChannels.Pushed(payer, address(token), signer, PERIOD, SALT, rows);
    }

    function expectClaimedMany(bytes32[] memory words) internal {
        vm.expectEmit(address(channels));
        emit IPaymentChannels.ClaimedMany(address(token), words);
    }

    function expectRefused(bytes32 id, IPaymentChannels.Reason reason) internal {
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.Refused.selector, id, reason));
    }

    function assertState(address to, uint256 deposit, uint256 claimed, uint256 closesAt) internal view {
        assertState(idOf(to), deposit, claimed, closesAt);
    }

    function assertState(bytes32 id, uint256 deposit, uint256 claimed, uint256 closesAt) internal view {
        IPaymentChannels.Channel memory channel = state(id);
        vm.assertEq(channel.deposit, deposit, "deposit");
        vm.assertEq(channel.claimed, claimed, "claimed");
        vm.assertEq(channel.closesAt, closesAt, "closesAt");
    }

    // ----------------------------------------------------------------------------------------------------------- lists

    function list(bytes32 a) internal pure returns (bytes32[] memory all) {
        all = new bytes32[](1);
        all[0] = a;
    }

    function list(bytes32 a, bytes32 b) internal pure returns (bytes32[] memory all) {
        all = new bytes32[](2);
        (all[0], all[1]) = (a, b);
    }

    function list(bytes32 a, bytes32 b, bytes32 c, bytes32 d) internal pure returns (bytes32[] memory all) {
        all = new bytes32[](4);
        (all[0], all[1], all[2], all[3]) = (a, b, c, d);
    }

    function list(address a) internal pure returns (address[] memory all) {
        all = new address[](1);
        all[0] = a;
    }

    function list(address a, address b) internal pure returns (address[] memory all) {
        all = new address[](2);
        (all[0], all[1]) = (a, b);
    }

    function list(IPaymentChannels.Claim memory a) internal pure returns (IPaymentChannels.Claim[] memory all) {
        all = new IPaymentChannels.Claim[](1);
        all[0] = a;
    }

    function list(IPaymentChannels.Claim memory a, IPaymentChannels.Claim memory b)
        internal
        pure
        returns (IPaymentChannels.Claim[] memory all)
    {
        all = new IPaymentChannels.Claim[](2);
        (all[0], all[1]) = (a, b);
    }
}
