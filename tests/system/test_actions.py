"""What commands do, how long they live, and what a power cut, a refusal at the terminal or a sale makes of them."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import io
import json
import socketserver
import ssl
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self

import pytest

from agent.upload import Refused, Upload
from agent.upload_address import check_url
from tests.mqtt.broker import Observer, Rumqttd
from tests.system.desk import GOOD, Desk, bare, make_key, states
from tests.system.stage import Agent, Sim, ask_socket, posdiag
from tests.wait import wait_until


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A command key's private file; the terminal's key set lies beside it."""
    return make_key(tmp_path_factory.mktemp("pki"))


def daemon(folder: Path, broker: Rumqttd, observer: Observer, key: Path, **more: Any) -> tuple[Path, Desk]:
    """A terminal without devices, not started, and a desk for it."""
    config = bare(folder, broker.port, key.parent / "keys.json", id=f"till-{folder.name}", **more)
    return config, Desk(Agent.__new__(Agent), observer, key)


@pytest.fixture
def till(folder: Path, broker: Rumqttd, observer: Observer, key: Path) -> Iterator[Desk]:
    config, desk = daemon(folder, broker, observer, key, add="[system]\npoll_s = 1\n")
    with Agent(config) as agent:
        desk.agent = agent
        agent.until(lambda status: status["connected"])
        yield desk


def consent(desk: Desk, *words: str) -> subprocess.CompletedProcess[str]:
    return posdiag("consent", *words, "--config", str(desk.agent.config), "--json")


def state_dir(desk: Desk) -> Path:
    return desk.agent.run_dir.parent / "state"


def decisions(desk: Desk) -> list[tuple[str, str]]:
    lines = (state_dir(desk) / "audit.jsonl").read_text().splitlines()
    return [(record["decision"], record.get("jti", "")) for record in map(json.loads, lines)]


# --- life


def test_too_many_are_refused_the_disruptive_ones_sooner(
    folder: Path, broker: Rumqttd, observer: Observer, key: Path
) -> None:
    config, desk = daemon(folder, broker, observer, key, per_minute=4, per_hour=1)
    with Agent(config) as desk.agent:
        desk.agent.until(lambda status: status["connected"])
        off = {"on": False}
        assert states(desk.life(desk.send(desk.body("maintenance", args=off, tier=2)))) == GOOD
        assert states(desk.life(desk.send(desk.body("maintenance", args=off, tier=2)))) == ["rejected"]
        lives = [desk.life(desk.send(desk.body("identify"))) for _ in range(4)]
        assert [states(each)[-1] for each in lives] == ["succeeded"] * 3 + ["rejected"]
        assert desk.refused()["rate"] == 2
        desk.agent.kill()
    with Agent(config) as desk.agent:  # a restart, which a thief of a key might bring about, gives no more
        desk.agent.until(lambda status: status["connected"])
        assert states(desk.life(desk.send(desk.body("identify")))) == ["rejected"]
        life = desk.life(desk.send(desk.body("maintenance", args=off, tier=2)))
        assert states(life) == ["rejected"]
        assert desk.refused()["rate"] == 2


def test_a_command_that_a_kill_cuts_short_ends_as_interrupted_and_never_runs_again(
    folder: Path, broker: Rumqttd, observer: Observer, key: Path
) -> None:
    config, desk = daemon(folder, broker, observer, key)
    with Agent(config) as desk.agent:
        desk.agent.until(lambda status: status["connected"])
        body = desk.body("live", args={"seconds": 60}, tier=1)
        desk.send(body)
        wait_until(lambda: states(desk.results(body["jti"])) == ["accepted", "running"], 20)
        desk.agent.kill()
    with Agent(config) as desk.agent:
        life = desk.life(body["jti"])
        assert states(life) == ["accepted", "running", "interrupted"]
        assert (life[-1]["code"], life[-1]["ms"] > 0) == (1, True)
        desk.send(body)
        wait_until(lambda: desk.refused().get("replayed") == 1, 20)
        assert desk.results(body["jti"]) == life
        assert decisions(desk)[:2] == [("accepted", body["jti"]), ("interrupted", body["jti"])]
    with Agent(config) as desk.agent:
        desk.agent.until(lambda status: status["connected"])
        assert desk.results(body["jti"]) == life  # told once
        assert desk.done(body["jti"]) == [{"id": body["jti"], "cmd": "live", "state": "interrupted"}]


def test_the_chain_holds_every_decision_and_health_tells_its_head(till: Desk) -> None:
    good = till.send(till.body("identify"))
    till.life(good)
    bad = till.send(till.body("identify", tier=2))
    till.life(bad)
    till.send(till.body("identify"), payload=b"forged")
    wait_until(lambda: till.refused().get("unsigned") == 1, 20)
    wait_until(lambda: decisions(till)[-1][0] == "ignored")
    assert decisions(till) == [("accepted", good), ("succeeded", good), ("rejected", bad), ("ignored", "")]
    head = till.facts()["health"]["audit"]
    lines = [json.loads(line) for line in (state_dir(till) / "audit.jsonl").read_text().splitlines()]
    assert head == {"n": 4, "head": lines[-1]["hash"]}
    told = posdiag("audit", "verify", "--config", str(till.agent.config), "--head", f"4:{head['head']}", "--json")
    assert (told.returncode, json.loads(told.stdout)["last"]) == (0, 4), told.stderr


def test_without_keys_all_is_refused_and_the_terminal_says_why(
    folder: Path, broker: Rumqttd, observer: Observer, key: Path, tmp_path: Path
) -> None:
    config, desk = daemon(folder, broker, observer, key)
    config.write_text(config.read_text().replace(str(key.parent), str(tmp_path)))
    with Agent(config) as desk.agent:
        desk.agent.until(lambda status: status["connected"])
        line = f"commands are refused: {tmp_path}/keys.json: no such file or directory"
        desk.agent.until(lambda status: line in status["problems"])
        command_id = desk.send(desk.body("identify"))
        wait_until(lambda: desk.refused().get("keys") == 1, 20)
        assert desk.results(command_id) == []


def test_a_terminal_that_cannot_write_down_what_it_does_does_nothing(till: Desk) -> None:
    (state_dir(till) / "audit.jsonl").mkdir()
    life = till.life(till.send(till.body("identify")))
    assert (states(life), "write down" in life[0]["error"]) == (["rejected"], True)
    assert till.refused()["unkept"] == 1
    (state_dir(till) / "audit.jsonl").rmdir()
    assert states(till.life(till.send(till.body("identify")))) == GOOD


def test_signature_checks_cannot_be_switched_off_beside_keys(folder: Path, key: Path) -> None:
    config = bare(folder, 1, key.parent / "keys.json")
    config.write_text(config.read_text().replace("[paths]", "commands = true\n[paths]"))
    refused = posdiag("run", "--config", str(config))
    assert refused.returncode == 2
    assert "unsigned commands are never taken beside signed ones" in refused.stderr


# --- consent and reboot


def test_a_reboot_waits_for_consent_and_is_told_by_the_next_boot(
    folder: Path, broker: Rumqttd, observer: Observer, key: Path
) -> None:
    ran = folder / "ran"
    program = folder / "reboot"
    program.write_text(f'#!/bin/sh\necho "$@" >> {ran}\n')
    program.chmod(0o700)
    boot_id = folder / "proc" / "sys" / "kernel" / "random" / "boot_id"
    boot_id.parent.mkdir(parents=True)
    boot_id.write_text("11111111-1111-4111-8111-111111111111\n")
    config, desk = daemon(folder, broker, observer, key, reboot=program)
    config.write_text(config.read_text().replace("[paths]\n", f'[paths]\nproc = "{folder}/proc"\n'))
    with Agent(config) as desk.agent:
        desk.agent.until(lambda status: status["connected"])
        command_id = desk.send(desk.body("reboot", tier=3))
        asked = desk.agent.until(lambda status: status["consent"])["consent"]
        assert [(each["id"], each["cmd"]) for each in asked] == [(command_id, "reboot")]
        assert f"posdiag consent give {command_id}" in posdiag("status", "--config", str(config)).stdout
        assert json.loads(consent(desk, "list").stdout)["waiting"] == asked
        assert consent(desk, "give", "another-one").returncode == 1
        assert not ran.exists()
        assert consent(desk, "give", command_id).returncode == 0
        wait_until(lambda: ran.exists() and ran.read_text().endswith("\n"))
        assert ran.read_text() == "now\n"
        wait_until(lambda: states(desk.results(command_id)) == ["accepted", "running"])
        before = desk.facts()["health"]["boot"]
    boot_id.write_text("22222222-2222-4222-8222-222222222222\n")
    with Agent(config) as desk.agent:
        life = desk.life(command_id)
        assert (states(life), life[-1]["output"]) == (GOOD, {"boot": before + 1})
        assert life[-1]["ms"] >= life[1]["ms"]
        assert desk.done(command_id) == [{"id": command_id, "cmd": "reboot", "state": "succeeded"}]
        assert ("consent.given", command_id) in decisions(desk)
    assert ran.read_text() == "now\n"


def test_a_reboot_that_only_restarted_the_agent_is_interrupted(till: Desk) -> None:
    command_id = till.send(till.body("reboot", tier=3))
    till.agent.until(lambda status: status["consent"])
    assert consent(till, "give", command_id).returncode == 0
    wait_until(lambda: not till.agent.status()["consent"])
    till.agent.kill()
    with Agent(till.agent.config):
        assert states(till.life(command_id)) == ["accepted", "running", "interrupted"]


def test_without_consent_nothing_is_restarted(folder: Path, broker: Rumqttd, observer: Observer, key: Path) -> None:
    config, desk = daemon(folder, broker, observer, key, consent_s=3, reboot="/bin/false")
    with Agent(config) as desk.agent:
        desk.agent.until(lambda status: status["connected"])
        life = desk.life(desk.send(desk.body("reboot", tier=3)))
        assert (states(life)[-1], life[-1]["error"]) == ("failed", "nobody at the terminal gave consent in time")
    config.write_text(config.read_text().replace("consent_s = 3\n", "consent_s = 120\n"))  # time for who decides
    with Agent(config) as desk.agent:
        desk.agent.until(lambda status: status["connected"])
        refused = desk.send(desk.body("reboot", tier=3))
        desk.agent.until(lambda status: status["consent"])
        assert consent(desk, "refuse", refused).returncode == 0
        assert desk.life(refused)[-1]["error"] == "refused at the terminal"
        given = desk.send(desk.body("reboot", tier=3))
        desk.agent.until(lambda status: status["consent"])
        with (desk.agent.run_dir / "busy.lock").open("w") as sale:
            fcntl.flock(sale, fcntl.LOCK_EX)
            assert consent(desk, "give", given).returncode == 0
            assert desk.life(given)[-1]["error"] == "a sale is going on"
        failed = desk.send(desk.body("reboot", tier=3))
        desk.agent.until(lambda status: status["consent"])
        consent(desk, "give", failed)
        assert desk.life(failed)[-1]["error"] == "/bin/false ended with 1"


# --- live, maintenance, recover


def test_live_sends_each_second_and_ends_by_itself(till: Desk) -> None:
    command_id = till.send(till.body("live", args={"seconds": 6}, tier=1))  # long enough for a busy machine
    wait_until(lambda: till.observer.of(f"{till.agent.base}/live") or till.observer.of("live"))
    other = till.life(till.send(till.body("live", args={"seconds": 3}, tier=1)))
    assert other[-1]["error"] == "a live session is going on"
    life = till.life(command_id)
    assert (states(life), life[-1]["output"]) == (GOOD, {"samples": 6, "unsent": 0})
    topic = f"{till.agent.base}/live"
    heard = wait_until(lambda: len(found := [h for h in till.observer.heard if h.topic == topic]) == 6 and found)
    assert [each.body["left_s"] for each in heard] == [5, 4, 3, 2, 1, 0]
    assert all(each.body["id"] == command_id for each in heard)
    assert any(name.startswith("system.") for each in heard for name in each.body["values"])
    for wrong in (
        {"seconds": 301},
        {"seconds": True},
        {"seconds": 3, "device": 1},
        {"seconds": 3, "device": "toaster"},
    ):
        assert states(till.life(till.send(till.body("live", args=wrong, tier=1))))[-1] == "failed"


def test_maintenance_is_told_in_the_state_survives_a_restart_and_ends_in_time(till: Desk) -> None:
    def told() -> str:
        topic = f"{till.agent.base}/state"
        return [h.body["status"] for h in till.observer.heard if h.topic == topic and h.body][-1]

    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
    on = {"on": True, "until": until, "reason": "new cutter"}
    assert states(till.life(till.send(till.body("maintenance", args=on, tier=2)))) == GOOD
    wait_until(lambda: told() == "maintenance")
    assert till.agent.until(lambda status: status["maintenance"])["maintenance"]["reason"] == "new cutter"
    assert till.agent.terminate()[0] == 0
    with Agent(till.agent.config) as till.agent:
        till.agent.until(lambda status: status["connected"])
        wait_until(lambda: told() == "maintenance")
        for wrong in ({"on": True}, {"on": True, "until": "soon"}, {"on": True, "until": "2020-01-01T00:00:00Z"}, {}):
            assert states(till.life(till.send(till.body("maintenance", args=wrong, tier=2))))[-1] == "failed"
        assert states(till.life(till.send(till.body("maintenance", args={"on": False}, tier=2)))) == GOOD
        wait_until(lambda: told() == "online")


def test_recover_uses_the_devices_own_way_and_never_during_a_sale(
    broker: Rumqttd, observer: Observer, folder: Path
) -> None:
    with (
        Sim(folder, broker.port) as sim,
        Agent(sim.write_config(add="[commands]\ndisruptive_per_hour = 60\n")) as agent,
    ):
        agent.until_healthy()
        desk = Desk(agent, observer)
        life = desk.life(desk.send(desk.body("recover", args={"device": "printer"}, tier=2)))
        assert "no recoverable error" in life[-1]["error"]
        sim.set(printer_cutter="error")
        agent.until(lambda status: status["faults"])
        life = desk.life(desk.send(desk.body("recover", args={"device": "printer"}, tier=2)))
        assert states(life) == GOOD, life
        assert life[-1]["output"]["device"] == "printer"
        assert desk.life(desk.send(desk.body("recover", tier=2)))[-1]["state"] == "failed"
        life = desk.life(desk.send(desk.body("recover", args={"device": "keypad"}, tier=2)))
        assert "no recovery of its own" in life[-1]["error"]
        with (agent.run_dir / "busy.lock").open("w") as sale:
            fcntl.flock(sale, fcntl.LOCK_EX)
            life = desk.life(desk.send(desk.body("recover", args={"device": "printer"}, tier=2)))
        assert (life[-1]["state"], life[-1]["error"]) == ("failed", "a sale is going on")
        assert "error" in ask_socket(agent.run_dir / "control.sock", {"cmd": "recover", "args": {"device": "printer"}})


# --- collect


class Depot:
    """An HTTPS server that takes uploads in parts and breaks as often as it is told to."""

    def __init__(self, folder: Path, pki: Path) -> None:
        self.got = b""
        self.total = 0
        self.breaks = 0
        self.asked: list[tuple[str, str]] = []
        self.digests: set[str] = set()
        self.answer = 0
        depot = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                depot.put(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / "server.pem", pki / "server.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, request: BaseHTTPRequestHandler) -> None:
        content_range = request.headers["Content-Range"]
        self.asked.append((request.path, content_range))
        self.digests.add(request.headers["Repr-Digest"])
        body = request.rfile.read(int(request.headers["Content-Length"] or 0))
        span, _, total = content_range.removeprefix("bytes ").partition("/")
        self.total = int(total)
        if self.answer:
            request.send_response(self.answer)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if self.breaks and span != "*":
            self.breaks -= 1
            self.got += body[:100]  # cut in the middle of a part
            request.close_connection = True
            request.connection.close()
            return
        if span != "*":
            first = int(span.partition("-")[0])
            assert first == len(self.got)
            self.got += body
        request.send_response(201 if len(self.got) == self.total else 308)
        if self.got and len(self.got) < self.total:
            request.send_header("Range", f"bytes=0-{len(self.got) - 1}")
        request.send_header("Content-Length", "0")
        request.end_headers()


def unpacked(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ca")
    assert posdiag("pki", "init", str(folder)).returncode == 0
    return folder


def test_a_bundle_is_uploaded_whole_after_breaks(
    folder: Path, broker: Rumqttd, observer: Observer, key: Path, authority: Path
) -> None:
    with Depot(folder, authority) as depot:
        add = f'upload_hosts = ["localhost:{depot.port}"]\nupload_ca_file = "{authority}/ca.pem"\n'
        config, desk = daemon(folder, broker, observer, key, add=add)
        with Agent(config) as desk.agent:
            desk.agent.until(lambda status: status["connected"])
            depot.breaks = 2
            url = f"https://localhost:{depot.port}/one-time/abc?sig=1"
            life = desk.life(desk.send(desk.body("collect", args={"url": url})))
            assert states(life)[:2] == ["accepted", "running"]
            assert states(life)[-1] == "succeeded", life
            progress = [each["output"] for each in life if each["state"] == "running" and "output" in each]
            assert progress[-1] == {"sent": depot.total, "total": depot.total}
            digest = hashlib.sha256(depot.got)
            assert life[-1]["output"] == {"size": len(depot.got), "sha256": digest.hexdigest(), "breaks": 2}
            assert depot.digests == {f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"}, "told with each part"
            assert {path for path, _ in depot.asked} == {"/one-time/abc?sig=1"}
            assert ("/one-time/abc?sig=1", f"bytes */{depot.total}") in depot.asked
            content = unpacked(depot.got)
            assert {f"posdiag/{name}" for name in ("status.json", "health.json", "config.json", "log.txt", "audit.jsonl", "versions.json", "manifest.json")} <= content.keys()  # fmt: skip
            assert json.loads(content["posdiag/status.json"])["terminal"] == config.parent.name.join(("till-", ""))
            sums = json.loads(content["posdiag/manifest.json"])["sha256"]
            assert {f"posdiag/{n}": s for n, s in sums.items()} == {
                n: hashlib.sha256(data).hexdigest() for n, data in content.items() if "manifest" not in n
            }
            depot.answer = 410
            life = desk.life(desk.send(desk.body("collect", args={"url": url})))
            assert life[-1]["error"] == "the server answered 410"


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "http://localhost:1/x",
        "https://localhost/x",
        "https://elsewhere.test:8443/x",
        "https://user@localhost:8443/x",
        "https://localhost:8443@elsewhere.test/x",
        "https://localhost:8443.elsewhere.test/x",
        "file:///etc/passwd",
        "https://localhost:8443/a b",
        "https://localhost:8443/a\r\nHost: x",
    ],
)
def test_a_bundle_goes_nowhere_else(url: object) -> None:
    with pytest.raises(ValueError):
        check_url(url, ("localhost:8443",))
    assert check_url("https://localhost:8443/x?y=1", ("localhost:8443",)).path == "/x"
    assert check_url("https://depot.test/x", ("depot.test",)).hostname == "depot.test"


def test_a_server_with_another_certificate_gets_nothing(
    authority: Path, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.upload._FIRST_WAIT_S", 60.0)  # no time for another attempt, and enough for this
    assert posdiag("pki", "init", str(tmp_path / "other")).returncode == 0
    with Depot(folder, tmp_path / "other") as depot:
        url = check_url(f"https://localhost:{depot.port}/x", (f"localhost:{depot.port}",))
        upload = Upload(url, f"{authority}/ca.pem", b"secret", time.monotonic() + 30, lambda _sent, _total: None)
        with pytest.raises(Refused, match="certificate is not accepted"):
            upload.run()
        assert (depot.got, depot.asked) == (b"", [])


def test_the_same_bundle_is_written_at_the_terminal_with_and_without_a_daemon(till: Desk, tmp_path: Path) -> None:
    out = tmp_path / "b.tar.gz"
    words = ("bundle", "--config", str(till.agent.config), "--out", str(out), "--json")
    made = posdiag(*words)
    assert (made.returncode, json.loads(made.stdout)["bytes"]) == (0, out.stat().st_size), made.stderr
    assert out.stat().st_mode & 0o777 == 0o600
    assert json.loads(unpacked(out.read_bytes())["posdiag/status.json"])["estate"] == "demo"
    assert "watching 0 devices" in unpacked(out.read_bytes())["posdiag/log.txt"].decode()
    till.agent.terminate()
    assert posdiag(*words).returncode == 0
    content = unpacked(out.read_bytes())
    assert "posdiag/status.json" not in content
    assert b"no daemon" in content["posdiag/log.txt"]
    assert posdiag(*words[:3], "--out", str(tmp_path / "no" / "b")).returncode == 2
