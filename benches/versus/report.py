"""Tables of what was measured: medians, the spread beside them, ratios, goals. Markdown for people, JSON for programs."""
import json
import os
import platform
import statistics
import subprocess
import time

import groups
import logs
from brokers import kafka
from driving import OUT, ROOT


def short(value):
    """Three significant digits, thousands with commas."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def judged(goal, value):
    """A goal, and whether it is met."""
    if goal in ("", None) or not isinstance(goal, (int, float)):
        return goal or ""
    return short(goal) if value is None else f"{short(goal)} {'met' if value <= goal else 'missed'}"


class Samples:
    """Numbers by figure, server and name, one for each round."""

    def __init__(self):
        self.rounds = {}

    def add(self, figure, server, numbers):
        place = self.rounds.setdefault(figure, {}).setdefault(server, {})
        for name, value in numbers.items():
            place.setdefault(name, []).append(value)

    def all(self, figure, server, name):
        return self.rounds.get(figure, {}).get(server, {}).get(name, [])

    def median(self, figure, server, name):
        values = self.all(figure, server, name)
        return statistics.median(values) if values else None

    def shown(self, figure, server, name):
        """The median, with the smallest and the largest behind it."""
        values = self.all(figure, server, name)
        if not values:
            return "–"
        if len(values) == 1:
            return short(values[0])
        return f"{short(statistics.median(values))} ({short(min(values))}–{short(max(values))})"

    def ratio(self, figure, name, over="kafka", under="milena"):
        above, below = self.median(figure, over, name), self.median(figure, under, name)
        return f"{above / below:.2g}" if above and below else "–"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def cpu(samples, figures):
    """Broker CPU: a line for each load that was measured."""
    rows = []
    for figure in figures:
        for prefix in ("", "produce_", "consume_"):
            name = f"{prefix}cpu_us_per_record"
            if not samples.all(figure.name, "milena", name) and not samples.all(figure.name, "kafka", name):
                continue
            if figure.group == "latency":
                continue
            kind = prefix.rstrip("_")
            goal = figure.goals.get(kind or "goal")
            rows.append([f"{figure.title}{', ' + kind if kind else ''}", samples.shown(figure.name, "milena", name),
                         judged(goal, samples.median(figure.name, "milena", name)), samples.shown(figure.name, "kafka", name),
                         samples.ratio(figure.name, name), samples.shown(figure.name, "floor", name),
                         samples.ratio(figure.name, name, over="milena", under="floor"),
                         short(samples.median(figure.name, "milena", f"{prefix}cpu_us_per_request")),
                         short(samples.median(figure.name, "milena", f"{prefix}requests"))])
    return table(["broker CPU, µs per record", "Milena", "goal", "Kafka", "Kafka / Milena", "floor", "Milena / floor",
                  "Milena µs per request", "requests"], rows) if rows else ""


def throughput(samples, figures):
    rows = []
    for figure in figures:
        for prefix in ("", "produce_", "consume_"):
            name = f"{prefix}records_per_second"
            if not samples.all(figure.name, "milena", name) and not samples.all(figure.name, "kafka", name):
                continue
            kind = prefix.rstrip("_")
            rows.append([f"{figure.title}{', ' + kind if kind else ''}", samples.shown(figure.name, "milena", name),
                         samples.shown(figure.name, "kafka", name),
                         samples.ratio(figure.name, name, over="milena", under="kafka"),
                         samples.shown(figure.name, "floor", name),
                         short(samples.median(figure.name, "milena", "answer_p50_us")),
                         short(samples.median(figure.name, "kafka", "answer_p50_us"))])
    return table(["records per second, one client (pair)", "Milena", "Kafka", "Milena / Kafka", "floor",
                  "Milena answers after µs", "Kafka answers after µs"], rows) if rows else ""


BARE = {"latency-1k": "relay", "ack-fsync": "fdatasync"}


def latency(samples, figures):
    rows = []
    for figure in (figure for figure in figures if figure.group == "latency"):
        bare = BARE.get(figure.name, "")
        for name in ("p50", "p99"):
            if samples.all(figure.name, "milena", name) or samples.all(figure.name, "kafka", name):
                goal = figure.goals.get(name, "")
                rows.append([f"{figure.title}, {name}", samples.shown(figure.name, "milena", name),
                             judged(goal, samples.median(figure.name, "milena", name)),
                             samples.shown(figure.name, "kafka", name), samples.ratio(figure.name, name),
                             f"{bare} {samples.shown(figure.name, bare, name)}" if bare else "",
                             samples.ratio(figure.name, name, over="milena", under=bare) if bare else ""])
    return table(["latency, µs", "Milena", "goal", "Kafka", "Kafka / Milena", "bare", "Milena / bare"],
                 rows) if rows else ""


LIFECYCLE = [
    ("start", "start_ms", "start to first answered request, empty directory, ms", 15),
    ("start", "stop_ms", "SIGTERM to gone, nothing unflushed, ms", 200),
    ("in-memory", "start_ms", "the same in a host program, data in memory, ms", 7),
    ("idle", "resident_mib", "resident, idle, MiB", 15),
    ("idle", "cpu_percent_of_a_core", "CPU, idle, % of a core", 0.2),
    ("idle", "threads", "threads", "fixed"),
    ("idle", "open_files", "open files, idle", ""),
    ("after loads", "resident_mib", "resident after all loads, MiB", ""),
    ("partitions", "partitions", "partitions that lie still", ""),
    ("partitions", "created_per_second", "made per second, a thousand a request", ""),
    ("partitions", "create_cpu_us_per_partition", "CPU of making one, µs", ""),
    ("partitions", "filled_per_second", "first batches per second, which make the files", ""),
    ("partitions", "fill_cpu_us_per_partition", "CPU of one, µs", ""),
    *(("partitions", f"{state}_{key}", f"{title}, {what}", goal)
      for key, title, goal in (("resident_mib", "resident, MiB", 1024), ("kib_per_partition", "growth per partition, KiB", 8),
                               ("files_per_partition", "open files per partition", 0))
      for state, what in (("unwritten", "never written"), ("written", "one batch each"),
                          ("written_killed", "killed and started"), ("written_clean", "stopped and started"))),
    *(("partitions", f"{state}_{key}", f"{title} {what}", goal)
      for state, what, goals in (("unwritten_clean", "a clean stop, never written", ("", 10_000)),
                                 ("unwritten_killed", "SIGKILL, never written", ("", 30_000)),
                                 ("written_killed", "SIGKILL, one batch each", ("", 30_000)),
                                 ("written_clean", "a clean stop, one batch each", ("200 + flush", 10_000)))
      for key, title, goal in (("stop_ms", "ms to be gone:", goals[0]), ("start_ms", "ms to start after", goals[1]),
                               ("start_cpu_ms", "CPU ms to start after", "")) if (key, state[-6:]) != ("stop_ms", "killed")),
    ("partitions", "untouched_stop_ms", "ms to be gone: a clean stop, nothing unflushed", 1000),
    ("partitions", "written_cpu_percent_of_a_core", "CPU, idle after they were written, % of a core", 2),
    ("partitions", "restarted_cpu_percent_of_a_core", "CPU, idle after a start, % of a core", 2),
    ("partitions", "metadata_p50_ms", "Metadata of all, ms", ""),
    ("partitions", "metadata_beside_max_ms", "the longest another client waited meanwhile, ms", ""),
    ("partitions", "log_dirs_p50_ms", "DescribeLogDirs of all, ms", ""),
    ("partitions", "log_dirs_beside_max_ms", "the longest another client waited meanwhile, ms", ""),
    ("binary", "stripped_mb", "stripped binary, MB", 20),
]


def lifecycle(samples):
    rows = [[title, samples.shown(figure, "milena", name), judged(goal, samples.median(figure, "milena", name)),
             samples.shown(figure, "kafka", name)]
            for figure, name, title, goal in LIFECYCLE
            if samples.all(figure, "milena", name) or samples.all(figure, "kafka", name)]
    return table(["start, stop, memory", "Milena", "goal", "Kafka"], rows) if rows else ""


TAILS = [
    *((f"{state}_{key}", f"{what}, {key} µs", "")
      for state, what in (("quiet", "nobody else reads"), ("warm", "beside a reader of old records in the page cache"),
                          ("cold", "beside a reader of old records on the disk"))
      for key in ("p50", "p99")),
    ("warm_times_quiet", "p99 beside the reader of the page cache / alone", 3),
    ("cold_times_quiet", "p99 beside the reader of the disk / alone", 3),
    ("warm_mb_per_second", "the reader of the page cache had MB/s", ""),
    ("cold_mb_per_second", "the reader of the disk had MB/s", ""),
]


def life(samples):
    """Recovery and compaction, and readers at the tail beside others."""
    wanted = [*logs.ROWS, *(("tails", *row) for row in TAILS)]
    rows = [[title, samples.shown(figure, "milena", name), judged(goal, samples.median(figure, "milena", name)),
             samples.shown(figure, "kafka", name), samples.ratio(figure, name)]
            for figure, name, title, goal in wanted
            if samples.all(figure, "milena", name) or samples.all(figure, "kafka", name)]
    return table(["the log over its life", "Milena", "goal", "Kafka", "Kafka / Milena"], rows) if rows else ""


def coordinator(samples):
    rows = [[title, samples.shown(figure, "milena", name), judged(goal, samples.median(figure, "milena", name)),
             samples.shown(figure, "kafka", name), samples.ratio(figure, name)]
            for figure, name, title, goal in groups.ROWS
            if samples.all(figure, "milena", name) or samples.all(figure, "kafka", name)]
    return table(["groups", "Milena", "goal", "Kafka", "Kafka / Milena"], rows) if rows else ""


def many(found):
    """`found` by server, as lifecycle.many gives it."""
    rows = []
    for server, one in found.items():
        for phase in ("without_scan", "with_scan"):
            if phase not in one:
                continue
            result = one[phase]
            scan = result["scan"]
            for kind in ("produce", "tail"):
                part = result[kind]
                rows.append([f"{server}, {phase.replace('_', ' ')}, {kind}", part["clients"], short(part["all"]["p50_us"]),
                             short(part["all"]["p99_us"]), short(part["p99_of_median_client_us"]),
                             short(part["p99_of_worst_client_us"]), short(part["worst_to_median"]),
                             short(result["broker_cores"]), short(scan["mb_per_second"]) if scan else ""])
    if not rows:
        return ""
    text = table(["many at once (µs)", "clients", "p50", "p99", "p99 of the median client", "p99 of the worst client",
                  "worst / median", "broker cores", "scan MB/s"], rows)
    for server, one in found.items():
        resident = [value for _, value in one["resident_mib"]]
        if resident:
            quarter = max(1, len(resident) // 4)
            text += (f"\n{server}: {one['rate']:,} requests/s; resident MiB, second by second: first quarter up to "
                     f"{short(max(resident[:quarter]))}, last quarter up to {short(max(resident[-quarter:]))}, "
                     f"largest {short(max(resident))}.\n")
    return text


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return {"cores": os.cpu_count(), "cpu": model, "kernel": platform.release(), "commit": commit,
            "kafka": kafka.VERSION, "at": time.strftime("%Y-%m-%d %H:%M"), "load_average": os.getloadavg()[0]}


def write(samples, figures, found_many, how):
    """Prints the tables and writes them with the samples to target/versus."""
    facts = {**machine(), **how}
    head = ", ".join(f"{key} {value}" for key, value in facts.items())
    parts = [cpu(samples, figures), throughput(samples, figures), latency(samples, figures), lifecycle(samples),
             life(samples), coordinator(samples), many(found_many)]
    text = f"{head}\n\nMedians over rounds, the smallest and the largest behind them.\n\n" + "\n".join(filter(None, parts))
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "report.md").write_text(text)
    (OUT / "report.json").write_text(json.dumps({"how": facts, "samples": samples.rounds, "many": found_many}, indent=1))
    return text
