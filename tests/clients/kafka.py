#!/usr/bin/env python3
"""Run one Apache Kafka broker (KRaft, combined mode) from its Maven artifacts.

It is the reference that these tests were written against, and the peer of benches/versus.

    kafka.py install                          fetch the jars, print the class path
    kafka.py start --port P --dir D [--override key=value]... [--heap 1g]
                                              format D when it is empty, start, wait until it answers, print the pid
    kafka.py stop  --dir D [--signal TERM|KILL]
    kafka.py tool  CLASS [arguments...]       run a class of Kafka's own tools

D gets `server.properties`, `data/` (log.dirs), `server.log` and `pid`. The controller listens on P+1. The
properties are those of the quick-start file of Kafka's own distribution, apart from addresses and directories.
"""
import argparse
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

VERSION = os.environ.get("KAFKA_VERSION", "4.3.1")
ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("MILENA_CLIENTS_CACHE", ROOT / "target" / "clients"))

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>clients</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{v}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{v}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version></dependency>
  </dependencies>
</project>
"""

LOG4J = """<Configuration status="ERROR">
  <Appenders><Console name="out" target="SYSTEM_ERR"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders>
  <Loggers><Root level="{level}"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""

# Values of config/server.properties of the 4.3 distribution, so that the reference is what a user gets.
PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.bootstrap.servers": "127.0.0.1:{controller}",
    "listeners": "PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
    "inter.broker.listener.name": "PLAINTEXT",
    "advertised.listeners": "PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map":
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
    "num.network.threads": "3",
    "num.io.threads": "8",
    "socket.send.buffer.bytes": "102400",
    "socket.receive.buffer.bytes": "102400",
    "socket.request.max.bytes": "104857600",
    "log.dirs": "{data}",
    "num.partitions": "1",
    "num.recovery.threads.per.data.dir": "1",
    "offsets.topic.replication.factor": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "log.retention.hours": "168",
    "log.segment.bytes": "1073741824",
    "log.retention.check.interval.ms": "300000",
}


def installed():
    """The class path (a directory wildcard) of Kafka's jars, fetched when they are not there yet."""
    home = CACHE / f"kafka-{VERSION}"
    jars = home / "jars"
    if not (home / "complete").exists():
        if not shutil.which("mvn"):
            raise RuntimeError("needs mvn to fetch Kafka's jars")
        home.mkdir(parents=True, exist_ok=True)
        (home / "pom.xml").write_text(POM.format(v=VERSION))
        subprocess.run(
            ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={jars}"],
            cwd=home, check=True, capture_output=True)
        for level in ("INFO", "ERROR"):
            (home / f"log4j2-{level}.xml").write_text(LOG4J.format(level=level))
        (home / "complete").touch()
    return f"{jars}/*"


def java(class_name, *arguments, level="ERROR", heap=None):
    """The command line that runs a class of the jars."""
    classpath = installed()
    log4j = CACHE / f"kafka-{VERSION}" / f"log4j2-{level}.xml"
    heap = [f"-Xmx{heap}", f"-Xms{heap}"] if heap else []
    return ["java", *heap, f"-Dlog4j2.configurationFile={log4j}", "-cp", classpath, class_name, *arguments]


def start(port, directory, overrides=(), heap="1g", timeout=90):
    """Format the directory when it is empty, start the broker, and come back when it answers. Returns the pid."""
    directory = pathlib.Path(directory).resolve()
    data = directory / "data"
    data.mkdir(parents=True, exist_ok=True)
    names = {"port": port, "controller": port + 1, "data": data}
    properties = {key: value.format(**names) for key, value in PROPERTIES.items()}
    for override in overrides:
        key, _, value = override.partition("=")
        properties[key] = value
    config = directory / "server.properties"
    config.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    if not (data / "meta.properties").exists():
        cluster = subprocess.run(java("kafka.tools.StorageTool", "random-uuid"), check=True, capture_output=True,
                                 text=True).stdout.strip()
        subprocess.run(java("kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", str(config)),
                       check=True, capture_output=True)
    with open(directory / "server.log", "ab") as log:
        process = subprocess.Popen(java("kafka.Kafka", str(config), level="INFO", heap=heap), cwd=directory,
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (directory / "pid").write_text(str(process.pid))
    deadline = time.monotonic() + timeout
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"Kafka ended with status {process.returncode}, see {directory}/server.log")
        try:
            # The listener opens once the broker is registered and unfenced, so a connection is the ready signal.
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process.pid
        except OSError:
            if time.monotonic() > deadline:
                process.kill()
                raise RuntimeError(f"Kafka did not open its port, see {directory}/server.log") from None
            time.sleep(0.2)


def stop(directory, name="TERM", timeout=60):
    """Send the signal to the broker started in this directory and wait until it is gone."""
    pid = int((pathlib.Path(directory) / "pid").read_text())
    try:
        os.kill(pid, getattr(signal, f"SIG{name}"))
    except ProcessLookupError:
        return
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return
        except ChildProcessError:
            pass
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise RuntimeError(f"Kafka (pid {pid}) did not stop within {timeout} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install")
    started = commands.add_parser("start")
    started.add_argument("--port", type=int, required=True)
    started.add_argument("--dir", required=True)
    started.add_argument("--override", action="append", default=[])
    started.add_argument("--heap", default="1g")
    stopped = commands.add_parser("stop")
    stopped.add_argument("--dir", required=True)
    stopped.add_argument("--signal", default="TERM")
    tool = commands.add_parser("tool")
    tool.add_argument("class_name")
    tool.add_argument("arguments", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    if asked.command == "install":
        print(installed())
    elif asked.command == "start":
        print(start(asked.port, asked.dir, asked.override, asked.heap))
    elif asked.command == "stop":
        stop(asked.dir, asked.signal)
    else:
        sys.exit(subprocess.run(java(asked.class_name, *asked.arguments)).returncode)


if __name__ == "__main__":
    main()
