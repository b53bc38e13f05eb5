"""A farmer: stores shards for renters it does not trust, proves that it has them, and is paid by vouchers."""
