"""``python -m loadtest run --target http://127.0.0.1:8000``"""

from __future__ import annotations

from loadtest.cli import main

main()
