"""The figures taken round by round: CPU per record, throughput, latency.

A figure is a function of (driver, server, size) that gives numbers by name; `size` is 1 for a full run and smaller for a
quick one. Every load has a topic of its own, which is deleted afterwards.
"""
import dataclasses
import itertools
import typing

from lifecycle import forget_pages

MIB = 1 << 20
_topics = itertools.count()


@dataclasses.dataclass
class Figure:
    name: str
    title: str
    group: str
    measure: typing.Callable
    # What issue 4 asks for, in microseconds of broker CPU per record, or by metric.
    goals: dict
    # Whether the bare server can take the same load.
    floor: bool = False


class Topic:
    """A topic for one load."""

    def __init__(self, driver, server, partitions=1, config=""):
        self.driver, self.server, self.partitions, self.config = driver, server, partitions, config
        self.name = f"versus-{next(_topics)}"

    def __enter__(self):
        if self.server.name != "floor":
            self.driver.load("create", self.server, topic=self.name, partitions=self.partitions, config=self.config)
        return self.name

    def __exit__(self, *_):
        if self.server.name != "floor":
            self.driver.load("delete", self.server, topic=self.name)


def per_record(result):
    """The numbers of a result that has CPU time."""
    numbers = {"cpu_us_per_record": result["cpu_ns"] / result["records"] / 1e3,
               "records_per_second": result["records_per_second"]}
    if "requests" in result:
        numbers["cpu_us_per_request"] = result["cpu_ns"] / result["requests"] / 1e3
        numbers["requests"] = result["requests"]
        numbers["cores"] = result["cpu_ns"] / result["seconds"] / 1e9
    if "answered" in result:
        numbers["answer_p50_us"] = result["answered"]["p50_us"]
        numbers["answer_p99_us"] = result["answered"]["p99_us"]
    return numbers


def touched(mib, size):
    """Memory to be had from the host before a load that writes so much."""
    return int(mib * size) + 64


def produce(mib, record_bytes, batch_bytes, **more):
    def measure(driver, server, size):
        records = int(mib * size * MIB // record_bytes)
        with Topic(driver, server) as topic:
            return per_record(driver.load("produce", server, gated=True, touch_mib=touched(mib, size), topic=topic,
                                          records=records, record_bytes=record_bytes, batch_bytes=batch_bytes, **more))
    return measure


def keyed(requests):
    def measure(driver, server, size):
        with Topic(driver, server, partitions=10) as topic:
            return per_record(driver.load("keyed", server, gated=True, topic=topic, partitions=10, connections=50,
                                          batch_records=10, record_bytes=100, keys="yes", requests=int(requests * size)))
    return measure


def consume(mib, rounds, record_bytes):
    def measure(driver, server, size):
        records = int(mib * size * MIB // record_bytes)
        with Topic(driver, server) as topic:
            driver.load("produce", server, topic=topic, records=records, record_bytes=record_bytes, batch_bytes=16_384)
            return per_record(driver.load("consume", server, gated=True, topic=topic, records=records, rounds=rounds))
    return measure


def pair(mib, record_bytes, batch_bytes):
    """Both ends at once. Requests are of two kinds here, so there is no figure for one."""
    def measure(driver, server, size):
        records = int(mib * size * MIB // record_bytes)
        with Topic(driver, server) as topic:
            result = driver.load("pair", server, gated=True, touch_mib=touched(mib, size), topic=topic,
                                 records=records, record_bytes=record_bytes, batch_bytes=batch_bytes)
        return {"cpu_us_per_record": result["cpu_ns"] / result["records"] / 1e3,
                "records_per_second": result["records_per_second"],
                "answer_p50_us": result["produce"]["answered"]["p50_us"]}
    return measure


def librdkafka(mib, record_bytes, batch_bytes):
    """Produces, then consumes, with librdkafka; numbers of both."""
    def measure(driver, server, size):
        records = int(mib * size * MIB // record_bytes)
        with Topic(driver, server) as topic:
            numbers = {}
            for name in ("produce", "consume"):
                touch_mib = touched(mib, size) if name == "produce" else 0
                result = driver.librdkafka(name, server, touch_mib=touch_mib, topic=topic, records=records,
                                           record_bytes=record_bytes, batch_bytes=batch_bytes)
                numbers.update({f"{name}_{key}": value for key, value in per_record(result).items()})
            return numbers
    return measure


def latency(rate, seconds):
    def measure(driver, server, size):
        with Topic(driver, server) as topic:
            result = driver.load("latency", server, gated=True, topic=topic, rate=rate, seconds=max(1.0, seconds * size),
                                 record_bytes=100)
        return {**received(result), "cpu_us_per_record": result["cpu_ns"] / result["records"] / 1e3}
    return measure


def librdkafka_latency(rate, seconds):
    def measure(driver, server, size):
        with Topic(driver, server) as topic:
            result = driver.librdkafka("latency", server, topic=topic, rate=rate, seconds=max(1.0, seconds * size))
        return {**received(result), "cpu_us_per_record": result["cpu_ns"] / result["records"] / 1e3,
                "rate_kept": result["records"] / result["seconds"] / rate}
    return measure


def received(result):
    return {key: result["received"][f"{key}_us"] for key in ("p50", "p99")}


def acknowledged(config, seconds):
    """From send to answer, one request after the other, 300 a second."""
    def measure(driver, server, size):
        with Topic(driver, server, config=config) as topic:
            result = driver.load("ack", server, gated=True, topic=topic, rate=300, seconds=max(1.0, seconds * size),
                                 record_bytes=1024)
        return {key: result["answered"][f"{key}_us"] for key in ("p50", "p99")}
    return measure


def catch_up(mib, cold):
    """One client reads what is old as fast as it can, while 200 requests of ten records a second come and are followed.

    What coming and following cost is measured before, for the same time, and is not counted.
    """
    def measure(driver, server, size):
        records = int(mib * size * MIB // 1024)
        steady = {"rate": 200, "batch_records": 10, "record_bytes": 1024, "within": 300}
        with Topic(driver, server) as topic, Topic(driver, server, partitions=4) as old:
            prefill(driver, server, old, records)
            alone = driver.load("beside", server, gated=True, topic=topic, seconds=max(1.0, 3 * size), **steady)
            if cold:
                forget_pages(server.data)
            both = driver.load("beside", server, gated=True, topic=topic, seconds=120, scan="yes", old=old, old_partitions=4,
                               laps=1, **steady)
        scan = both["scan"]
        cpu_ns = both["cpu_ns"] - alone["cpu_ns"] / alone["seconds"] * both["seconds"]
        return {"cpu_us_per_record": cpu_ns / scan["records"] / 1e3, "records_per_second": scan["records"] / scan["seconds"],
                "mb_per_second": scan["mb_per_second"], "tail_p99_us": both["received"]["p99_us"],
                "answer_p50_us": scan["answered"]["p50_us"]}
    return measure


def tails(mib, mb_per_second):
    """Three readers at the tail, 500 records a second: alone, beside a reader of old records from the cache, and from the disk."""
    def measure(driver, server, size):
        seconds = max(2.0, 8 * size)
        steady = {"rate": 500, "record_bytes": 100, "readers": 3, "seconds": seconds, "within": 300}
        numbers = {}
        with Topic(driver, server) as topic, Topic(driver, server, partitions=4) as old:
            prefill(driver, server, old, int(mib * size * MIB // 1024))
            reader = {"scan": "yes", "old": old, "old_partitions": 4, "scan_mb_per_second": mb_per_second}
            for name, more in (("quiet", {}), ("warm", reader), ("cold", reader)):
                if name == "cold":
                    forget_pages(server.data)
                result = driver.load("beside", server, gated=True, topic=topic, **steady, **more)
                numbers.update({f"{name}_{key}": result["received"][f"{key}_us"] for key in ("p50", "p99")})
                if result["scan"]:
                    numbers[f"{name}_mb_per_second"] = result["scan"]["mb_per_second"]
                    numbers[f"{name}_times_quiet"] = numbers[f"{name}_p99"] / numbers["quiet_p99"]
        return numbers
    return measure


def prefill(driver, server, topic, records):
    """Old records in four partitions, in the batches that the Java client makes."""
    driver.load("produce", server, within=300, touch_mib=touched(records >> 10, 1), topic=topic, partitions=4, records=records,
                record_bytes=1024, batch_bytes=16_384)


def compressed(codec):
    return Figure(f"produce-{codec}", f"produce {codec}, lines of JSON of 250 B, 64 KiB batches before compression",
                  "compressed", produce(96, 250, 65_536, codec=codec, values="text"), {}, floor=True)


FIGURES = [
    Figure("produce-1k-1m", "produce 1 KiB, 1 MB batches", "cpu", produce(384, 1024, 1_000_000), {"goal": 0.6}, True),
    Figure("produce-100b-1m", "produce 100 B, 1 MB batches", "cpu", produce(256, 100, 1_000_000), {"goal": 0.08}, True),
    Figure("produce-1k-16k", "produce 1 KiB, 16 KiB batches", "cpu", produce(256, 1024, 16_384), {"goal": 1.5}, True),
    Figure("produce-100b-16k", "produce 100 B, 16 KiB batches", "cpu", produce(256, 100, 16_384), {"goal": 0.15}, True),
    Figure("keyed-50", "50 keyed producers, batches of ten 100 B", "cpu", keyed(20_000), {"goal": 2.0}, True),
    Figure("consume-1k", "consume 1 KiB", "cpu", consume(256, 2, 1024), {"goal": 0.25}, True),
    Figure("consume-100b", "consume 100 B", "cpu", consume(256, 2, 100), {"goal": 0.03}, True),
    Figure("pair-1k-16k", "producer and consumer at once, 1 KiB, 16 KiB batches", "pair", pair(256, 1024, 16_384), {}),
    Figure("pair-100b-16k", "producer and consumer at once, 100 B, 16 KiB batches", "pair", pair(256, 100, 16_384), {}),
    *(compressed(codec) for codec in ("gzip", "snappy", "lz4", "zstd")),
    Figure("librdkafka-1k", "librdkafka 1 KiB, 1 MB batches", "librdkafka", librdkafka(192, 1024, 1_000_000),
           {"produce": 0.6, "consume": 0.25}),
    Figure("librdkafka-100b", "librdkafka 100 B, 1 MB batches", "librdkafka", librdkafka(64, 100, 1_000_000),
           {"produce": 0.08, "consume": 0.03}),
    Figure("latency-1k", "plain sockets, 1,000 records/s", "latency", latency(1000, 3), {"p50": "relay x 2",
                                                                                        "p99": "relay x 3"}),
    Figure("latency-rd-1k", "librdkafka at both ends, 1,000 records/s", "latency", librdkafka_latency(1000, 3),
           {"p50": 200, "p99": 500}),
    Figure("latency-rd-10k", "librdkafka at both ends, 10,000 records/s", "latency", librdkafka_latency(10_000, 3),
           {"p50": 300, "p99": 1000}),
    Figure("ack", "send to answer, no fsync, 300/s", "latency", acknowledged("", 1), {}),
    Figure("ack-fsync", "send to answer, flush.messages=1, 300/s", "latency", acknowledged("flush.messages:1", 2),
           {"p50": "fdatasync x 2"}),
    Figure("catch-up-warm", "old records while others come, 1 KiB, page cache warm", "catch-up", catch_up(1024, False), {}),
    Figure("catch-up-cold", "old records while others come, 1 KiB, from the disk", "catch-up", catch_up(1024, True), {}),
    Figure("tails", "readers at the tail beside one of old records", "catch-up", tails(1024, 100), {}),
]


def relay(driver, server, size):
    """The floor of `latency-1k`: the same requests through a process that only hands them on."""
    return received(driver.load("relay-latency", server, rate=1000, seconds=max(1.0, 3 * size), record_bytes=100))


def bare_fdatasync(driver, directory, size):
    """The floor of `ack-fsync`: the same bytes at the same pace, written and synced."""
    result = driver.load("fdatasync", None, file=f"{directory}/bare-fdatasync", rate=300, seconds=max(1.0, 2 * size),
                         record_bytes=1024)
    return {key: result["synced"][f"{key}_us"] for key in ("p50", "p99")}
