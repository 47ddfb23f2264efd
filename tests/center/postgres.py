"""Debian's PostgreSQL as a process of the tests: on loopback, in a directory of its own, without a password."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

from tests.mqtt.broker import free_port

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


class Postgres:
    """One server. As root it runs as the user `postgres`, for PostgreSQL refuses root."""

    def __init__(self, *, durable: bool = False) -> None:
        assert PROGRAMS, "Debian's package postgresql is not installed"
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self._directory = Path(tempfile.mkdtemp(prefix="posdiag-postgres-"))
        self._names = 0
        self.port = free_port()
        if self._as:
            shutil.chown(self._directory, "postgres")
        self._run("initdb", "--auth=trust", "--username=posdiag", "--encoding=UTF8", "--no-sync", "--locale=C")
        self._options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync={durable}"
        if any((PROGRAMS[-1].parent / "lib").glob("timescaledb.so")):
            self._options += " -c shared_preload_libraries=timescaledb -c max_worker_processes=0"  # ours does its work
        self.start()

    def _run(self, program: str, *words: str) -> None:
        command = [*self._as, str(PROGRAMS[-1] / program), "-D", str(self._directory / "data"), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=60)

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://posdiag@127.0.0.1:{self.port}/{name}"

    def create(self, template: str = "template0") -> str:
        """A new database like `template`; its name."""
        self._names += 1
        name = f"test_{self._names}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE {name} TEMPLATE "{template}"')
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected to it: a thousand of them would fill a small disk."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def start(self) -> None:
        """Start it; once it is back here it takes connections."""
        self._run("pg_ctl", "-w", "-o", self._options, "-l", str(self._directory / "log"), "start")

    def crash(self) -> None:
        """Stop it as a crash does: connections break, nothing is written any more."""
        self._run("pg_ctl", "-m", "immediate", "stop")

    def stop(self) -> None:
        """Stop it and remove its files."""
        self.crash()
        shutil.rmtree(self._directory)
