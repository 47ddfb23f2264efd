"""What the two client scripts share: verbs as JSON lines in, answers as JSON lines out. Runs in .venv-peers."""

import json
import sys


def serve(verbs):
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        try:
            answer = {"is": verbs[verb](*arguments)}
        except Exception as error:  # noqa: BLE001 - whatever a library raises is its answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
