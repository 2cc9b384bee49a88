"""What a log costs over its life: serving again after a kill, and being compacted.

Each figure has servers of its own, measured in turn, round by round; it gives numbers by name for each server and round.
"""
import contextlib
import pathlib
import signal
import threading
import time

import brokers
from lifecycle import until_taken

NAMES = ["recovery", "clean"]
MIB = 1 << 20


@contextlib.contextmanager
def servers(kinds, directory, name, overrides=()):
    """One of each kind with these settings, all up; gone afterwards."""
    found = {}
    try:
        for kind in kinds:
            found[kind] = brokers.BROKERS[kind](pathlib.Path(directory) / f"{kind}-{name}", overrides=overrides)
            found[kind].start()
        yield found
    finally:
        for server in found.values():
            server.discard()


def turns(found, number):
    """Who goes first changes with the round."""
    return list(found.items())[::1 if number % 2 == 0 else -1]


def recovery(kinds, driver, directory, asked, note):
    """1,000 partitions with 1 GiB together, killed while they are written to: until all serve again, page cache warm.

    What is written under load adds a few MiB a round. Neither broker has flushed what is there, so each round recovers all.
    """
    topics, mib = ({"topics": 2, "partitions": 50}, 64) if asked.quick else ({"topics": 10, "partitions": 100}, 1024)
    topics = {"topic": "killed", **topics}
    with servers(kinds, directory, "recovery") as found:
        for server in found.values():
            driver.load("create", server, within=300, **topics)
            until_taken(driver, server, "spread", mib=mib, batch_bytes=16_384, **topics)
        for number in range(asked.rounds):
            for kind, server in turns(found, number):
                note("recovery", kind, lambda: killed(driver, server, topics))


def killed(driver, server, topics):
    killing = threading.Timer(2, lambda: server.end(signal.SIGKILL))
    driver.load("spread", server, within=300, mib=1, batch_bytes=1024, record_bytes=100, on_mb_per_second=10,
                at={"begin": lambda: None, "end": killing.start}, **topics)
    killing.join()
    size = sum(path.stat().st_size for path in server.data.rglob("*.log"))
    server.prepare()
    result = driver.load("serving", server, within=300, record_bytes=100, at={"begin": server.spawn, "end": lambda: None},
                         **topics)
    return {"gib": size / (1 << 30), "cpu_ms": server.cpu_ns() / 1e6, "resident_mib": server.resident_kib() / 1024,
            **{key: result[key] for key in ("answered_ms", "produced_ms", "served_ms")}}


# Nobody waits for a cleaner that sleeps; everything else as it comes.
CLEANER = ["log.cleaner.backoff.ms=100"]
SEGMENT_MIB = 64


def clean(kinds, driver, directory, asked, note):
    """A topic of keys that were overwritten some ten times, turned into a compacted one: until it is clean.

    The clock begins with the change of `cleanup.policy` and ends when `cleaner-offset-checkpoint` says that everything below
    the active segment is clean. Input is those segments' bytes.
    """
    with servers(kinds, directory, "clean", CLEANER) as found:
        for number in range(asked.rounds):
            for record_bytes in (1024, 100):
                for kind, server in turns(found, number):
                    note(f"clean-{record_bytes}", kind, lambda: cleaned(driver, server, asked, number, record_bytes))


def cleaned(driver, server, asked, number, record_bytes):
    mib = 256 if asked.quick else 1024
    topic = f"cleaned-{number}-{record_bytes}"
    records = mib * MIB // record_bytes
    config = f"segment.bytes:{SEGMENT_MIB * MIB},min.cleanable.dirty.ratio:0.01,cleanup.policy:delete"
    driver.load("create", server, topic=topic, config=config)
    try:
        driver.load("produce", server, within=300, topic=topic, records=records, record_bytes=record_bytes, keys="yes",
                    keys_max=records // 10, batch_bytes=16_384, ring_mib=256)
        directory = server.data / f"{topic}-0"
        before = {int(path.stem): path.stat().st_size for path in directory.glob("*.log")}
        active = max(before)
        input_bytes = sum(size for base, size in before.items() if base < active)
        cpu, begun = server.cpu_ns(), time.monotonic()
        driver.load("alter", server, topic=topic, config="cleanup.policy:compact")
        while clean_until(server.data, topic) < active:
            if time.monotonic() - begun > 120 or not server.alive():
                raise RuntimeError(f"{topic} is not clean after {time.monotonic() - begun:.0f} s")
            time.sleep(0.02)
        seconds, cpu = time.monotonic() - begun, server.cpu_ns() - cpu
        kept = sum(path.stat().st_size for path in directory.glob("*.log") if int(path.stem) < active)
        return {"mb_per_second": input_bytes / 1e6 / seconds, "seconds": seconds, "input_mib": input_bytes / MIB,
                "cpu_s_per_gib": cpu / 1e9 / (input_bytes / (1 << 30)), "mb_per_second_of_cpu": input_bytes / 1e6 / (cpu / 1e9),
                "kept_percent": 100 * kept / input_bytes, "resident_mib": server.resident_kib() / 1024}
    finally:
        driver.load("delete", server, topic=topic)


def clean_until(data, topic):
    """The offset below which the topic's only partition is clean, from the file that both brokers write."""
    try:
        lines = (data / "cleaner-offset-checkpoint").read_text().splitlines()
    except OSError:
        return -1
    return next((int(offset) for name, number, offset in (line.split() for line in lines[2:]) if name == topic), -1)


MEASURES = {"recovery": recovery, "clean": clean}

# Figure, number, title, goal.
ROWS = [
    ("recovery", "gib", "1,000 partitions, killed under load: GiB in them", ""),
    ("recovery", "answered_ms", "ms until the first answer", ""),
    ("recovery", "produced_ms", "ms until every partition took a batch", ""),
    ("recovery", "served_ms", "ms until every partition gave records, too", 2000),
    ("recovery", "cpu_ms", "CPU of it, ms", ""),
    ("recovery", "resident_mib", "resident afterwards, MiB", ""),
    *((f"clean-{size}", key, f"compaction, {what}: {title}", goal)
      for size, what in ((1024, "1 KiB records"), (100, "100 B records"))
      for key, title, goal in (("input_mib", "input, MiB", ""), ("seconds", "seconds", ""), ("mb_per_second", "MB/s", ""),
                               ("mb_per_second_of_cpu", "MB/s of a core", ""), ("cpu_s_per_gib", "CPU, s per GiB", ""),
                               ("kept_percent", "% of the bytes kept", ""), ("resident_mib", "resident afterwards, MiB", ""))),
]
