"""kcat (librdkafka as Debian ships it, 2.0): metadata, produce and consume on the command line."""
import json
import subprocess
import time

from checks import BOOTSTRAP, check, equal, finish, true

NULL = "-Z"


def kcat(*arguments, stdin=None, seconds=30, fails=False):
    done = subprocess.run(["kcat", "-b", BOOTSTRAP, "-m", "10", *arguments], input=stdin, capture_output=True,
                          timeout=seconds)
    if (done.returncode != 0) != fails:
        raise AssertionError(f"kcat {' '.join(arguments)}: status {done.returncode}: {done.stderr.decode()[-300:]}")
    return done.stdout.decode() if not fails else done.stderr.decode()


def produce(topic, text, *options):
    kcat("-P", "-t", topic, "-p", "0", *options, stdin=text.encode())


def consume(topic, *options, partition="0"):
    """Reads to the end of the partition; one line per record: offset|key|value|headers, null as NULL."""
    out = kcat("-C", "-q", "-e", "-t", topic, "-p", partition, NULL, "-f", "%o|%k|%s|%h\\n",
               "-X", "fetch.wait.max.ms=20", *options)
    return out.splitlines()


def values(topic, *options):
    return [line.split("|")[2] for line in consume(topic, *options)]


with check("metadata of the cluster lists this broker as controller"):
    listing = json.loads(kcat("-L", "-J"))
    equal([broker["name"] for broker in listing["brokers"]], [BOOTSTRAP], "brokers")
    equal(listing["controllerid"], listing["brokers"][0]["id"], "controller")
    kcat("-L")

with check("a topic is created by asking for its metadata, and then has a leader"):
    kcat("-L", "-t", "kcat-auto")
    for _ in range(50):
        topic = json.loads(kcat("-L", "-J", "-t", "kcat-auto"))["topics"][0]
        if topic.get("partitions"):
            break
        time.sleep(0.1)
    equal(topic["topic"], "kcat-auto")
    equal([p["partition"] for p in topic["partitions"]], [0], "partitions")
    true(topic["partitions"][0]["leader"] >= 0, "no leader")
    equal(topic["partitions"][0]["isrs"], topic["partitions"][0]["replicas"], "isr")

with check("ten lines produced are read back from the beginning"):
    produce("kcat-lines", "".join(f"line {i}\n" for i in range(10)))
    equal(values("kcat-lines", "-o", "beginning"), [f"line {i}" for i in range(10)])

with check("consume from an offset"):
    equal(consume("kcat-lines", "-o", "7"), [f"{i}||line {i}|".replace("||", "|NULL|") for i in (7, 8, 9)])

with check("consume the last three (-o -3)"):
    equal(values("kcat-lines", "-o", "-3"), ["line 7", "line 8", "line 9"])

with check("consume from the end finds nothing old"):
    equal(values("kcat-lines", "-o", "end"), [])

with check("consume a limited number of records (-c)"):
    equal(values("kcat-lines", "-o", "beginning", "-c", "4"), [f"line {i}" for i in range(4)])

with check("consume from a time (s@) up to a time (e@)"):
    produce("kcat-times", "before\n")
    time.sleep(0.3)
    middle = int(time.time() * 1000)
    time.sleep(0.3)
    produce("kcat-times", "after 1\nafter 2\n")
    equal(values("kcat-times", "-o", f"s@{middle}"), ["after 1", "after 2"])
    equal(values("kcat-times", "-o", "s@0", "-o", f"e@{middle}"), ["before"])

with check("query of offsets by time (-Q)"):
    equal(kcat("-Q", "-t", f"kcat-times:0:{middle}").strip(), "kcat-times [0] offset 1")
    equal(kcat("-Q", "-t", "kcat-times:0:-2").strip(), "kcat-times [0] offset 0")
    equal(kcat("-Q", "-t", "kcat-times:0:-1").strip(), "kcat-times [0] offset 3")

with check("keys, headers (one name twice) and null values"):
    produce("kcat-shapes", "k1:v1\nk2:\n", "-K", ":", NULL, "-H", "a=1", "-H", "a=2", "-H", "b=")
    equal(consume("kcat-shapes", "-o", "beginning"), ["0|k1|v1|a=1,a=2,b=", "1|k2|NULL|a=1,a=2,b="])

with check("timestamps come back as they were stamped"):
    before = int(time.time() * 1000)
    produce("kcat-stamps", "x\n")
    stamp = int(kcat("-C", "-q", "-e", "-t", "kcat-stamps", "-p", "0", "-f", "%T"))
    true(before - 1000 <= stamp <= int(time.time() * 1000) + 1000, f"timestamp {stamp}")

for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    with check(f"codec {codec}"):
        text = [f"{codec} {i} " + "abc" * 50 for i in range(200)]
        produce(f"kcat-{codec}", "\n".join(text) + "\n", "-z", codec)
        equal(values(f"kcat-{codec}", "-o", "beginning"), text)
        equal(values(f"kcat-{codec}", "-o", "150"), text[150:], "from the middle")

with check("acks 0, 1 and all"):
    for acks in ("0", "1", "all"):
        produce("kcat-acks", f"acks {acks}\n", "-X", f"acks={acks}")
        deadline = time.monotonic() + 5
        while f"acks {acks}" not in values("kcat-acks", "-o", "beginning"):
            true(time.monotonic() < deadline, f"acks {acks} did not arrive")

with check("idempotent producer"):
    produce("kcat-idempotent", "".join(f"{i}\n" for i in range(1000)), "-X", "enable.idempotence=true")
    equal(values("kcat-idempotent", "-o", "beginning"), [str(i) for i in range(1000)])

with check("a record of nearly a megabyte"):
    big = "m" * 990_000
    produce("kcat-big", big + "\n")
    equal(values("kcat-big", "-o", "beginning"), [big])

with check("small fetches (fetch.max.bytes, max.partition.fetch.bytes) make progress"):
    small = ["-X", "fetch.message.max.bytes=100", "-X", "fetch.max.bytes=1000", "-X", "message.max.bytes=1000",
             "-X", "receive.message.max.bytes=2000", "-X", "queued.min.messages=1"]
    equal(values("kcat-lines", "-o", "beginning", *small), [f"line {i}" for i in range(10)])

with check("an offset out of range ends where auto.offset.reset says"):
    equal(values("kcat-lines", "-o", "99", "-X", "topic.auto.offset.reset=earliest"), [f"line {i}" for i in range(10)])

with check("a partition that does not exist is an error"):
    said = kcat("-C", "-e", "-t", "kcat-lines", "-p", "77", fails=True)
    true("nknown partition" in said or "does not exist" in said, said)

finish()
