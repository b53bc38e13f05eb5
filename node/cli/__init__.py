"""The command line `tithe`: a thin shell that asks, calls the parts below and shows what came of it.

One module per group of commands; what they share is in output, options, session, passwords, amounts and
errors. Commands import what they need when they run, so that help and completion stay quick.
"""


def main() -> None:
    """Run the command line with this process's arguments and exit with its code."""
    from node.cli.app import run

    run()
