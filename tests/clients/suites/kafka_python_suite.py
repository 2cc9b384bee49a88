"""kafka-python: producer, a consumer with assigned partitions, and admin."""
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import InvalidRequestError, TopicAlreadyExistsError, UnknownTopicOrPartitionError

from checks import BOOTSTRAP, SERVER, Skip, check, equal, finish, true

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

with check("consumer: subscribing is refused at once"):
    if SERVER != "milena":
        raise Skip("Kafka has groups")
    consumer = KafkaConsumer("kp-None", bootstrap_servers=BOOTSTRAP, group_id="g")
    began = time.monotonic()
    try:
        consumer.poll(timeout_ms=10000)
        raise AssertionError("no error was told")
    except InvalidRequestError:
        true(time.monotonic() - began < 8, "it was retried")
    consumer.close(autocommit=False)

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
