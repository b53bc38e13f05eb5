"""A node of the network, as renter and as farmer: storage, its audits, its interfaces, its command line."""
