"""What each suite needs, how it is installed, and the command that runs it.

A function here returns (command, environment); it raises Missing with a sentence when this machine cannot run it.
Everything is kept under the cache directory, so that a second run installs nothing.
"""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

import kafka

HERE = pathlib.Path(__file__).resolve().parent
SUITES_DIR = HERE / "suites"
CACHE = kafka.CACHE

PYTHON_PACKAGES = ["confluent-kafka==2.16.1", "kafka-python==3.0.12", "aiokafka==0.14.0", "lz4==4.4.5", "python-snappy==0.7.3",
                   "zstandard==0.25.0", "cramjam==2.14.0"]
KAFKAJS = "2.2.4"

# Settings of the server that a suite needs; the rest are the server's own.
# Sessions end soon enough to be waited for.
QUICK_GROUPS = ["group.initial.rebalance.delay.ms=0", "group.consumer.min.session.timeout.ms=6000",
                "group.consumer.session.timeout.ms=6000", "group.consumer.min.heartbeat.interval.ms=500",
                "group.consumer.heartbeat.interval.ms=500"]
OVERRIDES = {
    **dict.fromkeys(["groups", "java", "franz-go", "sarama", "kafkajs", "kafka-python", "aiokafka"], QUICK_GROUPS),
    "durability": ["log.segment.bytes=1048576"],
    # Dirt is looked for, and old files go, while somebody waits.
    "compaction": ["log.cleaner.backoff.ms=300", "log.segment.delete.delay.ms=500",
                   "log.retention.check.interval.ms=1000", "log.initial.task.delay.ms=500"],
    # Records of 1970 are asked for here, before retention may look at them. The rest is what Kafka's own file of
    # properties says, so that the same keys come from a file.
    "ask": ["group.initial.rebalance.delay.ms=0", "log.initial.task.delay.ms=3600000", "log.retention.hours=168",
            "log.segment.bytes=1073741824", "num.partitions=1", "log.retention.check.interval.ms=300000"],
}


class Missing(Exception):
    """This machine lacks something that cannot be installed from here."""


def needs(program):
    if not shutil.which(program):
        raise Missing(f"needs {program}")


def quiet(command, **options):
    """Run an installer without its chatter; the error of a failure carries what it said."""
    subprocess.run(command, check=True, capture_output=True, **options)


def build(command, **options):
    """Compile a suite's own sources: everything it needs is there, so a failure is the suite's."""
    try:
        quiet(command, **options)
    except subprocess.CalledProcessError as error:
        raise RuntimeError((error.stderr + error.stdout).decode(errors="replace").strip()) from None


def python():
    """The interpreter of a virtual environment with the Python clients."""
    home = CACHE / "python"
    stamp = home / ".complete"
    wanted = "\n".join(PYTHON_PACKAGES)
    if not stamp.exists() or stamp.read_text() != wanted:
        quiet([sys.executable, "-m", "venv", str(home)])
        quiet([str(home / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *PYTHON_PACKAGES])
        stamp.write_text(wanted)
    return str(home / "bin" / "python")


def script(name):
    def suite():
        return [python(), str(SUITES_DIR / f"{name}.py")], {"PYTHONPATH": str(SUITES_DIR)}
    return suite


def kcat():
    if not shutil.which("kcat"):
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise Missing("needs kcat (Debian: apt-get install kcat)")
        try:
            quiet(["apt-get", "install", "-y", "-qq", "kcat"])
        except subprocess.CalledProcessError:
            quiet(["apt-get", "update", "-qq"])
            quiet(["apt-get", "install", "-y", "-qq", "kcat"])
    return [sys.executable, str(SUITES_DIR / "kcat.py")], {}


def java_classes(folder):
    """Compile the Java sources of a folder against Kafka's jars. Returns the class path."""
    needs("javac")
    needs("java")
    jars = jars_of_kafka()
    sources = sorted((HERE / folder).glob("*.java"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    classes = CACHE / "java" / f"{pathlib.Path(folder).name}-{kafka.VERSION}-{digest}"
    if not (classes / "complete").exists():
        classes.mkdir(parents=True, exist_ok=True)
        build(["javac", "-nowarn", "-d", str(classes), "-cp", jars, *map(str, sources)])
        (classes / "complete").touch()
    return f"{classes}:{jars}"


def jars_of_kafka():
    try:
        return kafka.installed()
    except RuntimeError as error:
        raise Missing(str(error)) from None


def java():
    classpath = java_classes("suites/java")
    log4j = CACHE / f"kafka-{kafka.VERSION}" / "log4j2-ERROR.xml"
    return ["java", "-Xmx512m", f"-Dlog4j2.configurationFile={log4j}", "-cp", classpath, "JavaSuite"], {}


def go(name):
    def suite():
        needs("go")
        home = CACHE / "go"
        home.mkdir(parents=True, exist_ok=True)
        environment = {"GOMODCACHE": str(home / "modules"), "GOCACHE": str(home / "build"),
                       "GOFLAGS": "-mod=readonly -modcacherw", "CGO_ENABLED": "0"}
        binary = home / name
        quiet(["go", "mod", "download"], cwd=SUITES_DIR / name, env={**os.environ, **environment})
        build(["go", "build", "-o", str(binary), "."], cwd=SUITES_DIR / name, env={**os.environ, **environment})
        return [str(binary)], {}
    return suite


def kafkajs():
    needs("node")
    home = CACHE / "node"
    if not (home / "node_modules" / "kafkajs" / "package.json").exists():
        needs("npm")
        home.mkdir(parents=True, exist_ok=True)
        quiet(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(home), f"kafkajs@{KAFKAJS}"])
    return ["node", str(SUITES_DIR / "kafkajs.js")], {"NODE_PATH": str(home / "node_modules"),
                                                      "KAFKAJS_NO_PARTITIONER_WARNING": "1"}


def ask():
    return [sys.executable, str(SUITES_DIR / "ask.py")], {"PYTHONPATH": str(SUITES_DIR), "ASK_CLASSES": java_classes("ask"),
                                                          "LOG4J": str(CACHE / f"kafka-{kafka.VERSION}" / "log4j2-ERROR.xml")}


def tools():
    jars = jars_of_kafka()
    return [sys.executable, str(SUITES_DIR / "tools.py")], {
        "PYTHONPATH": str(SUITES_DIR), "KAFKA_JARS": jars,
        "LOG4J": str(CACHE / f"kafka-{kafka.VERSION}" / "log4j2-ERROR.xml")}


def durability():
    jars = jars_of_kafka()
    command, environment = script("durability")()
    return command, {**environment, "KAFKA_JARS": jars,
                     "LOG4J": str(CACHE / f"kafka-{kafka.VERSION}" / "log4j2-ERROR.xml")}


def compaction():
    jars = jars_of_kafka()
    command, environment = script("compaction")()
    return command, {**environment, "KAFKA_JARS": jars,
                     "LOG4J": str(CACHE / f"kafka-{kafka.VERSION}" / "log4j2-ERROR.xml")}


SUITES = {
    "kcat": kcat,
    "librdkafka": script("librdkafka"),
    "java": java,
    "groups": script("groups"),
    "franz-go": go("franz-go"),
    "sarama": go("sarama"),
    "kafkajs": kafkajs,
    "kafka-python": script("kafka_python_suite"),
    "aiokafka": script("aiokafka_suite"),
    "ask": ask,
    "tools": tools,
    "durability": durability,
    "compaction": compaction,
}
