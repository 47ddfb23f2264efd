"""`posdiag config`: check a configuration, show it with every default, or describe what there can be."""

from __future__ import annotations

import argparse
import json

from agent import config_file
from agent.exits import EXIT_CANNOT, EXIT_OK, fail
from agent.wire import to_json_whole


def run_config(args: argparse.Namespace) -> int:
    """The verb. 0 good or shown, 2 a bad configuration."""
    if args.what == "schema":
        print(json.dumps(config_file.schema(), indent=2, ensure_ascii=False))
        return EXIT_OK
    try:
        config = config_file.check(args.file)
    except config_file.ConfigError as error:
        if args.json:
            print(json.dumps({"ok": False, "problems": error.problems}, ensure_ascii=False))
            return EXIT_CANNOT
        return fail(error)
    if args.what == "show":
        print(json.dumps(to_json_whole(config), indent=2, ensure_ascii=False))
    elif args.json:
        print(json.dumps({"ok": True, "problems": []}))
    else:
        count = len(config.device)
        print(f"{args.file}: good; {count} device{'' if count == 1 else 's'}, broker {config.mqtt.url}")
    return EXIT_OK
