"""Entry point of the `steelyard` command; what it can do is in `commands`."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line."""
    # A Ctrl-C while the libraries are being loaded ends the command without a traceback. Commands
    # that have something to stop install their own handling before they start it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from orchestrator.commands import app  # noqa: PLC0415 - loading it is what takes the time

    app()


if __name__ == "__main__":
    main()
