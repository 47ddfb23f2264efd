"""A renewed certificate: the new one must connect before the old one goes, and a refused one stops nothing."""

from __future__ import annotations

import shutil
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from agent.cli import main
from agent.config import MqttConfig
from agent.credentials import AGAIN_S, Credentials
from tests.mqtt.agent import QUICK, Agent
from tests.mqtt.broker import Line, Observer, Rumqttd
from tests.wait import wait_until


class Shop:
    """An authority, a terminal's own folder with a pair from it, and a TLS line that demands such a pair."""

    def __init__(self, folder: Path) -> None:
        self.pki = folder / "pki"
        assert main(["pki", "init", str(self.pki)]) == 0
        assert main(["pki", "terminal", str(self.pki), "till-1"]) == 0
        self.cert, self.key = folder / "terminal.pem", folder / "terminal.key"
        shutil.copy(self.pki / "terminals/till-1.pem", self.cert)
        shutil.copy(self.pki / "terminals/till-1.key", self.key)
        self.next_cert, self.next_key = folder / "terminal.pem.next", folder / "terminal.key.next"
        self.files = {"ca_file": str(self.pki / "ca.pem"), "cert_file": str(self.cert), "key_file": str(self.key)}

    def renew(self, pki: Path | None = None) -> int:
        """The new certificate's serial number."""
        assert main(["pki", "renew", str(pki or self.pki), "till-1", "--beside", str(self.cert)]) == 0
        return serial(self.next_cert.read_bytes())

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pki / "server.pem", self.pki / "server.key")
        context.load_verify_locations(self.pki / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def in_force(self) -> int:
        return serial(self.cert.read_bytes())


class Door(Line):
    """A line that notes which certificates were shown on it."""

    def __init__(self, target: int, tls: ssl.SSLContext) -> None:
        self.shown: list[int] = []
        super().__init__(target, tls)

    def _accept(self) -> None:
        before = set(self._pairs)
        super()._accept()
        for sock in set(self._pairs) - before:
            if isinstance(sock, ssl.SSLSocket):
                self.shown.append(serial(ssl.DER_cert_to_PEM_cert(sock.getpeercert(binary_form=True)).encode()))


def serial(pem: bytes) -> int:
    return x509.load_pem_x509_certificate(pem).serial_number


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_renewed_pair_connects_first_and_then_takes_the_place_of_the_old_one(
    tmp_path: Path, shop: Shop, embedded: Rumqttd
) -> None:
    old = shop.in_force()
    patient = replace(QUICK, will_delay_s=30)  # two handshakes take time on a busy machine
    with (
        Door(embedded.port, shop.server()) as door,
        Observer(embedded.port) as observer,
        Agent(tmp_path, door.port, timing=patient, scheme="mqtts", **shop.files) as agent,
    ):
        wait_until(lambda: agent.uplink.connected)
        agent.event(1)
        new = shop.renew()
        assert shop.in_force() == old
        wait_until(lambda: shop.in_force() == new)
        assert door.shown == [old, new]
        assert not shop.next_cert.exists()
        assert not shop.next_key.exists()
        assert shop.key.stat().st_mode & 0o777 == 0o600
        wait_until(lambda: agent.uplink.connected)
        agent.event(2)
        wait_until(lambda: {body["data"]["n"] for body in observer.of("event")} == {1, 2})
        assert [body["status"] for body in observer.of("state") if body["status"] == "offline"] == []
        door.cut()
        wait_until(lambda: agent.uplink.status()["connects"] == 3)
        wait_until(lambda: len(door.shown) == 3)
        assert door.shown[2] == new
        assert door.resumed == 1, "being put in place changes nothing about the session"


def test_a_refused_pair_waits_and_the_old_one_goes_on_at_once(tmp_path: Path, shop: Shop, embedded: Rumqttd) -> None:
    old = shop.in_force()
    stranger = tmp_path / "stranger"
    assert main(["pki", "init", str(stranger)]) == 0
    assert main(["pki", "terminal", str(stranger), "till-1"]) == 0
    slow = replace(QUICK, floor_s=60, base_s=60, cap_s=60)  # whoever waits for the next attempt fails this test
    with (
        Door(embedded.port, shop.server()) as door,
        Agent(tmp_path, door.port, timing=slow, scheme="mqtts", **shop.files) as agent,
    ):
        wait_until(lambda: agent.uplink.connected)
        shop.renew(stranger)
        wait_until(lambda: agent.uplink.status()["attempts"] == 3)
        wait_until(lambda: agent.uplink.connected)
        assert door.shown == [old, old]
        assert shop.in_force() == old
        assert shop.next_cert.exists()
        shop.next_cert.unlink()
        shop.next_key.unlink()
        new = shop.renew()  # another pair is another chance
        wait_until(lambda: shop.in_force() == new)


def test_a_pair_that_was_there_at_the_start_is_tried_first(tmp_path: Path, shop: Shop, embedded: Rumqttd) -> None:
    new = shop.renew()
    with Door(embedded.port, shop.server()) as door, Agent(tmp_path, door.port, scheme="mqtts", **shop.files) as agent:
        wait_until(lambda: agent.uplink.connected)
        assert door.shown == [new]
        wait_until(lambda: shop.in_force() == new)


def test_a_folder_that_cannot_be_written_keeps_the_new_one_in_use(
    tmp_path: Path, shop: Shop, embedded: Rumqttd
) -> None:
    new = shop.renew()
    shop.cert.unlink()
    shop.cert.mkdir()  # not even root puts a file in its place
    with Door(embedded.port, shop.server()) as door, Agent(tmp_path, door.port, scheme="mqtts", **shop.files) as agent:
        wait_until(lambda: agent.uplink.connected)
        assert door.shown == [new]


class TestWithoutABroker:
    def setup_method(self) -> None:
        self.now = 0.0

    def credentials(self, shop: Shop) -> Credentials:
        return Credentials(MqttConfig(url="mqtts://b:1", **shop.files), lambda: self.now)

    def test_power_lost_between_the_two_renames(self, shop: Shop) -> None:
        new = shop.renew()
        shop.next_key.replace(shop.key)
        self.credentials(shop).context()
        assert shop.in_force() == new
        assert not shop.next_cert.exists()

    def test_a_certificate_without_its_key_changes_nothing(self, shop: Shop) -> None:
        old = shop.in_force()
        shop.renew()
        shop.next_key.unlink()
        self.credentials(shop).context()
        assert shop.in_force() == old
        assert shop.next_cert.exists()

    @pytest.mark.parametrize("content", [b"", b"no certificate"])
    def test_a_damaged_pair_is_not_used(self, shop: Shop, content: bytes) -> None:
        shop.renew()
        shop.next_cert.write_bytes(content)
        credentials = self.credentials(shop)
        credentials.context()
        credentials.accepted()
        assert shop.next_cert.read_bytes() == content
        assert shop.in_force() == serial((shop.pki / "terminals/till-1.pem").read_bytes())

    def test_a_refused_pair_is_tried_again_after_hours(self, shop: Shop) -> None:
        credentials = self.credentials(shop)
        first = credentials.context()
        assert credentials.context() is first, "one context for all, or no session is resumed"
        shop.renew()
        self.now = 10
        assert credentials.due()
        assert credentials.context() is not first
        assert credentials.failed("refused")
        assert not credentials.failed("refused"), "the old one is not doubted"
        credentials.context()
        for self.now in (100, AGAIN_S):
            assert not credentials.due()
        self.now = AGAIN_S + 20
        assert credentials.due()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("case", "said"), [("none", "it demands one"), ("foreign", "it does not know the authority that signed it")]
)
def test_a_broker_that_refuses_our_certificate_is_understood(
    tmp_path: Path, shop: Shop, embedded: Rumqttd, version: ssl.TLSVersion, case: str, said: str
) -> None:
    files = {**shop.files}
    if case == "none":
        files["cert_file"] = files["key_file"] = ""
    else:
        stranger = tmp_path / "stranger"
        assert main(["pki", "init", str(stranger)]) == 0
        assert main(["pki", "terminal", str(stranger), "till-1"]) == 0
        files |= {"cert_file": f"{stranger}/terminals/till-1.pem", "key_file": f"{stranger}/terminals/till-1.key"}
    server = shop.server()
    server.maximum_version = version
    with Line(embedded.port, server) as line, Agent(tmp_path, line.port, scheme="mqtts", **files) as agent:
        wait_until(lambda: said in agent.uplink.last_error)
        assert not agent.uplink.connected
