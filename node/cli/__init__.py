"""The command line `tithe`: a thin shell that asks, calls the parts below and shows what came of it.

One module per group of commands; what they share is in output, options, session, passwords, amounts and
errors. Commands import what they need when they run, so that help and completion stay quick.
"""

import gc

OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Imports make many objects and no garbage: looking for some takes a quarter of a short command's time."""


def main() -> None:
    """Run the command line with this process's arguments and exit with its code."""
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    try:
        from node.cli.app import run

        run()
    finally:
        gc.freeze()  # what lives until now need not be looked through at the end
