"""`python -m orchestrator.localcloud`: see `serve`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from orchestrator.engine import EngineError
from orchestrator.localcloud.serve import serve


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="orchestrator.localcloud")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--scale", type=float, required=True)
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    for chatty in ("werkzeug", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        serve(asked.state, asked.image, asked.region, asked.scale)
    except EngineError as error:
        sys.exit(f"error: {error}")


main()
