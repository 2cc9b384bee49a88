"""kafka-python: producer, a consumer with assigned partitions, and admin."""
import threading
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError

from checks import BOOTSTRAP, Skip, check, equal, finish, true

admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)


def read(topic, start, count, **settings):
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, enable_auto_commit=False, group_id=None,
                             auto_offset_reset="none", **settings)
    where = TopicPartition(topic, 0)
    consumer.assign([where])
    if start is None:
        consumer.seek_to_beginning(where)
    else:
        consumer.seek(where, start)
    records = []
    deadline = time.monotonic() + 15
    while len(records) < count and time.monotonic() < deadline:
        records += consumer.poll(200).get(where, [])
    consumer.close()
    return records


with check("admin: create, describe and list topics"):
    admin.create_topics([NewTopic("kp-a", 2, 1, topic_configs={"retention.ms": "5000"})])
    true("kp-a" in admin.list_topics(), "it is not listed")
    described = admin.describe_topics(["kp-a"])
    true("kp-a" in str(described), "it is not described")
    try:
        admin.create_topics([NewTopic("kp-a", 2, 1)])
        raise AssertionError("made twice")
    except TopicAlreadyExistsError:
        pass

with check("admin: create partitions, describe configs"):
    admin.create_partitions({"kp-a": NewPartitions(4)})
    text = str(admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "kp-a")]))
    true("retention.ms" in text and "5000" in text, text)

for codec in (None, "gzip", "lz4", "snappy", "zstd"):
    with check(f"producer and consumer: {codec}"):
        topic = f"kp-{codec}"
        try:
            producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, compression_type=codec)
        except (AssertionError, RuntimeError) as error:
            raise Skip(f"kafka-python lacks the library for {codec}") from error
        admin.create_topics([NewTopic(topic, 1, 1)])
        futures = [producer.send(topic, key=b"k%d" % i, value=b"v%d" % i, headers=[("h", b"1"), ("h", b"2")], partition=0)
                   for i in range(500)]
        equal([future.get(15).offset for future in futures], list(range(500)), "offsets")
        producer.close()
        records = read(topic, None, 500)
        equal([(r.offset, r.key, r.value) for r in records], [(i, b"k%d" % i, b"v%d" % i) for i in range(500)])
        equal(list(records[0].headers), [("h", b"1"), ("h", b"2")], "headers")
        equal([r.offset for r in read(topic, 490, 10)], list(range(490, 500)), "from 490")

with check("producer: acks 0, 1, all and idempotent"):
    admin.create_topics([NewTopic("kp-acks", 1, 1)])
    for settings in ({"acks": 0, "enable_idempotence": False}, {"acks": 1, "enable_idempotence": False},
                     {"acks": "all"}, {"enable_idempotence": True}):
        producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, **settings)
        producer.send("kp-acks", b"x", partition=0)
        producer.flush(10)
        producer.close()
    equal(len(read("kp-acks", None, 4)), 4, "records")

with check("consumer: beginning, end and offsets for times"):
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=None)
    where = TopicPartition("kp-None", 0)
    equal(consumer.beginning_offsets([where]), {where: 0})
    equal(consumer.end_offsets([where]), {where: 500})
    equal(consumer.offsets_for_times({where: 0})[where].offset, 0)
    equal(consumer.offsets_for_times({where: int(time.time() * 1000) + 10**7})[where], None)
    consumer.close()

with check("group: two consumers share, one leaves, offsets are committed, admin describes and deletes"):
    admin.create_topics([NewTopic("kp-group", 4, 1)])
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP)
    for number in range(40):
        producer.send("kp-group", b"%d" % number, partition=number % 4).get(10)
    producer.close()

    def member():
        return KafkaConsumer("kp-group", bootstrap_servers=BOOTSTRAP, group_id="kp", auto_offset_reset="earliest",
                             enable_auto_commit=False, heartbeat_interval_ms=300, session_timeout_ms=6000)
    one, two = member(), member()
    seen = []
    stop = threading.Event()
    def poll(consumer, until):
        while not until():
            # Long, because kafka-python forgets a join that is answered just as a poll's time is over.
            for records in consumer.poll(timeout_ms=3000).values():
                seen.extend(record.value for record in records)
    settled = lambda: stop.is_set() or (len(set(seen)) == 40 and len(one.assignment()) == 2 and len(two.assignment()) == 2)
    threads = [threading.Thread(target=poll, args=(consumer, settled)) for consumer in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    stop.set()
    equal((len(set(seen)), len(one.assignment()), len(two.assignment())), (40, 2, 2), "read, owned, owned")
    one.commit()
    two.commit()
    two.close(autocommit=False)
    deadline = time.monotonic() + 30
    poll(one, lambda: len(one.assignment()) == 4 or time.monotonic() > deadline)
    equal([one.committed(TopicPartition("kp-group", p)) for p in range(4)], [10] * 4)
    one.close(autocommit=False)

with check("admin: delete topics"):
    admin.delete_topics(["kp-a"])
    true("kp-a" not in admin.list_topics(), "it is still listed")
    try:
        admin.delete_topics(["kp-a"])
        raise AssertionError("deleted twice")
    except UnknownTopicOrPartitionError:
        pass

admin.close()
finish()
