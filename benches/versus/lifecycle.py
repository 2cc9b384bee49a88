"""What a broker costs before and after it works: start, stop, memory, threads, idle CPU, partitions that lie still."""
import pathlib
import signal
import statistics
import subprocess
import tempfile
import time

import brokers
from driving import OUT


# Partitions of a topic that lie still, and so those made by one request.
PER_TOPIC = 1000


def median(samples):
    return statistics.median(samples) if samples else None


def starts(kind, directory, rounds):
    """Milliseconds from start to first answer, and from SIGTERM to gone with nothing unflushed: empty directories."""
    up, down = [], []
    for number in range(rounds):
        broker = brokers.BROKERS[kind](pathlib.Path(directory) / f"{kind}-start-{number}")
        try:
            up.append(broker.start())
            time.sleep(0.5)
            down.append(broker.end())
        finally:
            broker.discard()
    return {"start_ms": up, "stop_ms": down}


def idle(kind, directory, seconds):
    """A broker nobody has asked for anything."""
    broker = brokers.BROKERS[kind](pathlib.Path(directory) / f"{kind}-idle")
    try:
        broker.start()
        time.sleep(3 if kind == "milena" else 15)
        before, begun = broker.cpu_ns(), time.monotonic_ns()
        time.sleep(seconds)
        cpu, taken = broker.cpu_ns() - before, time.monotonic_ns() - begun
        return {"resident_mib": broker.resident_kib() / 1024, "threads": broker.threads(),
                "open_files": broker.open_files(), "cpu_percent_of_a_core": 100 * cpu / taken}
    finally:
        broker.discard()


def partitions(kind, driver, directory, count, settle):
    """Topics that lie still: never written, then one batch each; stops and kills, and the starts after them.

    The page cache is warm. A start counts until the first answer, which comes when all partitions are led.
    """
    broker = brokers.BROKERS[kind](pathlib.Path(directory) / f"{kind}-partitions")
    topics = {"topic": "still", "topics": max(1, count // PER_TOPIC), "partitions": min(count, PER_TOPIC)}
    found = {"partitions": topics["topics"] * topics["partitions"]}
    count = found["partitions"]

    def look(name, after):
        time.sleep(after)
        found[f"{name}_resident_mib"] = broker.resident_kib() / 1024
        found[f"{name}_open_files"] = broker.open_files()
        growth = found[f"{name}_resident_mib"] - found.get("empty_resident_mib", 0)
        found[f"{name}_kib_per_partition"] = growth * 1024 / count
        found[f"{name}_files_per_partition"] = (found[f"{name}_open_files"] - found.get("empty_open_files", 0)) / count

    def again(name, number):
        """Ends it, starts it, and sees to it that everything is there."""
        found[f"{name}_stop_ms"] = broker.end(number, seconds=300)
        found[f"{name}_start_ms"] = broker.start(seconds=300)
        found[f"{name}_start_cpu_ms"] = broker.cpu_ns() / 1e6
        asked = driver.load("questions", broker, rounds=5)
        if asked["metadata"]["partitions"] < count:
            raise RuntimeError(f"{name}: {asked['metadata']['partitions']} of {count} partitions are led")
        for question in ("metadata", "log_dirs"):
            found[f"{question}_p50_ms"] = asked[question]["answered"]["p50_us"] / 1e3
            found[f"{question}_beside_max_ms"] = asked[question]["small"]["max_us"] / 1e3
        look(name, settle)

    def idle(name):
        before, begun = broker.cpu_ns(), time.monotonic_ns()
        time.sleep(max(settle, 15))
        found[f"{name}_cpu_percent_of_a_core"] = 100 * (broker.cpu_ns() - before) / (time.monotonic_ns() - begun)

    try:
        broker.start()
        look("empty", settle)
        before = broker.cpu_ns()
        created = driver.load("create", broker, within=600, **topics)
        found["create_ms"] = created["create_ms"]
        found["create_cpu_us_per_partition"] = (broker.cpu_ns() - before) / count / 1e3
        found["created_per_second"] = count / created["create_ms"] * 1e3
        look("unwritten", settle)
        again("unwritten_clean", signal.SIGTERM)
        again("unwritten_killed", signal.SIGKILL)
        before = broker.cpu_ns()
        found["fill_ms"] = until_taken(driver, broker, "fill", record_bytes=100, **topics)["fill_ms"]
        found["fill_cpu_us_per_partition"] = (broker.cpu_ns() - before) / count / 1e3
        found["filled_per_second"] = count / found["fill_ms"] * 1e3
        look("written", 3 * settle)
        idle("written")
        again("written_killed", signal.SIGKILL)
        again("written_clean", signal.SIGTERM)
        idle("restarted")
        found["untouched_stop_ms"] = broker.end(seconds=300)
    finally:
        broker.discard()
    return found


def until_taken(driver, broker, load, **options):
    """Runs a load that writes; Kafka refuses for a while after it has named the leaders of many partitions."""
    for left in range(10, -1, -1):
        try:
            return driver.load(load, broker, within=600, **options)
        except RuntimeError:
            if left == 0 or not broker.alive():
                raise
            time.sleep(3)


def binary():
    """Size of the stripped binary in MB."""
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=OUT) as stripped:
        subprocess.run(["strip", "-o", stripped.name, str(brokers.Milena.binary())], check=True)
        return {"stripped_mb": pathlib.Path(stripped.name).stat().st_size / 1e6}


def many(driver, broker, seconds, rate, prefill_mib):
    """1,000 producers, 50 consumers at the tail, and then also one reader from the start; memory all the while."""
    import threading
    samples, over = [], threading.Event()

    def sample():
        begun = time.monotonic()
        while not over.wait(1.0):
            samples.append((round(time.monotonic() - begun, 1), broker.resident_kib() / 1024))

    found = {"rate": rate}
    driver.load("create", broker, topic="many", partitions=100)
    driver.load("produce", broker, topic="many", partitions=100, records=prefill_mib * 1024, record_bytes=1024,
                batch_bytes=65_536)
    watching = threading.Thread(target=sample, daemon=True)
    watching.start()
    try:
        for scan in ("no", "yes"):
            if scan == "yes":
                forget_pages(broker.data)
            result = driver.load("many", broker, gated=True, topic="many", partitions=100, rate=rate, seconds=seconds,
                                 scan=scan, scan_mb_per_second=100)
            cores = result["cpu_ns"] / 1e9 / (seconds + 2.5)
            found["with_scan" if scan == "yes" else "without_scan"] = {**result, "broker_cores": cores}
    finally:
        over.set()
        watching.join()
        driver.load("delete", broker, topic="many")
    found["resident_mib"] = samples
    return found


def forget_pages(data):
    """Drops a data directory's pages from the cache, so that the reader finds its bytes on the disk."""
    import os
    os.sync()
    for path in pathlib.Path(data).rglob("*.log"):
        try:
            file = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)
