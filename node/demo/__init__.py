"""The demo: the whole story of a file and its money, on a real chain with real farmers.

`cast` says who plays, `stages` and `processes` build the two places where it can play, `story` tells it, and
`ending` is what it comes to.
"""
