"""A Linux keypad that is not there: runs a program that sees one at /dev/input/event7 and asks it real ioctls.

For the system's Python with GObject introspection, below umockdev-wrapper. Arguments: a file, and the program's words.
The file holds the codes of the keys that are down, as a JSON array; a change becomes events and the kernel's answer.
"""

import json
import pathlib
import signal
import struct
import subprocess
import sys
import time

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import GLib, UMockdev  # noqa: E402 - the version comes first

NODE = "/dev/input/event7"
DEVICE = f"""\
P: /devices/platform/keypad/input/input7/event7
N: {NODE.removeprefix("/dev/")}
E: DEVNAME={NODE}
E: SUBSYSTEM=input
"""
IDENTITY = struct.pack("HHHH", 0x03, 0x11AA, 0x0001, 0x0100)  # bus, vendor, product, version
NAME = b"POS keypad\0"
GET_IDENTITY, GET_NAME, GET_KEYS = 0x02, 0x06, 0x18
ENOTTY, EINVAL = 25, 22
EV_SYN, EV_KEY = 0, 1


class Answers(UMockdev.IoctlBase):
    """The three questions, each copying as much as fits; anything else is refused as a driver would."""

    down = frozenset()

    def do_handle_ioctl(self, client):
        request = client.get_request()
        number, group, size = request & 0xFF, request >> 8 & 0xFF, request >> 16 & 0x3FFF
        keys = bytearray(96)
        for code in self.down:
            keys[code // 8] |= 1 << code % 8
        answer = {GET_IDENTITY: IDENTITY, GET_NAME: NAME, GET_KEYS: bytes(keys)}.get(number)
        if group != ord("E") or answer is None:
            client.complete(-1, ENOTTY if group != ord("E") else EINVAL)
            return True
        answer = answer[:size]
        client.get_arg().resolve(0, size).update(0, answer)
        client.complete(0 if number == GET_IDENTITY else len(answer), 0)
        return True


def main():
    wanted = pathlib.Path(sys.argv[1])
    bed = UMockdev.Testbed.new()
    bed.add_from_string(DEVICE)
    answers = Answers()
    answers.down = frozenset(json.loads(wanted.read_text()))
    bed.attach_ioctl(NODE, answers)
    port = bed.get_dev_fd(NODE)
    program = subprocess.Popen(sys.argv[2:])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it goes to the whole group; this process ends after the program
    loop = GLib.MainLoop()

    def look():
        if program.poll() is not None:
            loop.quit()
            return False
        down = frozenset(json.loads(wanted.read_text()))
        for code in down ^ answers.down:
            seconds, fraction = divmod(time.time_ns() // 1000, 1_000_000)
            key = struct.pack("llHHi", seconds, fraction, EV_KEY, code, int(code in down))
            port_write(port, key + struct.pack("llHHi", seconds, fraction, EV_SYN, 0, 0))
        answers.down = down
        return True

    GLib.timeout_add(20, look)
    loop.run()
    return program.returncode


def port_write(port, data):
    with open(port, "wb", buffering=0, closefd=False) as stream:
        stream.write(data)


if __name__ == "__main__":
    sys.exit(main())
