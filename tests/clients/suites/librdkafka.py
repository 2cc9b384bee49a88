"""librdkafka (current release) through confluent-kafka: admin, producer, and consumers with assigned partitions."""
import threading
import time

from confluent_kafka import (OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Producer,
                             TopicCollection, TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource,
                                   NewPartitions, NewTopic, OffsetSpec, ResourceType)

from checks import BOOTSTRAP, SERVER, Skip, check, equal, finish, true

admin = AdminClient({"bootstrap.servers": BOOTSTRAP, "socket.timeout.ms": 10000})


def result(futures, seconds=20):
    """The values of the futures of an admin call, by key."""
    return {key: future.result(seconds) for key, future in futures.items()}


def error_of(future, seconds=20):
    """The error with which an admin call fails."""
    try:
        future.result(seconds)
    except KafkaException as failure:
        return failure.args[0]
    raise AssertionError("no error")


def topic_id(topic, seconds=10):
    """The id of a topic. A topic just made may take a moment to be known to the broker that is asked."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return str(result(admin.describe_topics(TopicCollection([topic])))[topic].topic_id)
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def partitions_of(topic, count, seconds=10):
    """The partitions of a topic, asked for until there are as many, for the same reason.

    All topics are asked for: to ask for one by its name may create it.
    """
    deadline = time.monotonic() + seconds
    while True:
        topics = admin.list_topics(timeout=10).topics
        partitions = topics[topic].partitions if topic in topics else {}
        if len(partitions) == count or time.monotonic() > deadline:
            return partitions
        time.sleep(0.1)


def create(topic, partitions=1, **config):
    result(admin.create_topics([NewTopic(topic, partitions, 1, config={k.replace("_", "."): str(v) for k, v in
                                                                        config.items()})]))
    return topic


def describe(resource_type, name):
    resource = ConfigResource(resource_type, name)
    return list(result(admin.describe_configs([resource])).values())[0]


def produce(topic, records, partition=0, **settings):
    """Produces (key, value[, headers[, timestamp]]) tuples. Returns the delivery reports in order."""
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "message.timeout.ms": 20000, "linger.ms": 5, **settings})
    reports = []

    def delivered(error, message):
        reports.append((error, message.offset(), message.timestamp()[1]))

    for record in records:
        key, value, headers, timestamp = (*record, None, None)[:4]
        options = {"timestamp": timestamp} if timestamp is not None else {}
        while True:
            try:
                producer.produce(topic, key=key, value=value, headers=headers, partition=partition,
                                 on_delivery=delivered, **options)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    equal(producer.flush(30), 0, "messages not delivered")
    return reports


def consume(topic, start, partition=0, count=None, seconds=20, **settings):
    """Reads from the start to the end of the partition, or `count` records."""
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False,
                         "enable.partition.eof": True, "queued.min.messages": 10, "auto.offset.reset": "error",
                         "fetch.wait.max.ms": 20, **settings})
    consumer.assign([TopicPartition(topic, partition, start)])
    messages = []
    deadline = time.monotonic() + seconds
    try:
        while count is None or len(messages) < count:
            message = consumer.poll(0.5)
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(messages)} records after {seconds} s")
            if message is None:
                continue
            if message.error():
                if message.error().code() == KafkaError._PARTITION_EOF:
                    return messages
                raise KafkaException(message.error())
            messages.append(message)
    finally:
        consumer.close()
    return messages


def values(messages):
    return [message.value() for message in messages]


# --- admin

with check("admin: create a topic with counts and configs, and describe it"):
    create("rd-made", 3, cleanup_policy="compact", segment_bytes=2000000)
    described = result(admin.describe_topics(TopicCollection(["rd-made"])))["rd-made"]
    equal([p.id for p in described.partitions], [0, 1, 2], "partitions")
    true(described.partitions[0].leader.port == int(BOOTSTRAP.split(":")[1]), "the leader is this broker")
    equal([len(p.isr) for p in described.partitions], [1, 1, 1], "isr")
    true(str(described.topic_id) != "AAAAAAAAAAAAAAAAAAAAAA", "no topic id")
    configs = describe(ResourceType.TOPIC, "rd-made")
    equal(configs["cleanup.policy"].value, "compact")
    equal(configs["cleanup.policy"].source, ConfigSource.DYNAMIC_TOPIC_CONFIG.value, "source")
    equal(configs["segment.bytes"].value, "2000000")
    equal(configs["min.cleanable.dirty.ratio"].is_default, True)

with check("admin: create with an explicit assignment"):
    broker = list(admin.list_topics(timeout=10).brokers)[0]
    result(admin.create_topics([NewTopic("rd-assigned", 2, replica_assignment=[[broker], [broker]])]))
    partitions = partitions_of("rd-assigned", 2)
    equal({number: p.replicas for number, p in partitions.items()}, {0: [broker], 1: [broker]})

with check("admin: validate only creates nothing"):
    result(admin.create_topics([NewTopic("rd-only", 1, 1)], validate_only=True))
    true("rd-only" not in admin.list_topics(timeout=10).topics, "it was created")

with check("admin: errors of create"):
    def refused(*arguments, **options):
        return error_of(list(admin.create_topics([NewTopic(*arguments, **options)]).values())[0]).code()
    equal(refused("rd-made", 1, 1), KafkaError.TOPIC_ALREADY_EXISTS, "exists")
    equal(refused("rd bad", 1, 1), KafkaError.TOPIC_EXCEPTION, "bad name")
    equal(refused("rd-x", 1, 3), KafkaError.INVALID_REPLICATION_FACTOR, "replication factor 3")
    equal(refused("rd-x", 0, 1), KafkaError.INVALID_PARTITIONS, "0 partitions")
    equal(refused("rd-x", 1, 1, config={"no.such": "1"}), KafkaError.INVALID_CONFIG, "unknown key")
    equal(refused("rd-x", 1, 1, config={"retention.ms": "x"}), KafkaError.INVALID_CONFIG, "bad value")

with check("admin: add partitions, never remove"):
    result(admin.create_partitions([NewPartitions("rd-assigned", 4)]))
    equal(len(partitions_of("rd-assigned", 4)), 4)
    shrink = list(admin.create_partitions([NewPartitions("rd-assigned", 2)]).values())[0]
    equal(error_of(shrink).code(), KafkaError.INVALID_PARTITIONS)

with check("admin: describe the configuration of a broker"):
    configs = describe(ResourceType.BROKER, str(broker))
    true("listeners" in configs and "log.dirs" in configs, "keys missing")
    true(configs["log.retention.hours"].value == "168", "log.retention.hours")

with check("admin: incremental alter, append, subtract, delete"):
    def alter(name, value, operation):
        entry = ConfigEntry(name, value, incremental_operation=operation)
        resource = ConfigResource(ResourceType.TOPIC, "rd-assigned", incremental_configs=[entry])
        return list(admin.incremental_alter_configs([resource]).values())[0]
    alter("retention.ms", "4000000", AlterConfigOpType.SET).result(20)
    alter("cleanup.policy", "compact", AlterConfigOpType.APPEND).result(20)
    configs = describe(ResourceType.TOPIC, "rd-assigned")
    equal((configs["retention.ms"].value, configs["cleanup.policy"].value), ("4000000", "delete,compact"))
    alter("cleanup.policy", "compact", AlterConfigOpType.SUBTRACT).result(20)
    alter("retention.ms", "", AlterConfigOpType.DELETE).result(20)
    configs = describe(ResourceType.TOPIC, "rd-assigned")
    equal((configs["retention.ms"].value, configs["cleanup.policy"].value), ("604800000", "delete"))
    equal(error_of(alter("retention.ms", "soon", AlterConfigOpType.SET)).code(), KafkaError.INVALID_CONFIG)

with check("admin: legacy alter replaces everything"):
    resource = ConfigResource(ResourceType.TOPIC, "rd-made", set_config={"segment.ms": "100000"})
    result(admin.alter_configs([resource]))
    configs = describe(ResourceType.TOPIC, "rd-made")
    equal((configs["segment.ms"].value, configs["cleanup.policy"].value), ("100000", "delete"))

with check("admin: describe the cluster"):
    cluster = admin.describe_cluster(request_timeout=10).result(20)
    equal(len(cluster.nodes), 1, "nodes")
    true(cluster.cluster_id, "no cluster id")
    equal(cluster.nodes[0].port, int(BOOTSTRAP.split(":")[1]))
    equal(cluster.controller.id, cluster.nodes[0].id, "controller")

with check("admin: list offsets (earliest, latest, max timestamp, by time)"):
    create("rd-offsets")
    base = int(time.time() * 1000) - 100000
    produce("rd-offsets", [(None, b"%d" % i, None, base + at) for i, at in enumerate((0, 5000, 3000))])
    def offset_of(spec):
        where = TopicPartition("rd-offsets", 0)
        return list(result(admin.list_offsets({where: spec})).values())[0]
    equal(offset_of(OffsetSpec.earliest()).offset, 0)
    equal(offset_of(OffsetSpec.latest()).offset, 3)
    equal((offset_of(OffsetSpec.max_timestamp()).offset, offset_of(OffsetSpec.max_timestamp()).timestamp),
          (1, base + 5000), "max timestamp")
    equal(offset_of(OffsetSpec.for_timestamp(base + 1)).offset, 1)
    equal(offset_of(OffsetSpec.for_timestamp(base + 6000)).offset, -1)

with check("admin: delete records moves the start; reading before it is out of range"):
    deleted = list(result(admin.delete_records([TopicPartition("rd-offsets", 0, 2)])).values())[0]
    equal(deleted.low_watermark, 2)
    equal([(m.offset(), m.value()) for m in consume("rd-offsets", OFFSET_BEGINNING)], [(2, b"2")])
    try:
        consume("rd-offsets", 0)
        raise AssertionError("reading offset 0 was no error")
    except KafkaException as failure:
        equal(failure.args[0].code(), KafkaError._AUTO_OFFSET_RESET)
    equal([m.offset() for m in consume("rd-offsets", 0, **{"auto.offset.reset": "earliest"})], [2])
    result(admin.delete_records([TopicPartition("rd-offsets", 0, OFFSET_END)]))
    equal(offset_of(OffsetSpec.earliest()).offset, 3, "after deleting to the high watermark")

with check("admin: delete a topic, and make it again with a new id and no records"):
    create("rd-again")
    produce("rd-again", [(None, b"old")])
    before = topic_id("rd-again")
    result(admin.delete_topics(["rd-again"]))
    true(not partitions_of("rd-again", 0), "it is still there")
    equal(error_of(admin.delete_topics(["rd-again"])["rd-again"]).code(), KafkaError.UNKNOWN_TOPIC_OR_PART)
    create("rd-again")
    after = topic_id("rd-again")
    true(before != after, "the id stayed")
    produce("rd-again", [(None, b"new")])
    equal([(m.offset(), m.value()) for m in consume("rd-again", OFFSET_BEGINNING)], [(0, b"new")])

with check("admin: describing a topic that does not exist"):
    equal(error_of(admin.describe_topics(TopicCollection(["rd-none"]))["rd-none"]).code(),
          KafkaError.UNKNOWN_TOPIC_OR_PART)

# --- producer

for acks in ("0", "1", "all"):
    with check(f"producer: acks={acks}"):
        topic = create(f"rd-acks-{acks}")
        reports = produce(topic, [(None, b"%d" % i) for i in range(100)], acks=acks)
        equal([error for error, _, _ in reports], [None] * 100, "errors")
        if acks != "0":
            equal([offset for _, offset, _ in reports], list(range(100)), "offsets")
        else:
            deadline = time.monotonic() + 5
            while len(consume(topic, OFFSET_BEGINNING)) < 100 and time.monotonic() < deadline:
                time.sleep(0.1)
        equal(values(consume(topic, OFFSET_BEGINNING)), [b"%d" % i for i in range(100)])

with check("producer: delivery reports tell offset and timestamp"):
    topic = create("rd-reports")
    stamp = int(time.time() * 1000) - 5000
    equal(produce(topic, [(None, b"a", None, stamp), (None, b"b", None, stamp + 7)]),
          [(None, 0, stamp), (None, 1, stamp + 7)])

with check("producer: log append time is reported and stored"):
    topic = create("rd-append-time", message_timestamp_type="LogAppendTime")
    now = int(time.time() * 1000)
    stamp = produce(topic, [(None, b"a", None, 1000)])[0][2]
    true(abs(stamp - now) < 60000, f"reported {stamp}")
    message = consume(topic, OFFSET_BEGINNING)[0]
    equal(message.timestamp(), (2, stamp), "stored")

for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    with check(f"producer: idempotent with {codec}"):
        topic = create(f"rd-codec-{codec}")
        sent = [(b"key %d" % i, b"value %d " % i + b"z" * 200, [("h", b"%d" % i)]) for i in range(2000)]
        reports = produce(topic, sent, **{"compression.type": codec, "enable.idempotence": True})
        equal([offset for _, offset, _ in reports], list(range(2000)), "offsets")
        read = consume(topic, OFFSET_BEGINNING)
        equal([(m.key(), m.value(), m.headers()) for m in read], sent)
        equal(values(consume(topic, 1990)), [value for _, value, _ in sent[1990:]], "from the middle")

with check("a topic's compression.type is kept to"):
    topic = create("rd-recompress", compression_type="gzip")
    produce(topic, [(None, b"%d" % i) for i in range(50)], **{"compression.type": "lz4"})
    equal(values(consume(topic, OFFSET_BEGINNING)), [b"%d" % i for i in range(50)])

with check("producer: null keys, null values, empty ones, headers with one name twice and a null value"):
    topic = create("rd-shapes")
    sent = [(None, None, None), (b"", b"", None), (b"k", None, [("a", b"1"), ("a", b"2"), ("n", None), ("", b"")])]
    produce(topic, sent)
    equal([(m.key(), m.value(), m.headers()) for m in consume(topic, OFFSET_BEGINNING)], sent)

with check("producer: a record of 1 MiB, and one too large for the topic"):
    topic = create("rd-large", max_message_bytes=2000000)
    large = bytes(1024 * 1024)
    produce(topic, [(None, large)], **{"message.max.bytes": 3000000})
    equal(values(consume(topic, OFFSET_BEGINNING)), [large])
    reports = produce(topic, [(None, bytes(2100000))], **{"message.max.bytes": 3000000})
    equal(reports[0][0].code(), KafkaError.MSG_SIZE_TOO_LARGE)

with check("producer: keyless record on a compacted topic is refused"):
    topic = create("rd-compacted", cleanup_policy="compact")
    equal(produce(topic, [(None, b"x")])[0][0].code(), KafkaError.INVALID_RECORD)
    equal(produce(topic, [(b"k", b"x")])[0][0], None)

with check("producer: a partition that does not exist"):
    topic = create("rd-partition")
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "message.timeout.ms": 3000})
    errors = []
    try:
        producer.produce(topic, b"x", partition=9, on_delivery=lambda error, message: errors.append(error.code()))
        producer.flush(10)
    except KafkaException as failure:
        errors.append(failure.args[0].code())
    equal(errors, [KafkaError._UNKNOWN_PARTITION])

with check("producer: several partitions, two producers at once"):
    topic = create("rd-parallel", 4)
    def work(name):
        for partition in range(4):
            produce(topic, [(name, b"%d" % i) for i in range(500)], partition, **{"enable.idempotence": True})
    threads = [threading.Thread(target=work, args=(name,)) for name in (b"one", b"two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for partition in range(4):
        read = consume(topic, OFFSET_BEGINNING, partition)
        equal([m.offset() for m in read], list(range(1000)), "offsets")
        for name in (b"one", b"two"):
            equal([m.value() for m in read if m.key() == name], [b"%d" % i for i in range(500)], "order")

# --- consumer

TOPIC = "rd-starts"
START = int(time.time() * 1000) - 50000

with check("consumer: every kind of start"):
    create(TOPIC)
    produce(TOPIC, [(None, b"%d" % i, None, START + i * 10) for i in range(100)], **{"batch.num.messages": 7})
    everything = [b"%d" % i for i in range(100)]
    equal(values(consume(TOPIC, OFFSET_BEGINNING)), everything, "beginning")
    equal(values(consume(TOPIC, OFFSET_END)), [], "end")
    equal(values(consume(TOPIC, 53)), everything[53:], "offset")
    equal(values(consume(TOPIC, -2000 - 5)), everything[-5:], "tail")
    equal(values(consume(TOPIC, 100)), [], "the end by number")

with check("consumer: from the end, new records arrive"):
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False,
                         "enable.partition.eof": True})
    consumer.assign([TopicPartition(TOPIC, 0, OFFSET_END)])
    while (message := consumer.poll(10)).error() is None or message.error().code() != KafkaError._PARTITION_EOF:
        if message.error():
            raise KafkaException(message.error())
    produce(TOPIC, [(None, b"new", None, START + 2000)])
    message = consumer.poll(10)
    equal((message.offset(), message.value()), (100, b"new"))
    consumer.close()

with check("consumer: watermarks, offsets_for_times, position, seek"):
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False})
    where = TopicPartition(TOPIC, 0)
    equal(consumer.get_watermark_offsets(where, timeout=10), (0, 101))
    def at(timestamp):
        return consumer.offsets_for_times([TopicPartition(TOPIC, 0, timestamp)], timeout=10)[0].offset
    equal(at(START), 0)
    equal(at(START + 255), 26)
    equal(at(0), 0)
    equal(at(START + 1_000_000), OFFSET_END)
    consumer.assign([TopicPartition(TOPIC, 0, 10)])
    def next_offset():
        while (message := consumer.poll(10)).error():
            raise KafkaException(message.error())
        return message.offset()
    equal(next_offset(), 10)
    equal(consumer.position([where])[0].offset, 11)
    consumer.seek(TopicPartition(TOPIC, 0, 90))
    equal(next_offset(), 90, "after seek")
    consumer.close()

with check("consumer: tiny fetches"):
    tiny = {"fetch.message.max.bytes": 50, "fetch.max.bytes": 1000, "message.max.bytes": 1000,
            "receive.message.max.bytes": 2000}
    equal(len(consume(TOPIC, OFFSET_BEGINNING, **tiny)), 101)

with check("consumer: fetch.min.bytes waits no longer than fetch.wait.max.ms"):
    equal(len(consume(TOPIC, OFFSET_BEGINNING, **{"fetch.min.bytes": 1000000, "fetch.wait.max.ms": 200})), 101)

with check("consumer: read_committed and read_uncommitted"):
    for level in ("read_committed", "read_uncommitted"):
        equal(len(consume(TOPIC, OFFSET_BEGINNING, **{"isolation.level": level})), 101, level)

with check("consumer: check.crcs"):
    equal(len(consume(TOPIC, OFFSET_BEGINNING, **{"check.crcs": True})), 101)

with check("consumer: several partitions in one assignment"):
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False,
                         "enable.partition.eof": True, "queued.min.messages": 10})
    consumer.assign([TopicPartition("rd-parallel", p, OFFSET_BEGINNING) for p in range(4)])
    counts, ends = {}, 0
    deadline = time.monotonic() + 20
    while ends < 4 and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            if message.error().code() == KafkaError._PARTITION_EOF:
                ends += 1
            else:
                raise KafkaException(message.error())
        else:
            equal(message.offset(), counts.get(message.partition(), 0), "offset")
            counts[message.partition()] = message.offset() + 1
    consumer.close()
    equal(counts, {p: 1000 for p in range(4)})

# --- what one broker without transactions refuses

with check("transactions are refused for good, without hanging"):
    if SERVER != "milena":
        raise Skip("Kafka has transactions")
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": "t"})
    try:
        producer.init_transactions(10)
        raise AssertionError("init_transactions succeeded")
    except KafkaException as failure:
        true(not failure.args[0].retriable(), f"retriable: {failure.args[0]}")

finish()
