"""A table in a compacted topic: while it is compacted and afterwards every client reads the latest value of every key.

Records keep their offsets, tombstones are seen for their time and then gone, restarts and kills change nothing, and
Kafka's own DumpLogSegments goes over what is left.
"""
import os
import pathlib
import subprocess
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPythonPartition

from checks import BOOTSTRAP, check, control, equal, finish, true

DATA_DIR = pathlib.Path(os.environ["DATA_DIR"])
TOPIC = "table"
KEYS = 300
ROUNDS = 60
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
JAVA = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        f"-Dlog4j2.configurationFile={os.environ['LOG4J']}", "-cp", os.environ["KAFKA_JARS"]]


def create(topic, **config):
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    settings = {"cleanup.policy": "compact", "segment.bytes": str(1 << 20), "min.cleanable.dirty.ratio": "0.01", **config}
    admin.create_topics([NewTopic(topic, 1, 1, config=settings)])[topic].result(20)


def read_all(topic):
    """(offset, key, value) of every record, from the first to the end."""
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False,
                         "enable.partition.eof": True, "check.crcs": True, "fetch.wait.max.ms": 20,
                         "max.partition.fetch.bytes": 70000})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    records = []
    deadline = time.monotonic() + 60
    try:
        while True:
            true(time.monotonic() < deadline, f"{len(records)} records after 60 s")
            for message in consumer.consume(1000, 0.5):
                if message.error():
                    if message.error().code() == KafkaError._PARTITION_EOF:
                        return records
                    raise KafkaException(message.error())
                records.append((message.offset(), message.key(), message.value()))
    finally:
        consumer.close()


def as_table(records):
    table = {}
    for offset, key, value in records:
        table[key] = (offset, value)
    return {key: told for key, told in table.items() if told[1] is not None}


class Table:
    """What was written, as it was acknowledged."""

    def __init__(self, topic):
        self.topic, self.latest, self.records, self.errors = topic, {}, 0, []

    def write(self, pairs, codec="none"):
        producer = Producer({"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True, "compression.type": codec,
                             "linger.ms": 5})

        def told(error, message):
            if error:
                self.errors.append(str(error))
            else:
                self.latest[message.key()] = (message.offset(), message.value())
        for key, value in pairs:
            self.records += 1
            producer.produce(self.topic, key=key, value=value, partition=0, headers=[("h", b"1")], on_delivery=told)
            producer.poll(0)
        equal(producer.flush(60), 0, "records not delivered")
        equal(self.errors, [], "errors")

    def living(self):
        return {key: told for key, told in self.latest.items() if told[1] is not None}

    def fill(self, rounds=ROUNDS):
        for number in range(rounds):
            codec = CODECS[number % len(CODECS)]
            self.write(((b"key %d" % key, b"%d %d " % (number, key) + os.urandom(200)) for key in range(KEYS)), codec)

    def roll(self):
        """What was written last is in the active segment, which is not compacted."""
        for number in range(3):
            self.write([(b"filler", os.urandom(900_000))])


def until(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        told = condition()
        if told:
            return told
        true(time.monotonic() < deadline, f"{what}: not within {seconds} s")
        time.sleep(0.2)


table = Table(TOPIC)

with check("a table is read right while it is written with every codec and compacted"):
    create(TOPIC)
    for number in range(4):
        table.fill(ROUNDS // 4)
        equal(as_table(read_all(TOPIC)), table.living())
    true(table.records >= KEYS * ROUNDS, "written")

with check("it becomes small, and every record that is left has its offset"):
    table.roll()
    left = until("compaction", lambda: (lambda records: records if len(records) < KEYS * 5 else None)(read_all(TOPIC)))
    equal(as_table(left), table.living())
    offsets = [offset for offset, _, _ in left]
    equal(offsets, sorted(set(offsets)), "offsets")

with check("kafka-python reads the same table"):
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, enable_auto_commit=False, auto_offset_reset="earliest",
                             consumer_timeout_ms=3000, check_crcs=True)
    consumer.assign([KafkaPythonPartition(TOPIC, 0)])
    consumer.seek_to_beginning()
    found = [(record.offset, record.key, record.value) for record in consumer]
    consumer.close()
    equal(as_table(found), table.living())

with check("Kafka's console consumer reads the same table"):
    done = subprocess.run([*JAVA, "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", BOOTSTRAP,
                           "--topic", TOPIC, "--partition", "0", "--offset", "earliest", "--timeout-ms", "5000",
                           "--formatter-property", "print.key=true", "--formatter-property", "print.offset=true",
                           "--formatter-property", "print.value=false"], capture_output=True, timeout=60)
    found = {}
    for line in done.stdout.splitlines():
        offset, _, key = line.partition(b"\t")
        found[key.strip()] = int(offset.removeprefix(b"Offset:"))
    equal(found, {key: offset for key, (offset, _) in table.living().items()})

with check("a reader begins at any offset and gets the next that is left"):
    left = read_all(TOPIC)
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False,
                         "fetch.wait.max.ms": 20})
    offsets = [offset for offset, _, _ in left]
    for start in range(0, offsets[-1], max(1, offsets[-1] // 40)):
        consumer.assign([TopicPartition(TOPIC, 0, start)])
        message = until("a record", lambda: consumer.poll(1), 20)
        equal(message.error(), None)
        equal(message.offset(), next(offset for offset in offsets if offset >= start), f"from {start}")
    consumer.close()

with check("it is the same after a clean restart and after kill -9"):
    for signal in ("stop", "kill"):
        control(signal)
        control("start")
        equal(as_table(read_all(TOPIC)), table.living())

deleted = Table("deleted")

with check("a deleted key is seen as deleted for its time, then it is gone"):
    create("deleted", **{"delete.retention.ms": "4000"})
    deleted.write((b"key %d" % key, b"value") for key in range(50))
    deleted.write((b"key %d" % key, None) for key in range(0, 50, 2))
    deleted.roll()
    records = until("the values to go", lambda: (lambda found: found if not any(
        value == b"value" and int(key.split()[1]) % 2 == 0 for _, key, value in found if key != b"filler") else None
    )(read_all("deleted")))
    equal(sum(value is None for _, _, value in records), 25, "tombstones")
    equal(as_table(records), deleted.living())

    def gone():
        # Something must be dirty for the cleaner to come again.
        deleted.roll()
        return not any(value is None for _, _, value in read_all("deleted"))
    until("the tombstones to go", gone)
    equal(as_table(read_all("deleted")), deleted.living())

both = Table("both")

with check("compact,delete compacts, and deletes what is old"):
    create("both", **{"cleanup.policy": "compact,delete", "retention.ms": "600000"})
    both.fill(15)
    both.roll()
    until("compaction", lambda: len(read_all("both")) < KEYS * 5)
    equal(as_table(read_all("both")), both.living())
    # Of 1970: everything before the active segment goes.
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
    entry = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, "both", incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(20)
    until("retention", lambda: not any(key.startswith(b"key") for _, key, _ in read_all("both")))

with check("committed offsets are there after their topic was compacted"):
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "committer", "enable.auto.commit": False})
    for offset in range(1, 400):
        consumer.commit(offsets=[TopicPartition(TOPIC, 0, offset)], asynchronous=False)
    equal(consumer.committed([TopicPartition(TOPIC, 0)], 20)[0].offset, 399)
    control("kill")
    control("start")

    def committed():
        try:
            return consumer.committed([TopicPartition(TOPIC, 0)], 20)[0].offset
        except KafkaException as error:
            # Its coordinator is loading.
            true(error.args[0].retriable() or error.args[0].code() == KafkaError.NOT_COORDINATOR, str(error))
    equal(until("the committed offset", committed), 399)
    consumer.close()

with check("DumpLogSegments reads what is left without complaint"):
    expected = len(read_all(TOPIC))
    control("stop")
    printed = 0
    for folder in [DATA_DIR / f"{topic}-0" for topic in (TOPIC, "deleted", "both")]:
        files = [f for f in sorted(folder.iterdir()) if f.suffix in (".log", ".index", ".timeindex", ".snapshot")]
        done = subprocess.run([*JAVA, "org.apache.kafka.tools.DumpLogSegments", "--deep-iteration", "--print-data-log",
                               "--files", ",".join(map(str, files))], capture_output=True, timeout=120)
        said = (done.stdout + done.stderr).decode(errors="replace")
        for line in said.splitlines():
            # Gaps are what compaction is for.
            if "payload:" in line or " is followed by " in line or line.startswith("Non-consecutive offsets"):
                continue
            # The tool compares a time index with the records of a batch, and one that was emptied has none: so it is with
            # Kafka's own logs.
            if line.startswith("Found timestamp mismatch") or line.endswith("log timestamp: -1"):
                continue
            true("log timestamp: " not in line, line)
            complaint = any(word in line.lower() for word in ("mismatch", "corrupt", "exception", "isvalid: false", "error"))
            true(not complaint, line)
        equal(done.returncode, 0, "status")
        if folder.name == f"{TOPIC}-0":
            printed = sum(line.startswith("| offset: ") for line in said.splitlines())
    equal(printed, expected, "records printed")

with check("how far each was compacted is written down as Kafka does"):
    text = (DATA_DIR / "cleaner-offset-checkpoint").read_text().splitlines()
    equal(text[0], "0")
    equal(int(text[1]), len(text) - 2)
    true(any(line.startswith(f"{TOPIC} 0 ") for line in text), f"{text}")
finish()
