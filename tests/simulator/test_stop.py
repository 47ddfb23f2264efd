"""A signal ends what waits for it, whatever it interrupts."""

from __future__ import annotations

import subprocess
import sys

# Another signal for each line that a wait and its end go through; a lock that is met there is never released.
_PROGRAM = """
import signal, sys
from simulator.stop import Stop

for number in (signal.SIGTERM, signal.SIGINT):
    for line in range(1, 30):
        stop, lines = Stop(), [0]

        def trace(*_):
            lines[0] += 1
            if lines[0] == line:
                signal.raise_signal(number)
            return trace

        assert not stop.wait(0)
        sys.settrace(trace)
        stop.wait(0)
        sys.settrace(None)
        assert stop.wait(0) is stop.wait(0) is (lines[0] >= line)
print("ended")
"""


def test_a_signal_at_any_moment_is_noted_and_stays():
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=40, check=False)
    assert (done.stdout, done.stderr) == ("ended\n", "")
