"""The two servers that the suites run against, with one interface: start, stop (SIGTERM), kill (SIGKILL), data_dir.

A server keeps its port and directory over restarts, so that clients find it again.
"""
import os
import pathlib
import signal
import socket
import subprocess
import time

import kafka

ROOT = pathlib.Path(__file__).resolve().parents[2]


def free_port():
    """A free port whose successor is free as well (Kafka's controller takes that one)."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
                return port
            except (OSError, OverflowError):
                continue


class Server:
    """What both servers share."""

    def __init__(self, directory, overrides=()):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.overrides = list(overrides)
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.data_dir = self.directory / "data"
        self.log = self.directory / "server.log"


class Milena(Server):
    """The broker of this repository, from `$MILENA_BIN` or target/release/milena."""

    name = "milena"
    process = None

    @staticmethod
    def install():
        """Where the binary is; an error says how to get one."""
        binary = pathlib.Path(os.environ.get("MILENA_BIN", ROOT / "target" / "release" / "milena"))
        if not binary.exists():
            raise RuntimeError(f"{binary} is not there: cargo build --release, or set MILENA_BIN")
        return binary

    def start(self):
        command = [str(self.install()), "serve", "--override", f"listeners=PLAINTEXT://{self.bootstrap}",
                   "--override", f"log.dirs={self.data_dir}"]
        for override in self.overrides:
            command += ["--override", override]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        deadline = time.monotonic() + 30
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"milena ended with status {self.process.returncode}, see {self.log}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    self.kill()
                    raise RuntimeError(f"milena did not open its port, see {self.log}") from None
                time.sleep(0.02)

    def _end(self, number, seconds):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"milena did not stop within {seconds} s, see {self.log}") from None

    def stop(self):
        self._end(signal.SIGTERM, 30)

    def kill(self):
        self._end(signal.SIGKILL, 10)


class Kafka(Server):
    """Apache Kafka, as kafka.py runs it."""

    name = "kafka"
    started = False

    @staticmethod
    def install():
        return kafka.installed()

    def start(self):
        kafka.start(self.port, self.directory, self.overrides)
        self.started = True

    def stop(self):
        if self.started:
            kafka.stop(self.directory, "TERM")
        self.started = False

    def kill(self):
        if self.started:
            kafka.stop(self.directory, "KILL")
        self.started = False


SERVERS = {"milena": Milena, "kafka": Kafka}
