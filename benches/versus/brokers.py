"""The servers that are compared: Milena, Apache Kafka, and the floor, a process that is no broker.

They are started with what their users get: Milena with its defaults, Kafka with the server.properties of its distribution
and the options of its own start script. Each has a pid, and from it CPU time, memory, threads and open files.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("MILENA_CLIENTS_CACHE", str(pathlib.Path.home() / ".cache" / "milena-clients"))
sys.path.insert(0, str(ROOT / "tests" / "clients"))
import kafka  # noqa: E402
import servers  # noqa: E402

# Size, ApiVersions 0, correlation id 1, no client id.
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
# What kafka-server-start.sh of the distribution gives the JVM.
JVM_OPTIONS = ["-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
               "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15",
               "-Djava.awt.headless=true"]
# Deleted topics of one load must not be written back to the disk during the next.
KAFKA_OVERRIDES = ["log.segment.delete.delay.ms=1000"]


class Process:
    """A child with a pid, and what the system knows of it."""

    process = None

    @property
    def pid(self):
        return self.process.pid

    def cpu_ns(self):
        """User + system time of all its threads, those that ended included, in nanoseconds (CLOCK of another process)."""
        return time.clock_gettime_ns((~self.pid << 3) | 2)

    def user_and_system_ns(self):
        """The same in its two parts, which the kernel tells in ticks of ten milliseconds."""
        words = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        return int(words[11]) * tick_ns, int(words[12]) * tick_ns

    def status(self, key):
        line = next(line for line in open(f"/proc/{self.pid}/status") if line.startswith(f"{key}:"))
        return int(line.split()[1])

    def resident_kib(self):
        return self.status("VmRSS")

    def threads(self):
        return self.status("Threads")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def end(self, number=signal.SIGTERM, seconds=120):
        """Sends the signal; milliseconds until it was gone."""
        if not self.alive():
            return 0.0
        begun = time.perf_counter()
        self.process.send_signal(number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"{self.name} did not stop within {seconds} s, see {self.directory}/server.log") from None
        return (time.perf_counter() - begun) * 1000


class Broker(Process):
    """What both brokers share."""

    def __init__(self, directory, overrides=()):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        # key=value beyond the defaults, when a figure says so.
        self.overrides = list(overrides)
        self.port = servers.free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.data = self.directory / "data"

    def spawn(self):
        """Starts it and does not wait; when that was. `prepare` was called before."""
        with open(self.directory / "server.log", "ab") as log:
            begun = time.perf_counter()
            self.process = subprocess.Popen(self.command(), cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        return begun

    def start(self, seconds=120):
        """Starts it; milliseconds from there to its first answered request."""
        self.prepare()
        begun = self.spawn()
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 10) as client:
                    client.sendall(API_VERSIONS)
                    if client.recv(4):
                        return (time.perf_counter() - begun) * 1000
            except OSError:
                pass
            if self.process.poll() is not None or time.perf_counter() - begun > seconds:
                self.end(signal.SIGKILL)
                raise RuntimeError(f"{self.name} did not answer, see {self.directory}/server.log")
            time.sleep(0.0002 if self.name == "milena" else 0.005)

    def prepare(self):
        self.data.mkdir(parents=True, exist_ok=True)

    def discard(self):
        """Stops it at once and removes its files."""
        self.end(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


class Milena(Broker):
    name = "milena"
    # Settings that are tried out; a comparison has none.
    overrides = ()

    @staticmethod
    def binary():
        return servers.Milena.install()

    def command(self):
        tried = [word for override in self.overrides for word in ("--override", override)]
        return [str(self.binary()), "serve", "--override", f"listeners=PLAINTEXT://{self.address}",
                "--override", f"log.dirs={self.data}", *tried]


class Kafka(Broker):
    name = "kafka"

    def prepare(self):
        super().prepare()
        names = {"port": self.port, "controller": self.port + 1, "data": self.data}
        properties = {key: value.format(**names) for key, value in kafka.PROPERTIES.items()}
        properties.update(override.split("=", 1) for override in [*KAFKA_OVERRIDES, *self.overrides])
        self.config = self.directory / "server.properties"
        self.config.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        if (self.data / "meta.properties").exists():
            return
        cluster = subprocess.run(kafka.java("kafka.tools.StorageTool", "random-uuid"), check=True, capture_output=True,
                                 text=True).stdout.strip()
        subprocess.run(kafka.java("kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c",
                                  str(self.config)), check=True, capture_output=True)

    def command(self):
        java, *rest = kafka.java("kafka.Kafka", str(self.config), level="INFO")
        return [java, *JVM_OPTIONS, *rest]


class Bare(Process):
    """A server of the load program: `floor` or `relay`. It ends with this process."""

    def __init__(self, name, load, directory):
        self.name, self.directory = name, pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen([load, name, f"dir={directory}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, start_new_session=True)
        self.address = f"127.0.0.1:{json.loads(self.process.stdout.readline())['port']}"

    def discard(self):
        self.end(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


BROKERS = {"milena": Milena, "kafka": Kafka}
