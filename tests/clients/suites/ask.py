"""Every answer to the scripts in ask/ against what Apache Kafka 4.3 answered (ask/expected/, made with ASK_RECORD=1).

Compared are the fields of the answers, error codes above all. Not compared are messages, nor what differs from run to run
(ids, times, addresses): only whether it is there. A line `#! why` before a request in a script says
that Milena answers it differently on purpose; it is then skipped, with that reason. A line `#? why` says that Kafka's own
answer differs from run to run; it is then not compared at all.
"""
import json
import os
import pathlib
import re
import subprocess

from checks import BOOTSTRAP, SERVER, finish

ASK = pathlib.Path(os.environ["CLIENTS"]) / "ask"
EXPECTED = ASK / "expected"
PORT = int(BOOTSTRAP.split(":")[1])

# Fields whose values are a run's own; they are replaced by a word when they are set.
OWN = {"clusterId", "replicaDirectoryId", "logDir", "totalBytes", "usableBytes", "finalizedFeaturesEpoch",
       "lastFetchTimestamp", "lastCaughtUpTimestamp", "lastTimestamp", "sessionId", "producerId", "topicId", "port",
       "logEndOffset", "leader", "authorizedOperations", "clusterAuthorizedOperations", "topicAuthorizedOperations", "partitionSize"}
WORDING = {"errorMessage", "batchIndexErrorMessage", "documentation"}


class Normal:
    """Makes answers of different runs comparable."""

    def __init__(self):
        self.configs = None

    def own(self, name, value):
        unset = (None, -1, "", "AAAAAAAAAAAAAAAAAAAAAA", -2147483648) + (() if name == "producerId" else (0,))
        return value if value in unset else f"<{name}>"

    def value(self, name, value):
        if isinstance(value, str):
            # Members are named by the coordinator.
            if name == "memberId":
                value = re.sub("^[A-Za-z0-9_-]{22}$", "<member>", value)
            value = re.sub(r"(ask|one|two)?-?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<member>", value)
        if name in WORDING:
            return "<text>"
        if name in OWN:
            return self.own(name, value)
        if name == "logAppendTimeMs" and value > 1_600_000_000_000:
            return "<now>"
        if name == "configs" and isinstance(value, list):
            return self.topic_configs(value)
        if isinstance(value, dict):
            if value.get("errorCode") and "logStartOffset" in value:
                # Kafka tells it with some errors of a produce and not with others; no client reads it there.
                value = {**value, "logStartOffset": -1}
            if "currentVoters" in value:
                # Positions in the metadata log.
                value = {**value, "highWatermark": value["highWatermark"] > 0, "leaderEpoch": value["leaderEpoch"] > 0}
            if value.get("name") == "min.insync.replicas":
                # Kafka's feature of eligible leader replicas makes it a dynamic default of the cluster.
                value = {key: child for key, child in value.items() if key not in ("configSource", "synonyms")}
            return {key: self.value(key, child) for key, child in sorted(value.items())}
        if isinstance(value, list):
            children = [self.value("", child) for child in value]
            return sorted(children, key=json.dumps) if children and isinstance(children[0], dict) else children
        return value

    def topic_configs(self, configs):
        """Long lists of configurations are told by what differs from the first one."""
        entries = {entry["name"]: self.value("", entry) for entry in configs if "name" in entry}
        if len(entries) < 30:
            return sorted(entries.values(), key=json.dumps)
        if self.configs is None:
            self.configs = entries
            return [entries[name] for name in sorted(entries)]
        return {"like the first, but": [entries.get(name, f"no {name}") for name in sorted({*entries, *self.configs})
                                        if entries.get(name) != self.configs.get(name)]}

    def line(self, line):
        if line.startswith("{"):
            return json.dumps(self.value("", json.loads(line)))
        if re.fullmatch("[0-9a-f]+", line):
            return f"an answer, correlation id {int(line[:8], 16)}"
        return line


def blocks(text):
    """(request, answer, reason) for each request of a transcript; the reason is that of a `#!` or `#?` line before it."""
    normal, reason, request, answer = Normal(), None, None, []
    for line in [*text.splitlines(), "#"]:
        if line.startswith((">", "#")):
            if request:
                yield request, "\n".join(answer), reason
                request, reason = None, None
            if line.startswith("> "):
                request, answer = line[2:], []
            elif line.startswith(("#!", "#?")):
                reason = line[1:].strip()
        elif line and request:
            answer.append(normal.line(line))


def transcript(script):
    command = ["java", f"-Dlog4j2.configurationFile={os.environ['LOG4J']}", "-cp", os.environ["ASK_CLASSES"], "Ask",
               BOOTSTRAP, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={
        **os.environ, "ASK_ONE_LINE": "1", "ASK_SETTLE_MS": "250" if SERVER == "kafka" else "0"})
    if done.returncode:
        raise RuntimeError(done.stderr[-300:])
    return list(blocks(done.stdout))


def stored(name):
    """The recorded answers in the order of the requests."""
    found, request = [], None
    for line in (EXPECTED / f"{name}.txt").read_text().splitlines():
        if line.startswith("> "):
            found.append([line[2:], []])
        else:
            found[-1][1].append(line)
    return [(request, "\n".join(answer)) for request, answer in found]


def difference(found, expected):
    """The first place where two answers differ, with a little around it."""
    at = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b), min(len(found), len(expected)))
    begin = max(0, at - 60)
    return f"...{found[begin:at + 160]} ... instead of ...{expected[begin:at + 160]}"


def of_those_served(found, expected):
    """What Kafka says of the APIs that are served here; and of the features."""
    if not (found.startswith("{") and expected.startswith("{")):
        return expected
    ours, theirs = json.loads(found), json.loads(expected)
    served = {entry["apiKey"] for entry in ours["apiKeys"]}
    theirs["apiKeys"] = [entry for entry in theirs["apiKeys"] if entry["apiKey"] in served]
    for name in ("supportedFeatures", "finalizedFeatures"):
        if name in ours and name in theirs:
            theirs[name] = [entry for entry in theirs[name] if entry["name"] in {e["name"] for e in ours[name]}]
    return json.dumps(theirs)


def compare(name, answers):
    same, recorded = 0, stored(name)
    # A script may have grown since it was recorded: then it has to be recorded again.
    if [request for request, _ in recorded] != [request for request, _, _ in answers]:
        print(f"FAIL {name}: the requests are not those recorded, run with ASK_RECORD=1 --server kafka")
        return
    for (request, found, reason), (_, expected) in zip(answers, recorded):
        short = request if len(request) < 160 else request[:160] + "..."
        if request.startswith("ApiVersions") and SERVER == "milena":
            expected = of_those_served(found, expected)
        if found == expected:
            same += 1
        elif reason and (SERVER == "milena" or reason.startswith("?")):
            print(f"skip {name}: {short}: {reason[1:].strip()}")
        else:
            print(f"FAIL {name}: {short}: {difference(found, expected)}")
    print(f"ok {name}: {same} of {len(answers)} answers are Kafka's", flush=True)


# Groups come last: they make a topic of fifty partitions that would show in the others.
for path in sorted(ASK.glob("*.ask"), key=lambda path: (path.stem == "groups", path)):
    try:
        answers = transcript(path)
        if os.environ.get("ASK_RECORD") and SERVER == "kafka":
            (EXPECTED / f"{path.stem}.txt").write_text("".join(f"> {r}\n{a}\n" for r, a, _ in answers))
        compare(path.stem, answers)
    except (RuntimeError, subprocess.TimeoutExpired, OSError) as error:
        print(f"FAIL {path.stem}: {error}")
finish()
