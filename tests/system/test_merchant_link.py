"""From the center to paper: the link of the merchant's page, scanned off the slip that a real terminal printed."""

from __future__ import annotations

from pathlib import Path

import httpx
import zxingcpp
from PIL import Image

from tests.mqtt.broker import Rumqttd, free_port
from tests.system.stage import Agent, Process, Sim, posdiag
from tests.wait import wait_until

PUBLIC = "https://pos.example.org"


def test_a_phone_reads_the_merchants_page_off_the_slip(folder: Path, broker: Rumqttd) -> None:
    (folder / "policy.toml").write_text("[open_s]\ncritical = 1\nmajor = 1\nmerchant = 1\n")
    at = f"127.0.0.1:{free_port()}"
    settings = folder / "center.toml"
    settings.write_text(
        f'db = "sqlite:///{folder}/center.db"\nmqtt = "mqtt://127.0.0.1:{broker.port}"\nhttp = "{at}"\n'
        f'policy_file = "{folder}/policy.toml"\npublic_url = "{PUBLIC}/"\nalone = true\ngroup = "link"\n'
    )
    with (
        Process(folder / "center.log", "center", "run", "--config", str(settings)),
        Sim(folder / "till", broker.port) as sim,
        Agent(sim.write_config(add='[support]\npages = ["pos.example.org"]\n')) as agent,
    ):
        agent.until(lambda status: status["connected"])
        sim.set(reader_card="jammed")
        told = agent.until(lambda status: status["case"].get("link"), 60)["case"]
        assert told["link"].startswith(f"{PUBLIC}/m/")
        assert told["link"] in posdiag("status", "--config", str(agent.config)).stdout

        printed = wait_until(lambda: (done := posdiag("slip", "--config", str(agent.config))).returncode == 0 and done)
        assert printed.stderr == ""
        picture = folder / "slip.png"
        assert posdiag("sim", "slip", str(sim.folder), "--png", str(picture)).returncode == 0
        with Image.open(picture) as image:
            codes = [found.text for found in zxingcpp.read_barcodes(image)]
        assert sorted(code.split("-")[0][:8] for code in codes) == ["POSDIAG1", "https://"]
        assert told["link"] in codes
        page = httpx.get(told["link"].replace(PUBLIC, f"http://{at}"), timeout=30)
        assert (page.status_code, told["case"] in page.text) == (200, True)
