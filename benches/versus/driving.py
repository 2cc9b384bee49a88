"""Runs a load against a server and reads the server's CPU time at the load's two marks."""
import hashlib
import json
import mmap
import pathlib
import subprocess
import sys
import threading
import time

import brokers

HERE = pathlib.Path(__file__).resolve().parent
ROOT = brokers.ROOT
OUT = ROOT / "target" / "versus"
# What a server does behind its last answer (flushes, collecting garbage) counts this long.
SETTLE_SECONDS = 0.1
# Since Linux 5.14; Python has no name for it.
MADV_POPULATE_WRITE = 23


def load_program():
    """The path of the load program; it is built when its own sources changed, not when the broker's did."""
    kept, stamp = OUT / "versus-load", OUT / "versus-load.sources"
    sources = sorted((HERE / "load").glob("*.rs"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    if not kept.exists() or not stamp.exists() or stamp.read_text() != digest:
        complain("building the load program, which takes some minutes the first time")
        built = subprocess.run(["cargo", "build", "--release", "--bench", "versus-load", "--message-format=json"], cwd=ROOT,
                               stdout=subprocess.PIPE, check=True, text=True).stdout
        messages = [json.loads(line) for line in built.splitlines() if line.startswith("{")]
        path = next(message["executable"] for message in messages
                    if message.get("executable") and message["target"]["name"] == "versus-load")
        OUT.mkdir(parents=True, exist_ok=True)
        fresh = OUT / "versus-load.new"
        fresh.write_bytes(pathlib.Path(path).read_bytes())
        fresh.chmod(0o755)
        fresh.replace(kept)
        stamp.write_text(digest)
    return str(kept)


def call(command, server=None, within=180, touch_mib=0, at=None):
    """Runs a load; its result, with `cpu_ns` of the server between its marks when there is a server.

    A load may have several pairs of marks: what the server did in each is in `parts`, and `cpu_ns` is that of the last.
    With `at`, a function for each mark, nothing of that is read: they are called just before the load goes on.
    """
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    watchdog = threading.Timer(within, process.kill)
    watchdog.start()
    before = after = None
    result, parts = {}, []
    try:
        for line in process.stdout:
            word = line.strip()
            if at is not None and word in at:
                at[word]()
            elif word == "begin":
                touch_memory(touch_mib)
                before = taken(server)
            elif word == "end":
                time.sleep(SETTLE_SECONDS)
                after = taken(server)
                parts.append(between(before, after))
            else:
                result = json.loads(word)
                continue
            process.stdin.write("\n")
            process.stdin.flush()
        errors = process.stderr.read()
        process.wait()
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
    if process.returncode != 0 or not result:
        raise RuntimeError(f"{' '.join(command[:2])}: status {process.returncode}: {errors.strip()[-400:]}")
    if after is not None:
        result["parts"] = parts
        result["cpu_ns"] = parts[-1]["cpu_ns"]
    return result


def touch_memory(mib):
    """Takes and gives back as much memory as a load fills of the page cache, just before it is measured.

    A virtual machine may have handed its free memory to its host, and a page that comes back from there costs whoever
    touches it first several times what writing to it costs. So nobody who is measured does.
    """
    if mib == 0:
        return
    taken = []
    # Page by page, as the page cache takes them for small writes, and in large pieces as for large ones.
    for pieces in (mmap.MADV_NOHUGEPAGE, mmap.MADV_HUGEPAGE):
        memory = mmap.mmap(-1, mib << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(pieces)
        memory.madvise(MADV_POPULATE_WRITE)
        taken.append(memory)
    for memory in taken:
        memory.close()


def taken(server):
    user, system = server.user_and_system_ns()
    return {"cpu_ns": server.cpu_ns(), "user_ns": user, "system_ns": system, "resident_kib": server.resident_kib()}


def between(before, after):
    """What a server used from one mark to the next, and its resident memory at both."""
    used = {key: after[key] - before[key] for key in ("cpu_ns", "user_ns", "system_ns")}
    return {**used, "resident_kib": (before["resident_kib"], after["resident_kib"])}


def words(options):
    return [f"{key}={value}" for key, value in options.items()]


class Driver:
    """The load program, and librdkafka's in an interpreter that has it."""

    def __init__(self):
        self.program = load_program()
        self._python = None

    def load(self, name, server, gated=False, within=180, touch_mib=0, at=None, **options):
        if server is not None:
            options["addr"] = server.address
        if gated or at:
            options["gate"] = "yes"
        return call([self.program, name, *words(options)], server, within, touch_mib, at)

    def librdkafka(self, name, server, within=180, touch_mib=0, **options):
        if self._python is None:
            import installs
            self._python = installs.python()
        options.update(addr=server.address)
        return call([self._python, str(HERE / "librdkafka.py"), name, *words(options)], server, within, touch_mib)


def complain(text):
    print(f"versus: {text}", file=sys.stderr, flush=True)
