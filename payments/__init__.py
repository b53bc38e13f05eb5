"""Rules of money between a renter and a farmer: vouchers, channels, prices, ledgers, claim policy.

Pure: frozen values in, frozen values out. Time, randomness and keys are parameters; nothing here does I/O.
"""
