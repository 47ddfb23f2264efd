"""What the command `posdiag` begins with: the daemon by a short way, any other verb by the command line."""

from __future__ import annotations

import sys
from contextlib import suppress


def main() -> int:
    """Run one verb. A daemon on a file that was checked before loads nothing that only other verbs need."""
    match sys.argv[1:]:
        case ["run", "--config", file]:
            from agent import lean  # noqa: F401, PLC0415 - before anything that it makes lighter
            from agent.config_file import ConfigError, passed_before  # noqa: PLC0415 - only a daemon begins here

            with suppress(ConfigError):  # which is told below
                if passed_before(file):
                    from agent.serve import serve  # noqa: PLC0415 - as above

                    return serve(file, "info")
    from agent.cli import main as command_line  # noqa: PLC0415 - which a daemon need not hold

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
