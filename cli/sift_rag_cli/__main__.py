"""Run ``sift-rag``, or name the extra that it needs."""

from __future__ import annotations

import sys

from sift_rag.errors import MissingExtra


def main() -> None:
    """Run the command line; exit with one line on stderr if the ``cli`` extra is not installed."""
    try:
        from sift_rag_cli.app import main as run
    except ModuleNotFoundError as error:
        if error.name not in {"platformdirs", "rich", "typer"}:
            raise
        sys.exit(f"Error: {MissingExtra(error.name, 'cli')}")
    run()


if __name__ == "__main__":
    main()
