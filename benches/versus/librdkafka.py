"""Loads through librdkafka (confluent-kafka for Python), called by driving.py with an interpreter that has it.

    librdkafka.py produce|consume|latency key=value…

The marks are those of the load program: `begin` and `end` on a line, each followed by waiting for one; then the result.
"""
import ctypes
import json
import os
import subprocess
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

PR_SET_TIMERSLACK = 29
PATIENCE_SECONDS = 60
WARM_UP_SECONDS = 1.0


def mark(name):
    print(name, flush=True)
    sys.stdin.readline()


def result(values):
    print(json.dumps(values), flush=True)


def summary(samples_ns):
    samples = sorted(samples_ns)
    at = lambda part: samples[min(len(samples) - 1, round((len(samples) - 1) * part))] / 1e3 if samples else 0.0
    return {"samples": len(samples), "p50_us": at(0.5), "p99_us": at(0.99), "p999_us": at(0.999), "max_us": at(1.0)}


def producer(options, **more):
    return Producer({"bootstrap.servers": options["addr"], "acks": "all", **more})


def consumer(options, offset, **more):
    made = Consumer({"bootstrap.servers": options["addr"], "group.id": "unused", "enable.auto.commit": False, **more})
    made.assign([TopicPartition(options["topic"], 0, offset)])
    return made


def produce(options):
    value, records = os.urandom(int(options["record_bytes"])), int(options["records"])
    made = producer(options, **{"linger.ms": 5, "batch.size": int(options["batch_bytes"]),
                                "batch.num.messages": 1_000_000, "queue.buffering.max.messages": 1_000_000,
                                "queue.buffering.max.kbytes": 1 << 20})
    topic = options["topic"]

    def send(count):
        for _ in range(count):
            while True:
                try:
                    made.produce(topic, value)
                    break
                except BufferError:
                    made.poll(0.01)
        if made.flush(PATIENCE_SECONDS):
            raise RuntimeError("records were not acknowledged")

    send(min(records, 10_000))
    mark("begin")
    begun = time.perf_counter()
    send(records)
    seconds = time.perf_counter() - begun
    mark("end")
    result({"records": records, "seconds": seconds, "records_per_second": records / seconds})


def consume(options):
    records, seen = int(options["records"]), 0
    made = consumer(options, 0, **{"queued.min.messages": 1_000_000})
    deadline = time.monotonic() + PATIENCE_SECONDS
    # Fetching begins with the assignment, so what comes before the first mark is small.
    mark("begin")
    begun = time.perf_counter()
    while seen < records:
        seen += sum(1 for message in made.consume(10_000, 1.0) if not message.error())
        if time.monotonic() > deadline:
            raise RuntimeError(f"{seen} of {records} records came")
    seconds = time.perf_counter() - begun
    mark("end")
    result({"records": records, "seconds": seconds, "records_per_second": records / seconds})
    made.close()


def receive(options):
    """The receiving process of `latency`: says that it is ready, then how long each record travelled."""
    count, uncounted = int(options["count"]), int(options["uncounted"])
    made = consumer(options, int(options["from"]))
    waits, told = [], False
    deadline = time.monotonic() + PATIENCE_SECONDS + float(options["seconds"])
    while len(waits) < count:
        message = made.poll(1.0)
        now = time.monotonic_ns()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(waits)} of {count} records came")
        if message is None or message.error():
            continue
        if not told:
            # The first record is a sign only: from here on the consumer is where it will be.
            told = True
            print("ready", flush=True)
            continue
        waits.append(now - int.from_bytes(message.value()[:8], "big"))
    print(json.dumps(summary(waits[uncounted:])), flush=True)
    made.close()


def latency(options):
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    rate, seconds = float(options["rate"]), float(options["seconds"])
    count, uncounted = int(rate * (seconds + WARM_UP_SECONDS)), int(rate * WARM_UP_SECONDS)
    made = producer(options, **{"linger.ms": 0})
    topic, padding = options["topic"], os.urandom(int(options.get("record_bytes", 100)) - 8)

    def send():
        made.produce(topic, time.monotonic_ns().to_bytes(8, "big") + padding)

    first = []
    made.produce(topic, bytes(100), on_delivery=lambda error, message: first.append(message.offset()))
    made.flush(PATIENCE_SECONDS)
    offset = first[0]
    more = [f"count={count}", f"uncounted={uncounted}", f"from={offset}"]
    receiver = subprocess.Popen([sys.executable, __file__, "receive", *sys.argv[2:], *more], stdout=subprocess.PIPE,
                                text=True)
    receiver.stdout.readline()
    mark("begin")
    begun = time.monotonic()
    for number in range(count):
        early = begun + number / rate - time.monotonic()
        if early > 0:
            time.sleep(early)
        send()
        made.poll(0)
    taken = time.monotonic() - begun
    made.flush(PATIENCE_SECONDS)
    received = json.loads(receiver.stdout.readline())
    mark("end")
    result({"records": count, "seconds": taken, "received": received})
    receiver.wait(PATIENCE_SECONDS)


if __name__ == "__main__":
    commands = {"produce": produce, "consume": consume, "latency": latency, "receive": receive}
    commands[sys.argv[1]](dict(word.split("=", 1) for word in sys.argv[2:]))
