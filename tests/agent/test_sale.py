"""A sale is seen from the lock that the payment application holds, and never disturbs it."""

from __future__ import annotations

import fcntl
import subprocess
import sys

from agent.sale import SaleLock
from drivers import owner
from drivers.owner import look
from tests.wait import wait_until

HOLD = "import fcntl,sys,time; f=open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"


def test_a_sale_is_seen_while_another_process_holds_the_lock_and_no_longer(tmp_path):
    sale = SaleLock(tmp_path / "busy.lock")
    assert not sale.held()
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "busy.lock"], stdout=subprocess.PIPE) as app:
        assert app.stdout.readline() == b"held\n"
        wait_until(sale.held, 0.2)
        app.kill()
    wait_until(lambda: not sale.held(), 0.5)


KEEP = (
    "import fcntl,sys; f=open(sys.argv[1]); print('open', flush=True)\n"
    "for line in sys.stdin: fcntl.flock(f, int(line)); print('done', flush=True)"
)


def test_an_application_that_keeps_the_file_open_is_seen_at_each_sale(tmp_path):
    sale = SaleLock(tmp_path / "busy.lock")
    words = [sys.executable, "-c", KEEP, tmp_path / "busy.lock"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as app:
        assert app.stdout.readline() == "open\n"
        for _ in range(3):
            for lock, held in ((fcntl.LOCK_EX, True), (fcntl.LOCK_UN, False)):
                app.stdin.write(f"{lock}\n")
                assert app.stdout.readline() == "done\n"
                wait_until(lambda held=held: sale.held() is held, 0.2)
        app.stdin.close()
    wait_until(lambda: not sale.held(), 0.2)
    _holder, certain = look(str(tmp_path / "busy.lock"))
    # Nobody has it open, so nothing is read any more; unless that cannot be seen.
    wait_until(lambda: not sale.held() and sale._open is not certain, 5)


def test_an_application_that_is_hidden_from_us_is_seen_at_each_sale(tmp_path, monkeypatch):
    monkeypatch.setattr(owner, "scan", lambda _device, _asking: (None, False))  # what /proc shows of another user's
    monkeypatch.setattr(owner, "SERVICE", str(tmp_path / "nothing"))
    sale = SaleLock(tmp_path / "busy.lock")
    with (tmp_path / "busy.lock").open() as app:
        assert not sale.held()
        for lock, held in ((fcntl.LOCK_EX, True), (fcntl.LOCK_UN, False)) * 2:
            fcntl.flock(app, lock)
            wait_until(lambda held=held: sale.held() is held, 0.2)


def test_looking_takes_no_lock(tmp_path):
    sale = SaleLock(tmp_path / "busy.lock")
    for _ in range(200):
        sale._asked_at, sale._open = float("-inf"), True
        sale.held()
        with (tmp_path / "busy.lock").open() as app:
            fcntl.flock(app, fcntl.LOCK_EX | fcntl.LOCK_NB)
