"""The UPS client against a server on a real socket."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import PowerConfig
from agent.probes.nut import NutError, NutProbe, parse_list, readings_of, split_line


class Server:
    """Answers each line by `reply(line)`; None closes the connection, b"" says nothing."""

    def __init__(self, reply) -> None:
        self.reply = reply
        self.asked: list[bytes] = []
        self.connections = 0
        self._links: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with link:
                self._links.append(link)
                self._talk(link)

    def _talk(self, link: socket.socket) -> None:
        try:
            while data := link.recv(1000):
                self.asked.append(data)
                answer = self.reply(data)
                if answer is None:
                    return
                for part in answer if isinstance(answer, list) else [answer]:
                    link.sendall(part)
        except OSError:
            return

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self._links:
            with suppress(OSError):  # the client may have left already
                link.shutdown(socket.SHUT_RDWR)
        self._thread.join()


@pytest.fixture
def ask():
    probes = []

    def run(server: Server, ups: str = "till") -> dict[str, object]:
        if not probes:
            probes.append(NutProbe(PowerConfig(nut=f"{ups}@127.0.0.1:{server.port}")))
        return {name: r.value if r.value is not None else f"?{r.unknown}" for name, r in probes[0].run().items()}

    yield run
    for probe in probes:
        probe.close()


def listing(**variables: str) -> bytes:
    rows = "".join(f'VAR till {name.replace("__", ".")} "{value}"\n' for name, value in variables.items())
    return f"BEGIN LIST VAR till\n{rows}END LIST VAR till\n".encode()


WHOLE = listing(
    ups__status="OL CHRG", battery__charge="87", battery__voltage="27.3", battery__runtime="1830", ups__load="21",
    ups__mfr="A maker", ups__model='Model \\"X\\"',
)  # fmt: skip


def test_a_whole_ups(ask):
    with Server(lambda _: WHOLE) as server:
        assert ask(server) == {
            "reply": "ok",
            "mains": "on",
            "ups_status": "OL CHRG",
            "ups_battery": "ok",
            "ups_shutdown": "no",
            "ups_replace": "no",
            "battery_percent": 87.0,
            "battery_voltage_mv": 27300.0,
            "runtime_s": 1830.0,
            "load_percent": 21.0,
            "temperature_c": "?unsupported",
        }
        ask(server)
        assert server.asked == [b"LIST VAR till\n"] * 2
        assert server.connections == 1


def test_a_reply_in_single_bytes(ask):
    with Server(lambda _: [bytes([byte]) for byte in WHOLE]) as server:
        assert ask(server)["battery_percent"] == 87.0


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("OL", {"mains": "on", "ups_battery": "ok", "ups_shutdown": "no", "ups_replace": "no"}),
        ("OB DISCHRG", {"mains": "off", "ups_shutdown": "no"}),
        ("OB LB", {"mains": "off", "ups_battery": "low", "ups_shutdown": "yes"}),
        ("OL LB CHRG", {"mains": "on", "ups_battery": "low", "ups_shutdown": "no"}),
        ("FSD OL", {"ups_shutdown": "yes"}),
        ("ALARM OL RB", {"mains": "on", "ups_replace": "yes"}),
        ("OL SOMETHING-NEW", {"mains": "on", "ups_battery": "ok"}),
        ("OL OB", {"mains": "?inconsistent"}),
        ("BYPASS", {"mains": "?not_asked"}),
        ("OFF", {"mains": "?not_asked"}),
        ("WAIT", {"mains": "?not_asked", "ups_battery": "?not_asked", "ups_shutdown": "?not_asked"}),
        ("", {"mains": "?not_asked"}),
    ],
)
def test_status_tokens(ask, status, expected):
    with Server(lambda _: listing(ups__status=status)) as server:
        found = ask(server)
        assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("reply", "cause", "answered"),
    [
        (b"ERR DATA-STALE\n", "stale", "ok"),
        (b"ERR DRIVER-NOT-CONNECTED\n", "stale", "ok"),
        (b"ERR UNKNOWN-UPS\n", "refused", "ok"),
        (b"ERR ACCESS-DENIED\n", "refused", "ok"),
        (b"BEGIN LIST VAR other\nEND LIST VAR other\n", "bad_reply", "bad"),
        (b"SSH-2.0-OpenSSH\n\nEND LIST VAR till\n", "bad_reply", "bad"),
        (b"VAR x\n" * 20_000, "bad_reply", "bad"),
        (None, "no_reply", "none"),
    ],
)
def test_what_is_no_list(ask, reply, cause, answered):
    with Server(lambda _: reply) as server:
        found = ask(server)
        assert found.pop("reply") == answered
        assert set(found.values()) == {f"?{cause}"}


def test_nobody_there(ask):
    with Server(lambda _: WHOLE) as server:
        pass
    assert ask(server)["reply"] == "none"


def test_a_server_that_says_nothing_costs_two_seconds(ask):
    with Server(lambda _: b"") as server:
        began = time.monotonic()
        assert ask(server)["mains"] == "?no_reply"
        assert 1.5 < time.monotonic() - began < 10


def test_a_server_that_was_restarted_is_asked_again_at_once(ask):
    replies = iter([WHOLE, None, WHOLE])
    with Server(lambda _: next(replies)) as server:
        assert ask(server)["reply"] == "ok"
        assert ask(server)["reply"] == "ok"
        assert server.connections == 2


def test_a_variable_that_is_no_number_is_unknown():
    for text in ("nan", "inf", "1e9", "", "12,5", "9" * 400):
        assert readings_of({"battery.charge": text})["battery_percent"].unknown == "bad_reply"


def test_words_of_a_line():
    assert split_line('VAR till ups.model "A \\"big\\" one \\\\ x"') == ["VAR", "till", "ups.model", 'A "big" one \\ x']
    assert split_line('VAR till x ""') == ["VAR", "till", "x", ""]
    assert split_line("x" * 5000) == []


@given(st.binary(max_size=3000))
def test_the_parser_is_total(data):
    try:
        variables = parse_list(b"BEGIN LIST VAR till\n" + data, "till")
    except NutError:
        return
    readings_of(variables)


@given(st.dictionaries(st.sampled_from(["ups.status", "battery.charge", "ups.load"]), st.text(max_size=80)))
def test_readings_are_total(variables):
    assert set(readings_of(variables)) >= {"mains", "battery_percent"}
