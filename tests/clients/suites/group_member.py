"""One member of a group (librdkafka), as a process of its own so that it can be killed: reads, reports, commits.

    group_member.py JSON-CONFIG TOPIC[,TOPIC...]

Each line it prints is one JSON array: ["assigned", [[topic, partition]…]], ["revoked", …], ["lost", …],
["read", topic, partition, offset, value], ["error", text], ["closed"]. A line `close` on its input makes it leave.
"""
import json
import sys
import threading

from confluent_kafka import Consumer, KafkaException

settings = json.loads(sys.argv[1])
topics = sys.argv[2].split(",")
commits = settings.pop("commits", "each")
consumer = Consumer(settings)
closing = threading.Event()


def tell(*what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def await_close():
    for line in sys.stdin:
        if line.strip() == "close":
            break
    closing.set()


def named(partitions):
    return [[p.topic, p.partition] for p in partitions]


def revoked(consumer, partitions):
    if commits == "on-revoke":
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as failure:
            tell("error", f"commit in the callback: {failure}")
    tell("revoked", named(partitions))


threading.Thread(target=await_close, daemon=True).start()
consumer.subscribe(topics, on_assign=lambda _, partitions: tell("assigned", named(partitions)), on_revoke=revoked,
                   on_lost=lambda _, partitions: tell("lost", named(partitions)))
while not closing.is_set():
    message = consumer.poll(0.1)
    if message is None:
        continue
    if message.error():
        tell("error", message.error().str())
        continue
    tell("read", message.topic(), message.partition(), message.offset(), (message.value() or b"").decode())
    if commits == "each":
        try:
            consumer.commit(message, asynchronous=False)
        except KafkaException as failure:
            tell("error", f"commit: {failure}")
consumer.close()
tell("closed")
