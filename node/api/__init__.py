"""A farmer's HTTP interface: bounded before any work is done, authenticated by node keys, errors as JSON."""
