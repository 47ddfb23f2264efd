"""The whole demo: a shop of five terminals, their agents, and the support center with its pages."""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from pathlib import Path
from typing import Final

from simulator import demo_shop
from simulator.demo_center import USER, DemoCenter
from simulator.demo_parts import DemoError, Part, Parts, watching
from simulator.station import EVENT_FAMILY
from simulator.terminal import Terminal

_KNOWN_S: Final = 15.0
_LOOK_S: Final = 0.2
TOUR: Final = {
    "en": """
Open    {address}
Log in  {user}, {password}

A tour of five steps; type what is indented in a second terminal.
1  Log in and choose a password of your own. The five terminals of the corner shop sell.
2  Take the paper out of terminal 2, and watch the fault queue:
     {me} sim set {dir}/terminal-2 printer.paper=out
3  Open its case: acknowledge it, and say until when it is mended (ETA).
4  Open the merchant's page from the case. It shows what the shopkeeper sees: what to do now, and your ETA.
5  Put a roll in:
     {me} sim set {dir}/terminal-2 printer.paper=ok
   The printer passes its check, the center watches for {watch_s} s (half an hour is usual) and asks the merchant.
   Say on their page that it works again: the case is closed.

More to break: modem.sim=absent, reader.card=jammed, power.mains=off in {dir}/terminal-1; this shows every key:
     {me} sim get {dir}/terminal-1
The support center from the command line, with a token for a day:
     POSDIAG_CENTER_TOKEN=$({me} center token --config {config} --role viewer --days 1) \\
     {me} center terminals --url {url}
Ctrl-C ends everything.
""",
    "zh": """
打开  {address}
登录  {user}，{password}

五步导览；缩进的命令请在另一个终端窗口中输入。
1  登录并设置自己的密码。街角小店的五台终端都能收款。
2  取出 2 号终端的打印纸，观察故障队列：
     {me} sim set {dir}/terminal-2 printer.paper=out
3  打开该工单：点“接手”，并设定预计恢复时间。
4  从工单打开商户页面：店主看到的就是现在该做什么，以及您承诺的时间。
5  装入新纸：
     {me} sim set {dir}/terminal-2 printer.paper=ok
   打印机检测通过后，中心观察 {watch_s} 秒（通常为半小时），然后询问商户。
   在商户页面上确认已恢复：工单关闭。

还可以弄坏 {dir}/terminal-1 的 modem.sim=absent、reader.card=jammed、power.mains=off；列出所有项目：
     {me} sim get {dir}/terminal-1
用命令行查询客服中心，令牌一天有效：
     POSDIAG_CENTER_TOKEN=$({me} center token --config {config} --role viewer --days 1) \\
     {me} center terminals --url {url}
按 Ctrl-C 全部结束。
""",
}
_PASSWORD: Final = {
    "en": {True: "one-time password {}", False: "with the password that you chose; at first it was {}"},
    "zh": {True: "一次性密码 {}", False: "使用您设置的密码；最初为 {}"},
}


def run(args: argparse.Namespace, folder: Path, me: str) -> None:
    """Until the time is up. Raises DemoError."""
    with contextlib.ExitStack() as terminals, Parts(folder, args.language) as parts:
        center = DemoCenter(parts, folder / "center", args.language)
        url = parts.broker_at(args.broker, folder)
        center.start(url)
        _open_shop(parts, terminals, folder, url, demo_shop.of_agent(args.language, str(center.keys_file)))
        center.settle()
        parts.say(en=f"support center at {center.address}", zh=f"客服中心 {center.address}")
        if args.json:
            _tell_json(center, folder, url)
            with watching(url, as_json=True, seconds=args.seconds) as watcher:
                parts.stay(0, watcher)
            return
        password, is_first = center.password()
        password = _PASSWORD[args.language][is_first].format(password)
        facts = {
            "address": center.address,
            "url": center.address.rstrip("/"),
            "config": center.config,
            "user": USER,
            "password": password,
            "me": me,
            "dir": folder,
        }
        print(TOUR[args.language].format(**facts, watch_s=demo_shop.WATCH_S), flush=True)
        parts.stay(args.seconds)


def _open_shop(
    parts: Parts, terminals: contextlib.ExitStack, folder: Path, url: str, config: dict[str, dict[str, object]]
) -> None:
    """Every terminal and its agent, the agents side by side. Raises DemoError."""
    shop = []
    for till in demo_shop.TILLS:
        home = folder / till.name
        terminal = till.terminal(home, mqtt=url, config=config)
        try:
            terminals.enter_context(terminal)
        except OSError as error:
            raise DemoError(str(error)) from error
        status = home / "run" / "status.json"
        status.unlink(missing_ok=True)  # of an earlier demo in this folder
        agent = parts.start(f"agent of {till.name}", "run", "--config", str(home / "agent.toml"))
        shop.append((terminal, agent, status, till))
    for terminal, agent, status, till in shop:
        agent.wait(status.exists)
        _try_out(terminal, agent, status)
        parts.say(en=f"{till.name} and its agent: {till.what['en']}", zh=f"{till.name} 及其代理程序：{till.what['zh']}")


def _try_out(terminal: Terminal, agent: Part, status: Path) -> None:
    """As a cashier would in the morning, press a key, until the agent knows whether the terminal can sell."""
    end = time.monotonic() + _KNOWN_S
    while json.loads(status.read_text("utf-8"))["verdict"]["can_sell"] == "unknown" and time.monotonic() < end:
        agent.check()
        if terminal.families["keypad"] == EVENT_FAMILY:  # of its keys nothing is known before the first one moves
            terminal.set({"keypad.held": "1"})
            terminal.set({"keypad.held": "none"})
        time.sleep(_LOOK_S)


def _tell_json(center: DemoCenter, folder: Path, url: str) -> None:
    print(
        json.dumps(
            {
                "address": center.address,
                "user": USER,
                "one_time_password": center.password()[0],
                "broker": url,
                "dir": str(folder),
                "terminals": {till.name: str(folder / till.name) for till in demo_shop.TILLS},
            }
        ),
        flush=True,
    )
