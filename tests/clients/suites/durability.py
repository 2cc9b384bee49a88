"""What was acknowledged is there afterwards: producers write while the server is killed, stopped and started again.

Then everything is read back, at the offsets that were told, once and in order; Kafka's own DumpLogSegments goes over
every segment; and segments move between Apache Kafka and the server under test, in both directions.
"""
import collections
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import threading
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from checks import BOOTSTRAP, SERVER, Skip, check, control, equal, finish, true

sys.path.insert(0, os.environ["CLIENTS"])
import servers  # noqa: E402

TOPIC = "durable"
PARTITIONS = 4
DATA_DIR = pathlib.Path(os.environ["DATA_DIR"])
SIGNALS = ["kill", "stop", "kill", "kill"]
ROUND_SECONDS = 2


class Writer(threading.Thread):
    """An idempotent producer that never stops; `acknowledged` has (partition, offset, value) in the order told."""

    def __init__(self, name, codec, bootstrap=BOOTSTRAP, pause=0.0005):
        super().__init__(daemon=True)
        self.name, self.pause = name, pause
        self.producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all",
                                  "compression.type": codec, "linger.ms": 2, "message.timeout.ms": 120000,
                                  "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 50})
        self.acknowledged, self.errors = [], []
        self.sent = collections.Counter()
        self.halted = threading.Event()
        self.left = None

    def told(self, error, message):
        if error:
            self.errors.append(str(error))
        else:
            self.acknowledged.append((message.partition(), message.offset(), message.value()))

    def run(self):
        number = 0
        while not self.halted.is_set():
            partition = number % PARTITIONS
            value = b"%s %d %d " % (self.name.encode(), partition, self.sent[partition])
            try:
                self.producer.produce(TOPIC, value + b"z" * (number % 1500), partition=partition, on_delivery=self.told)
                self.sent[partition] += 1
                number += 1
            except BufferError:
                pass
            except KafkaException as fatal:
                self.errors.append(str(fatal))
                break
            self.producer.poll(0)
            time.sleep(self.pause)
        self.left = self.producer.flush(90)


def read_all(topic, partition, bootstrap=BOOTSTRAP):
    """(offset, value) of every record, from the first to the end."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
                         "enable.partition.eof": True, "auto.offset.reset": "error", "check.crcs": True, "fetch.wait.max.ms": 20})
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
    records = []
    deadline = time.monotonic() + 60
    try:
        while True:
            true(time.monotonic() < deadline, f"partition {partition}: {len(records)} records after 60 s")
            for message in consumer.consume(1000, 0.5):
                if message.error():
                    if message.error().code() == KafkaError._PARTITION_EOF:
                        return records
                    # Without coordinators librdkafka says so once to whoever has a group.id, and goes on reading.
                    if SERVER == "milena" and "FindCoordinator" in message.error().str():
                        continue
                    raise KafkaException(message.error())
                records.append((message.offset(), message.value()))
    finally:
        consumer.close()


def create(topic, partitions, bootstrap=BOOTSTRAP, **config):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    made = admin.create_topics([NewTopic(topic, partitions, 1, config=config)])
    made[topic].result(20)


def everything_is_there(writers):
    """Every acknowledged record at its offset, every record once, each writer's in order, no hole."""
    count = 0
    for partition in range(PARTITIONS):
        records = read_all(TOPIC, partition)
        equal([offset for offset, _ in records], list(range(len(records))), f"offsets of partition {partition}")
        found = dict(records)
        for writer in writers:
            for where, offset, value in writer.acknowledged:
                if where == partition and found.get(offset) != value:
                    raise AssertionError(f"{partition}:{offset} is {found.get(offset)!r:.60}, acknowledged {value!r:.60}")
            numbers = [int(value.split()[2]) for _, value in records if value.split()[0] == writer.name.encode()]
            equal(numbers, list(range(len(numbers))), f"order of {writer.name} in partition {partition}")
            equal(len(numbers), writer.sent[partition], f"number of records of {writer.name}")
        count += len(records)
    return count


COMPLAINTS = ("mismatch", "corrupt", "exception", "isvalid: false", "invalid", "not valid", "error", "found timestamp",
              "did not pass")


def dump(files):
    """What DumpLogSegments says about these files; its complaints are errors."""
    command = ["java", f"-Dlog4j2.configurationFile={os.environ['LOG4J']}", "-cp", os.environ["KAFKA_JARS"],
               "org.apache.kafka.tools.DumpLogSegments", "--deep-iteration", "--print-data-log"]
    found = subprocess.run([*command, "--files", ",".join(map(str, files))], capture_output=True, text=True, timeout=120)
    complaints = []
    log = ""
    for line in (found.stdout + found.stderr).splitlines():
        text = line.lower()
        if line.startswith("Non-consecutive offsets in "):
            log = line.rsplit("/", 1)[1]
        elif " is followed by " in line:
            # The tool of 4.3 says so of the first record of every segment that does not begin at 0.
            if line.split() != ["-1", "is", "followed", "by", str(int(log.split(".")[0]))]:
                complaints.append(f"{log}: {line.strip()}")
        elif "payload:" not in line and any(word in text for word in COMPLAINTS):
            complaints.append(line)
    true(found.returncode == 0 and not complaints, f"status {found.returncode}: {' / '.join(complaints[:4])}"
         f"{found.stderr[-300:]}")
    return found.stdout


writers = [Writer("plain", "none"), Writer("packed", "lz4")]
total = 0

with check("producers come through " + ", ".join(SIGNALS) + " and have every record acknowledged"):
    create(TOPIC, PARTITIONS, **{"segment.bytes": str(1 << 20), "index.interval.bytes": "1024"})
    for writer in writers:
        writer.start()
    for signal in SIGNALS:
        time.sleep(ROUND_SECONDS)
        control(signal)
        control("start")
    time.sleep(ROUND_SECONDS)
    for writer in writers:
        writer.halted.set()
    for writer in writers:
        writer.join(120)
        equal(writer.errors, [], "errors")
        equal(writer.left, 0, "records never acknowledged")
        equal(len(writer.acknowledged), sum(writer.sent.values()), "acknowledged")

with check("all of it is read back, once, in order, at the offsets told"):
    total = everything_is_there(writers)
    true(total > 1000, f"only {total} records")

with check("and again after a clean restart"):
    control("stop")
    control("start")
    equal(everything_is_there(writers), total)

with check("and again after kill -9 with indexes, snapshots and checkpoints gone"):
    control("kill")
    for folder in DATA_DIR.glob(f"{TOPIC}-*"):
        for pattern in ("*.index", "*.timeindex", "*.snapshot"):
            for file in folder.glob(pattern):
                file.unlink()
    for name in ("recovery-point-offset-checkpoint", "log-start-offset-checkpoint", "replication-offset-checkpoint"):
        (DATA_DIR / name).unlink(missing_ok=True)
    control("start")
    equal(everything_is_there(writers), total)

control("stop")

with check("DumpLogSegments reads every segment, index and snapshot without complaint"):
    printed = segments = 0
    for folder in sorted(DATA_DIR.glob(f"{TOPIC}-*")):
        logs = sorted(folder.glob("*.log"))
        segments += len(logs)
        files = [f for f in sorted(folder.iterdir()) if f.suffix in (".log", ".index", ".timeindex", ".snapshot")]
        said = dump(files)
        printed += sum(1 for line in said.splitlines() if line.startswith("| offset: "))
    equal(printed, total, "records printed")
    true(segments > PARTITIONS, f"{segments} segments: none was rolled")

with check("DumpLogSegments --index-sanity-check passes every index"):
    indexes = [f for folder in DATA_DIR.glob(f"{TOPIC}-*") for f in folder.iterdir()
               if f.suffix in (".index", ".timeindex")]
    command = ["java", f"-Dlog4j2.configurationFile={os.environ['LOG4J']}", "-cp", os.environ["KAFKA_JARS"],
               "org.apache.kafka.tools.DumpLogSegments", "--index-sanity-check", "--files", ",".join(map(str, indexes))]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120)
    passed = said.stdout.count("passed sanity check") + said.stdout.count(" is empty.")
    equal(passed, len(indexes), f"passed: {said.stderr[-300:]}")


def move(source, target):
    """Put the segments of one partition directory in the place of another one's; the topic's id stays the target's."""
    for file in target.iterdir():
        if file.name != "partition.metadata":
            file.unlink()
    for file in source.iterdir():
        if file.name != "partition.metadata":
            shutil.copy(file, target / file.name)


def produced_by(bootstrap, topic):
    """A topic with records of each codec; what they are."""
    create(topic, 1, bootstrap, **{"segment.bytes": str(1 << 20)})
    values = []
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "enable.idempotence": True})
        for number in range(1500):
            values.append(b"%s %d " % (codec.encode(), number) + os.urandom(300))
            producer.produce(topic, values[-1], partition=0)
            producer.poll(0)
            if number % 500 == 499:
                producer.flush(30)
        equal(producer.flush(30), 0, "records not delivered")
    return list(enumerate(values))


def batches_of(segment):
    """Where the batches of a segment are: position, first offset, offset behind the last."""
    data, position = segment.read_bytes(), 0
    while position < len(data):
        first, length = struct.unpack_from(">qi", data, position)
        last_delta, = struct.unpack_from(">i", data, position + 23)
        yield position, first, first + last_delta + 1
        position += 12 + length


def turn_bit(file, position):
    with open(file, "r+b") as opened:
        opened.seek(position)
        byte = opened.read(1)[0]
        opened.seek(position)
        opened.write(bytes([byte ^ 4]))


with check("a damaged batch is named by storage verify, answered with CORRUPT_MESSAGE, and passed by seeking"):
    if SERVER != "milena":
        raise Skip("Apache Kafka hands damaged bytes out and leaves the rest to its clients")
    control("start")
    create("rotten", 1, **{"segment.bytes": str(1 << 20)})
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 1000})
    for number in range(3000):
        producer.produce("rotten", b"%d " % number + b"r" * 600, partition=0)
        if number % 100 == 99:
            equal(producer.flush(30), 0)
    control("stop")
    segment = DATA_DIR / "rotten-0" / f"{0:020}.log"
    position, first, behind = list(batches_of(segment))[3]
    # The magic byte, which a reader sees without a checksum.
    turn_bit(segment, position + 16)
    verify = [str(servers.Milena.install()), "storage", "verify", str(DATA_DIR / "rotten-0")]
    said = subprocess.run(verify, capture_output=True, text=True, timeout=60)
    equal(said.returncode, 1, f"the status, with {said.stdout}")
    true(f"bytes {position} to " in said.stdout and f"offsets {first} to {behind}" in said.stdout, said.stdout)
    control("start")
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "rot", "enable.auto.commit": False})
    consumer.assign([TopicPartition("rotten", 0, 0)])
    read, deadline = [], time.monotonic() + 30
    while time.monotonic() < deadline:
        message = consumer.poll(1)
        # Negative codes are librdkafka's own, of a server that has just come back.
        if message is not None and message.error() and message.error().code() > 0:
            equal(message.error().code(), KafkaError.INVALID_MSG)
            break
        read += [message.offset()] if message is not None and not message.error() else []
    else:
        true(False, f"no error after {len(read)} records")
    equal(read, list(range(first)), "what is before the damage")
    consumer.seek(TopicPartition("rotten", 0, behind))
    read, deadline = [], time.monotonic() + 30
    while (not read or read[-1] < 2999) and time.monotonic() < deadline:
        message = consumer.poll(1)
        # Errors of the place it comes from may still be on their way.
        if message is not None and not message.error():
            read.append(message.offset())
    equal(read, list(range(behind, 3000)), "what is behind the damage")
    consumer.close()
    control("stop")
    turn_bit(segment, position + 16)
    said = subprocess.run(verify, capture_output=True, text=True, timeout=60)
    equal(said.returncode, 0, f"the status after the repair, with {said.stdout}")
    control("start")
    equal([offset for offset, _ in read_all("rotten", 0)], list(range(3000)))
if SERVER == "milena":
    # As the checks before this one left it.
    control("stop")


other = servers.Kafka(DATA_DIR.parent / "other-kafka")

try:
    with check("segments written by Apache Kafka are read back here"):
        other.start()
        theirs = produced_by(other.bootstrap, "theirs")
        control("start")
        create("theirs", 1)
        producer = Producer({"bootstrap.servers": BOOTSTRAP})
        producer.produce("theirs", b"to have its directory", partition=0)
        equal(producer.flush(20), 0)
        del producer
        other.stop()
        control("stop")
        move(other.data_dir / "theirs-0", DATA_DIR / "theirs-0")
        control("start")
        equal(read_all("theirs", 0), theirs)
        producer = Producer({"bootstrap.servers": BOOTSTRAP})
        told = []
        producer.produce("theirs", b"next", partition=0, on_delivery=lambda error, message: told.append(message.offset()))
        producer.flush(20)
        equal(told, [len(theirs)], "the next offset")

    with check("segments written here are read back by Apache Kafka"):
        ours = produced_by(BOOTSTRAP, "ours")
        control("stop")
        other.start()
        create("ours", 1, other.bootstrap)
        other.stop()
        move(DATA_DIR / "ours-0", other.data_dir / "ours-0")
        other.start()
        equal(read_all("ours", 0, other.bootstrap), ours)
finally:
    other.stop()
finish()
