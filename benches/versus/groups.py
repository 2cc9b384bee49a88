"""What consumer groups cost a broker: many that lie still, commits, rebalances, a restart with many offsets, a large group.

Each figure has a server of its own, with the one or two settings it says. Kafka's JVM takes the same load once before it is
measured, under other names, where the load is short. A function gives numbers by name.
"""
import contextlib
import pathlib
import shutil
import signal
import socket
import struct
import tempfile
import time

import brokers

NAMES = ["groups-idle", "commits", "rebalance", "offsets-load", "stall"]
QUIET = ["group.initial.rebalance.delay.ms=0"]


# Size, FindCoordinator 1, correlation id 1, no client id, key "versus", a group's.
FIND_COORDINATOR = struct.pack(">ihhihh6sb", 19, 10, 1, 1, -1, 6, b"versus", 0)


def prime(driver, server):
    """The first question makes the offsets topic; Kafka answers it before it coordinates all of its partitions."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(FIND_COORDINATOR)
        client.recv(4)
    driver.load("offset-wait", server, topic="versus", partitions=0, groups=2450)


@contextlib.contextmanager
def broker(kind, driver, directory, overrides=()):
    """A server with these settings, which is gone afterwards."""
    place = pathlib.Path(tempfile.mkdtemp(prefix=f"{kind}-groups-", dir=directory))
    server = brokers.BROKERS[kind](place, overrides=[*QUIET, *overrides])
    try:
        server.start()
        time.sleep(1 if kind == "milena" else 5)
        prime(driver, server)
        yield server
    finally:
        server.discard()
        shutil.rmtree(place, ignore_errors=True)


def idle(kind, driver, directory, asked):
    """Groups of three members, 30 members a connection, one heartbeat each three seconds."""
    seconds = 6 if asked.quick else 20
    with broker(kind, driver, directory) as server:
        if kind == "kafka":
            driver.load("commits", server, kind="member", topic=topic(driver, server, 1), groups=64, commits=20_000,
                        fetches=20_000, tag="warm")
        result = driver.load("groups-idle", server, gated=True, within=900, groups=asked.groups, seconds=seconds)
        opened, joined, alone, together = result["parts"]
        numbers = {"groups": result["groups"], "resident_mib_before": opened["resident_kib"][0] / 1024,
                   "resident_mib_connections": (opened["resident_kib"][1] - opened["resident_kib"][0]) / 1024,
                   "resident_mib_groups": (joined["resident_kib"][1] - joined["resident_kib"][0]) / 1024,
                   "resident_mib_after": together["resident_kib"][1] / 1024,
                   "join_ms": result["join_ms"], "join_cpu_us_per_group": joined["cpu_ns"] / result["groups"] / 1e3}
        numbers["resident_kib_per_group"] = numbers["resident_mib_groups"] * 1024 / result["groups"]
        for name, part in (("alone", alone), ("together", together)):
            beats = result[name]
            count = max(1, beats["heartbeats"])
            numbers.update({f"{name}_cpu_us": part["cpu_ns"] / count / 1e3, f"{name}_user_us": part["user_ns"] / count / 1e3,
                            f"{name}_system_us": part["system_ns"] / count / 1e3,
                            f"{name}_percent_of_a_core": part["cpu_ns"] / beats["seconds"] / 1e7,
                            f"{name}_per_second": count / beats["seconds"],
                            f"{name}_p50_us": beats["answered"]["p50_us"], f"{name}_p99_us": beats["answered"]["p99_us"]})
        return numbers


def topic(driver, server, partitions, name="versus"):
    driver.load("create", server, topic=name, partitions=partitions, within=900)
    return name


def commits(kind, driver, directory, asked):
    """Offsets of one partition a request, and of a hundred; of committers that are no members, and of members."""
    size = 0.1 if asked.quick else 1
    numbers = {}
    with broker(kind, driver, directory) as server:
        name = topic(driver, server, 100)
        for who, partitions, count in (("simple", 1, 200_000), ("member", 1, 200_000), ("simple", 100, 1_000_000)):
            options = {"topic": name, "kind": who, "partitions": partitions, "groups": 64, "connections": 4, "window": 64,
                       "commits": int(count * size), "fetches": int(count * size)}
            for turn in range(2 if kind == "kafka" else 1):
                result = driver.load("commits", server, gated=True, within=600, tag=f"{partitions}-{turn}", **options)
            for what, part in zip(("commit", "fetch"), result["parts"]):
                done = result[what]
                offsets = done["requests"] * partitions
                label = f"{who}_{partitions}_{what}"
                numbers.update({f"{label}_per_second": offsets / done["seconds"],
                                f"{label}_cpu_us": part["cpu_ns"] / offsets / 1e3,
                                f"{label}_user_us": part["user_ns"] / offsets / 1e3,
                                f"{label}_per_core": offsets / part["cpu_ns"] * 1e9,
                                f"{label}_p99_us": done["answered"]["p99_us"]})
    return numbers


def rebalance(kind, driver, directory, asked):
    """A third member joins a small group."""
    overrides = ["group.consumer.assignment.interval.ms=0", "group.consumer.heartbeat.interval.ms=1000",
                 "group.consumer.min.heartbeat.interval.ms=1000"]
    with broker(kind, driver, directory, overrides) as server:
        name = topic(driver, server, 12)
        rounds = 20 if asked.quick else 200
        for turn in range(2 if kind == "kafka" else 1):
            result = driver.load("rebalance", server, within=600, topic=name, partitions=12, rounds=rounds, tag=turn)
    numbers = {f"{protocol}_{key}_ms": result[protocol][f"{key}_us"] / 1e3
               for protocol in ("classic", "consumer") for key in ("p50", "p99", "max")}
    numbers.update({key: result["consumer"][key] for key in ("heartbeats_p50", "heartbeats_p99")})
    return numbers


def offsets_load(kind, driver, directory, asked):
    """A stop, and a start with many committed offsets: from the start until groups have theirs."""
    groups = 1000 if asked.quick else 10_000
    numbers = {"offsets": groups * 100}
    with broker(kind, driver, directory) as server:
        shape = {"topic": topic(driver, server, 100), "partitions": 100, "groups": groups}
        # One connection, whose turn is every group once: several share a total as they are served.
        driver.load("commits", server, within=900, kind="simple", commits=groups * 100, warm="no", connections=1, **shape)
        for name, number in (("clean", signal.SIGTERM), ("killed", signal.SIGKILL)):
            server.end(number)
            begun = time.perf_counter()
            numbers[f"{name}_start_ms"] = server.start()
            asking = (time.perf_counter() - begun) * 1000
            result = driver.load("offset-wait", server, within=300, **shape)
            # The load program's clock begins when it asks first; it takes some milliseconds to begin.
            numbers[f"{name}_first_ms"] = asking + result["first_ms"]
            numbers[f"{name}_all_ms"] = (time.perf_counter() - begun) * 1000
            numbers[f"{name}_cpu_ms"] = server.cpu_ns() / 1e6
    return numbers


def stall(kind, driver, directory, asked):
    """A group of 1,000 members and 10,000 partitions that members join, and the heartbeats of others meanwhile."""
    # Kafka holds files and memory maps open for each partition, of which the system gives it only so many.
    members, partitions = (100, 1000) if asked.quick else (1000, 10_000 if kind == "milena" else 2000)
    joins = 2 if asked.quick else 5
    with broker(kind, driver, directory) as server:
        result = driver.load("stall", server, gated=True, within=900, topic=topic(driver, server, partitions, "large"),
                             partitions=partitions, members=members, joins=joins)
    quiet, busy = result["parts"]
    # What the others' heartbeats cost goes off.
    alone = quiet["cpu_ns"] / result["quiet_seconds"] * result["join_seconds"]
    numbers = {"members": members, "partitions": partitions, "formed_ms": result["formed_ms"],
               "stable_p50_ms": result["stable"]["p50_us"] / 1e3, "stable_max_ms": result["stable"]["max_us"] / 1e3,
               "cpu_ms_per_join": (busy["cpu_ns"] - alone) / joins / 1e6, "heartbeats_per_join": result["heartbeats"] / joins}
    for phase in ("quiet", "rebalancing"):
        for place in ("near", "far"):
            for key in ("p50", "p99", "max"):
                numbers[f"{phase}_{place}_{key}_us"] = result[phase][place][f"{key}_us"]
    return numbers


MEASURES = dict(zip(NAMES, (idle, commits, rebalance, offsets_load, stall)))

# Figure, number, title, goal.
ROWS = [
    ("groups-idle", "groups", "groups of 3 members that lie still", ""),
    ("groups-idle", "resident_mib_groups", "resident growth by them, MiB", 95),
    ("groups-idle", "resident_kib_per_group", "the same per group, KiB", ""),
    ("groups-idle", "resident_mib_connections", "resident growth by their connections, MiB", ""),
    ("groups-idle", "resident_mib_after", "resident afterwards, MiB", ""),
    ("groups-idle", "join_ms", "joining all of them, ms", ""),
    ("groups-idle", "join_cpu_us_per_group", "CPU of joining, µs per group", ""),
    *(("groups-idle", f"{name}_{key}", f"heartbeats {how}: {title}", goal)
      for name, how in (("alone", "one by one"), ("together", "30 of a connection at once"))
      for key, title, goal in (("per_second", "per second", ""), ("percent_of_a_core", "% of a core", 15),
                               ("cpu_us", "CPU, µs each", ""), ("user_us", "user CPU, µs each", 5),
                               ("system_us", "system CPU, µs each", ""), ("p50_us", "answered, p50 µs", ""),
                               ("p99_us", "answered, p99 µs", ""))),
    *(("commits", f"{who}_{partitions}_{what}_{key}", f"{what}, {by}, {partitions} a request: {title}",
       40 if (key, what) == ("cpu_us", "commit") else "")
      for who, by, partitions in (("simple", "no members", 1), ("member", "members", 1), ("simple", "no members", 100))
      for what in ("commit", "fetch")
      for key, title in (("per_second", "offsets per second"), ("per_core", "offsets per second of CPU"),
                         ("cpu_us", "CPU, µs per offset"), ("user_us", "user CPU, µs per offset"),
                         ("p99_us", "answered, p99 µs"))),
    ("rebalance", "classic_p50_ms", "classic, first JoinGroup to assigned, p50 ms", ""),
    ("rebalance", "classic_p99_ms", "the same, p99 ms", 5),
    ("rebalance", "consumer_p50_ms", "consumer protocol, interval 0, first heartbeat to share, p50 ms", ""),
    ("rebalance", "consumer_p99_ms", "the same, p99 ms", ""),
    ("rebalance", "heartbeats_p50", "heartbeats of the new member for it, p50", ""),
    ("rebalance", "heartbeats_p99", "the same, p99", ""),
    ("offsets-load", "offsets", "offsets to load", ""),
    *(("offsets-load", f"{name}_{key}", f"{how}: {title}", goal)
      for name, how in (("clean", "after a clean stop"), ("killed", "after SIGKILL"))
      for key, title, goal in (("start_ms", "start to first answer, ms", ""),
                               ("first_ms", "start to the first group with its offsets, ms", 2000),
                               ("all_ms", "start to all groups with theirs, ms", 2000),
                               ("cpu_ms", "CPU of it, ms", ""))),
    ("stall", "members", "members of the large group", ""),
    ("stall", "partitions", "its partitions", ""),
    ("stall", "formed_ms", "forming it, ms", ""),
    ("stall", "stable_p50_ms", "a member joins it: until stable, p50 ms", ""),
    ("stall", "cpu_ms_per_join", "CPU of that, with all its heartbeats, ms", ""),
    ("stall", "heartbeats_per_join", "heartbeats of that", ""),
    *(("stall", f"{phase}_{place}_{key}_us", f"heartbeat of a group {where} {when}, {key} µs", "")
      for place, where in (("near", "of its offsets partition"), ("far", "of another one"))
      for phase, when in (("quiet", "before"), ("rebalancing", "meanwhile"))
      for key in ("p50", "p99", "max")),
]
