"""deploy/mosquitto on a real Mosquitto: what a terminal's certificate opens, and everything that it does not.

Terminal A is the attacker with a good certificate. Whatever it tries is followed by something allowed on the same
connection, so that what has not come by then will not come.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.cli import main
from tests.mqtt.agent import TOPICS, Agent
from tests.mqtt.broker import MOSQUITTO, free_port
from tests.wait import wait_until

pytestmark = pytest.mark.peers

DEPLOY = Path(__file__).parents[2] / "deploy/mosquitto"
A, B = "till-a", "till-b"
UP = (
    *("state", "inventory", "telemetry", "health", "fault/printer/paper_out", "faults", "event", "result/4711", "live"),
    "config/reported",
)
DOWN = ("command", "config", "case")
NOT_AUTHORISED = 0x87
PLUGIN = next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"), None)


def of(terminal: str, suffix: str, estate: str = "demo") -> str:
    return f"pos/1/{estate}/{terminal}/{suffix}"


# What belongs to nobody but others, as A sees it: B's, the fleet's, the center's, another estate's, the broker's.
FOREIGN = [
    *(of(B, suffix) for suffix in (*UP, *DOWN, "unheard_of")),
    *(of(A, suffix, "other") for suffix in (*UP, *DOWN)),
    of("all", "command"),
    of("center", "c1/state"),
    "pos/1/demo",
    "pos/1/demo/",
    f"pos/1/demo/{A}",
    f"pos/2/demo/{A}/state",
    f"/pos/1/demo/{A}/state",
    f"pos/1/demo/{B}/../{A}/state",
    "x",
]
OWN_BUT_NOT_TO_WRITE = [
    *(of(A, suffix) for suffix in DOWN),
    *(
        of(A, suffix)
        for suffix in ("state/x", "fault/printer", "fault/a/b/c", "result", "config/reported/x", "unheard_of")
    ),
]
FILTERS = [
    "#",
    "+/#",
    "pos/#",
    "pos/1/#",
    "pos/1/demo/#",
    "pos/1/demo/+/#",
    "pos/1/+/+/event",
    "pos/1/+/+/fault/#",
    "+/+/+/+/+",
    "+/+/+/+/+/+",
    "+/+/+/+/+/+/+",
    f"pos/1/demo/{B}/#",
    f"pos/1/+/{B}/+",
    f"pos/1/demo/{B}/fault/+/+",
    *(of(B, suffix) for suffix in (*UP, *DOWN)),
    *(of(A, suffix) for suffix in UP),
    "$SYS/#",
]
SHARED = [f"$share/{group}/{name}" for group in ("center", "mine") for name in FILTERS if not name.startswith("$")]


class Server:
    """Mosquitto with the deployed configuration, moved into a folder and to a free port."""

    def __init__(self, folder: Path, pki: Path, roles: Path | None = None) -> None:
        """`roles`: let the dynamic security plugin decide by these, instead of the list."""
        assert MOSQUITTO, "mosquitto is not installed; tests/peers/install.sh installs it"
        self.pki = pki
        self.port = free_port()
        text = (DEPLOY / "mosquitto.conf").read_text()
        assert "listener 8883\n" in text
        text = text.replace("listener 8883\n", f"listener {self.port} 127.0.0.1\n")
        text = text.replace("/etc/mosquitto/posdiag/acl", str(DEPLOY / "acl"))
        text = text.replace("/etc/mosquitto/posdiag/", f"{pki}/").replace("/var/lib/mosquitto/", f"{folder}/")
        if roles is not None:
            plugin = f"plugin {PLUGIN}\nplugin_opt_config_file {roles}"
            text = text.replace(f"acl_file {DEPLOY / 'acl'}", plugin)
            assert plugin in text
        config = folder / "mosquitto.conf"
        config.write_text(text + "user root\nlog_type none\n")
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL)
        wait_until(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def context(self, name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.pki / "ca.pem"))
        folder = self.pki if name.startswith("center") else self.pki / "terminals"
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        return context


class Peer:
    """A client with somebody's certificate; `heard` holds (topic, payload, retained)."""

    def __init__(
        self, server: Server, name: str, *, v5: bool = True, client_id: str = "", keep: bool = False, **will: Any
    ) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self.disconnects: list[int] = []
        self.granted: list[int] = []
        self._v5 = v5
        self._subscribed = threading.Semaphore(0)
        self._connected = threading.Event()
        protocol = paho.MQTTv5 if v5 else paho.MQTTv311
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=client_id or name,
            protocol=protocol,
            clean_session=None if v5 else not keep,
            reconnect_on_failure=False,
        )
        self.client.tls_set_context(server.context(name))
        if will:
            self.client.will_set(qos=1, **will)
        self.client.on_connect = lambda *_: self._connected.set()
        self.client.on_subscribe = self._on_subscribe
        self.client.on_disconnect = lambda _client, _data, _flags, reason, _properties: self.disconnects.append(
            reason.value
        )
        self.client.on_message = lambda _client, _data, message: self.heard.append(
            (message.topic, bytes(message.payload), message.retain)
        )
        self.acks: dict[int, int] = {}
        self.client.on_publish = lambda _client, _data, mid, reason, _properties: self.acks.__setitem__(
            mid, reason.value
        )
        self._options: dict[str, Any] = {}
        if v5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 600 if keep else 0
            self._options = {"clean_start": not keep, "properties": properties}
        self._server = server

    def __enter__(self) -> Self:
        self.client.connect("127.0.0.1", self._server.port, 60, **self._options)
        self.client.loop_start()
        assert self._connected.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _on_subscribe(self, _client: paho.Client, _data: object, _mid: int, reasons: list[Any], _more: object) -> None:
        self.granted += [reason.value for reason in reasons]
        self._subscribed.release()

    def subscribe(self, *filters: str) -> None:
        rows = [(name, SubscribeOptions(qos=1) if self._v5 else 1) for name in filters]
        self.client.subscribe(rows)
        assert self._subscribed.acquire(timeout=30)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """The broker's reason; 0 for accepted."""
        sent = self.client.publish(topic, payload, qos=1, retain=retain)
        return wait_until(lambda: self.acks.get(sent.mid, -1) + 1) - 1

    def topics(self) -> set[str]:
        return {topic for topic, _, _ in list(self.heard)}

    def wait_for(self, payload: bytes) -> None:
        wait_until(lambda: any(each[1] == payload for each in list(self.heard)))

    def break_off(self) -> None:
        """End the connection without a word, so that the will speaks."""
        self.client.socket().shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority") / "pki"
    assert main(["pki", "init", str(folder)]) == 0
    assert main(["pki", "terminal", str(folder), A, B, TOPICS.terminal]) == 0
    return folder


@pytest.fixture
def server(tmp_path: Path, pki: Path) -> Iterator[Server]:
    server = Server(tmp_path, pki)
    yield server
    server.kill()


def both_ways(server: Server, stack: ExitStack) -> tuple[Peer, Peer]:
    """The center, which hears everything below pos/, and terminal B."""
    center = stack.enter_context(Peer(server, "center"))
    center.subscribe("pos/#")
    return center, stack.enter_context(Peer(server, B))


@pytest.mark.parametrize("v5", [True, False], ids=["5", "3.1.1"])
@pytest.mark.parametrize("retain", [False, True], ids=["passing", "retained"])
def test_a_terminal_writes_what_is_its_own_and_nothing_else(server: Server, v5: bool, retain: bool) -> None:
    with ExitStack() as stack:
        center, _ = both_ways(server, stack)
        a = stack.enter_context(Peer(server, A, v5=v5))
        for topic in (*FOREIGN, *OWN_BUT_NOT_TO_WRITE):
            reason = a.publish(topic, b"forged", retain=retain)
            assert reason == (NOT_AUTHORISED if v5 else 0), topic  # 3.1.1 has no word for it
        for suffix in UP:
            assert a.publish(of(A, suffix), b"mine", retain=retain) == 0
        wait_until(lambda: center.topics() >= {of(A, suffix) for suffix in UP})
        assert {payload for _, payload, _ in center.heard} == {b"mine"}
        assert center.topics() == {of(A, suffix) for suffix in UP}
        late = stack.enter_context(Peer(server, "center"))  # the same name: it takes the first one's place
        late.subscribe("pos/#")
        a.publish(of(A, "live"), b"end")
        late.wait_for(b"end")
        kept = {topic for topic, _, retained in late.heard if retained}
        assert kept == ({of(A, suffix) for suffix in UP} if retain else set())


def test_a_terminal_cannot_take_away_what_another_one_left(server: Server) -> None:
    with ExitStack() as stack:
        center, b = both_ways(server, stack)
        for suffix in UP:
            b.publish(of(B, suffix), b"of b", retain=True)
        center.publish(of(B, "config"), b"of center", retain=True)
        a = stack.enter_context(Peer(server, A))
        for suffix in (*UP, "config"):
            assert a.publish(of(B, suffix), b"", retain=True) == NOT_AUTHORISED
    with Peer(server, "center") as late:
        late.subscribe("pos/#")
        wait_until(lambda: late.topics() >= {of(B, suffix) for suffix in (*UP, "config")})


@pytest.mark.parametrize("v5", [True, False], ids=["5", "3.1.1"])
@pytest.mark.parametrize("filters", [FILTERS, SHARED], ids=["plain", "shared"])
def test_a_terminal_reads_what_is_for_it_and_nothing_else(server: Server, v5: bool, filters: list[str]) -> None:
    """Before and after it subscribed, retained or passing, and what comes while it is away."""
    mine = {of(A, suffix) for suffix in DOWN} | {of("all", "command"), of("center", "c1/state")}

    def everybody_speaks(center: Peer, b: Peer, *, retain: bool) -> None:
        for suffix in UP:
            assert b.publish(of(B, suffix), b"secret", retain=retain) == 0
        for suffix in (*UP, *DOWN):
            assert center.publish(of(B, suffix), b"secret", retain=retain) == 0
            assert center.publish(of(A, suffix, "other"), b"secret", retain=retain) == 0

    with ExitStack() as stack:
        center, b = both_ways(server, stack)
        everybody_speaks(center, b, retain=True)
        with Peer(server, A, v5=v5, keep=True) as a:
            a.subscribe(*filters)
            if filters is FILTERS:
                a.subscribe(*mine)
            everybody_speaks(center, b, retain=False)
            for suffix in UP:
                a.publish(of(A, suffix), b"own uplink")
            for topic in sorted(mine):
                center.publish(topic, b"for a")
            if filters is FILTERS:
                wait_until(lambda: a.topics() >= mine)
            a.publish(of(A, "live"), b"own uplink")  # the broker answers in order: what was on its way to A has come
            assert a.topics() <= mine
            assert {payload for _, payload, _ in a.heard} <= {b"for a"}
        everybody_speaks(center, b, retain=False)
        center.publish(of(A, "command"), b"waited")
        with Peer(server, A, v5=v5, keep=True) as again:
            if filters is FILTERS:
                again.wait_for(b"waited")
            again.subscribe(of(A, "case"))
            center.publish(of(A, "case"), b"end")
            again.wait_for(b"end")
            assert again.topics() <= mine
            assert {payload for _, payload, _ in again.heard} <= {
                b"for a",
                b"waited",
                b"end",
            }  # the first may come late


def test_a_will_is_published_only_on_topics_of_its_own(server: Server) -> None:
    with ExitStack() as stack:
        center, _ = both_ways(server, stack)
        for topic in (*FOREIGN, *OWN_BUT_NOT_TO_WRITE, of(A, "state")):
            for retain in (False, True):
                a = Peer(server, A, topic=topic, payload=f"will {retain}".encode(), retain=retain)
                try:
                    with a:
                        a.break_off()
                        wait_until(lambda a=a: a.disconnects)
                except AssertionError:  # a broker may also refuse the connection
                    assert topic != of(A, "state")
        wait_until(lambda: len(center.heard) == 2)
        assert center.topics() == {of(A, "state")}


def test_nobody_is_somebody_else_by_client_id_or_user_name(server: Server) -> None:
    with ExitStack() as stack:
        center, b = both_ways(server, stack)
        b.subscribe(of(B, "command"))
        intruder = Peer(server, A, client_id=B, keep=True)
        intruder.client.username_pw_set("center", "x")
        with intruder:
            intruder.subscribe(of(B, "command"), "pos/#")
            assert intruder.publish(of(B, "state"), b"forged") == NOT_AUTHORISED
            assert intruder.publish(of(A, "state"), b"as itself") == 0
            center.wait_for(b"as itself")
            center.publish(of(B, "command"), b"for b")
            b.wait_for(b"for b")
            center.publish(of(A, "command"), b"for a")
            intruder.wait_for(b"for a")
            assert intruder.topics() == {of(A, "command")}
        assert b.disconnects == []


def test_the_center_may_do_everything_below_its_prefix(server: Server) -> None:
    with ExitStack() as stack:
        center, b = both_ways(server, stack)
        b.subscribe(*(of(B, suffix) for suffix in DOWN), of("all", "command"), of("center", "+/state"))
        told = [*(of(B, suffix) for suffix in DOWN), of("all", "command"), of("center", "c1/state")]
        for topic in told:
            assert center.publish(topic, b"order") == 0
        wait_until(lambda: b.topics() == set(told))
        assert center.publish("elsewhere", b"x") == NOT_AUTHORISED


def test_the_agent_itself_lacks_nothing(server: Server, tmp_path: Path) -> None:
    own = server.pki / "terminals"
    files = {
        "ca_file": str(server.pki / "ca.pem"),
        "cert_file": str(own / f"{TOPICS.terminal}.pem"),
        "key_file": str(own / f"{TOPICS.terminal}.key"),
    }
    with Peer(server, "center") as center:
        center.subscribe("pos/#")
        with Agent(tmp_path, server.port, scheme="mqtts", **files) as agent:
            told = {"command", "config", "case", "all/command", "center/c1/state"}
            wait_until(lambda: agent.uplink.connected)
            agent.event(1)
            agent.uplink.publish_retained("fault/printer/paper_out", b"{}", "fault")
            agent.uplink.publish_retained("config/reported", b"{}", "config/reported")
            up = {TOPICS.of(suffix) for suffix in ("state", "event", "fault/printer/paper_out", "config/reported")}
            wait_until(lambda: center.topics() >= up)
            for suffix in told:
                center.publish(f"pos/1/demo/{suffix}" if "/" in suffix else TOPICS.of(suffix), b"{}")
            wait_until(lambda: {message.suffix for message in agent.incoming} == told)
            assert agent.uplink.status()["refused"] == 0
            assert agent.uplink.status()["refused_filters"] == []
        wait_until(lambda: b"test_over" in center.heard[-1][1])


@pytest.mark.parametrize(("guessed", "lost"), [(False, 0), (True, 5)], ids=["unguessable", "guessed"])
def test_a_shared_group_is_safe_as_long_as_its_name_is(server: Server, guessed: bool, lost: int) -> None:
    """Mosquitto does not check subscriptions: who knows the group's name takes its turns, though it reads nothing."""
    group = "center" if guessed else "center-5b0f4d1c9a7e4c2f8d3b6a1e0c9f7d24"
    with ExitStack() as stack:
        _, b = both_ways(server, stack)
        worker = stack.enter_context(Peer(server, "center"))
        a = stack.enter_context(Peer(server, A))
        a.subscribe("$share/center/pos/1/+/+/event", "pos/1/+/+/event")
        worker.subscribe(f"$share/{group}/pos/1/+/+/event", of(B, "health"))
        for number in range(10):
            b.publish(of(B, "event"), b"%d" % number)
        b.publish(of(B, "health"), b"end")
        worker.wait_for(b"end")
        events = [payload for topic, payload, _ in worker.heard if topic.endswith("/event")]
        assert len(events) == 10 - lost
        a.publish(of(A, "live"), b"end")  # the broker answers in order: what was on its way to A has come
        assert a.heard == []


def test_the_dynamic_security_plugin_refuses_who_joins_a_group(tmp_path: Path, pki: Path) -> None:
    """In the list's place, not beside it. Its patterns know no %u, so that each terminal needs a role of its own."""

    def role(name: str, topics: list[str]) -> dict[str, Any]:
        kinds = ("publishClientSend", "publishClientReceive", "subscribePattern")
        return {"rolename": name, "acls": [{"acltype": k, "topic": t, "allow": True} for k in kinds for t in topics]}

    names = {"center": ["pos/1/#", "$share/+/pos/1/#"], **{each: [f"pos/1/demo/{each}/#"] for each in (A, B)}}
    kept = {
        "defaultACLAccess": dict.fromkeys(("publishClientSend", "publishClientReceive", "subscribe"), False),
        "clients": [{"username": name, "roles": [{"rolename": name}]} for name in names],
        "roles": [role(name, topics) for name, topics in names.items()],
    }
    roles = tmp_path / "roles.json"
    roles.write_text(json.dumps(kept))
    server = Server(tmp_path, pki, roles)
    try:
        with Peer(server, A) as a, Peer(server, B) as b, Peer(server, "center") as worker:
            a.subscribe("$share/center/pos/1/+/+/event", "pos/1/+/+/event", of(A, "command"))
            assert a.granted == [NOT_AUTHORISED, NOT_AUTHORISED, 1]
            worker.subscribe("$share/center/pos/1/+/+/event", of(B, "health"))
            assert worker.granted == [1, 1]
            for number in range(10):
                assert b.publish(of(B, "event"), b"%d" % number) == 0
            b.publish(of(B, "health"), b"end")
            worker.wait_for(b"end")
            assert len([topic for topic, _, _ in worker.heard if topic.endswith("/event")]) == 10
    finally:
        server.kill()
