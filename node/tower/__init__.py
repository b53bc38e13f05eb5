"""A watchtower: holds the newest vouchers of farmers it serves, and claims for them while they are away."""
