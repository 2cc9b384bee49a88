"""Consumer groups with librdkafka: both protocols, eager and cooperative, static members, members and brokers that die."""
import json
import os
import signal
import subprocess
import sys
import threading
import time

from confluent_kafka import (Consumer, ConsumerGroupState, ConsumerGroupTopicPartitions, ConsumerGroupType, KafkaError,
                             KafkaException, Producer, TopicPartition)
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from checks import BOOTSTRAP, check, control, equal, finish, true

PATIENCE = 40
admin = AdminClient({"bootstrap.servers": BOOTSTRAP, "socket.timeout.ms": 10000})

# Settings of each way to be a member.
WAYS = {
    "classic, range": {"partition.assignment.strategy": "range", "session.timeout.ms": 6000, "heartbeat.interval.ms": 300},
    "classic, cooperative": {"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 6000,
                             "heartbeat.interval.ms": 300},
    "consumer protocol": {"group.protocol": "consumer"},
}


def eventually(what, condition, seconds=PATIENCE):
    """Waits until the condition holds; an AssertionError with `what` (text or function) when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(what() if callable(what) else what)
        time.sleep(0.05)


class Member:
    """A member in a process of its own, and everything it reported."""

    def __init__(self, group, topics, way, **settings):
        config = {"bootstrap.servers": BOOTSTRAP, "group.id": group, "auto.offset.reset": "earliest",
                  "enable.auto.commit": False, "topic.metadata.refresh.interval.ms": 1000, "fetch.wait.max.ms": 50,
                  **WAYS[way], **settings}
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "group_member.py")
        self.process = subprocess.Popen([sys.executable, program, json.dumps(config), topics], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.events = []
        self.owned = set()
        self.killed = False
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self):
        for line in self.process.stdout:
            event = json.loads(line)
            self.events.append((time.monotonic(), *event))
            if event[0] == "assigned":
                self.owned |= {tuple(p) for p in event[1]}
            if event[0] in ("revoked", "lost"):
                self.owned -= {tuple(p) for p in event[1]}
            if event[0] == "closed":
                self.owned = set()

    def of(self, kind):
        return [event[2:] for event in list(self.events) if event[1] == kind]

    def read(self):
        return [tuple(event) for event in self.of("read")]

    def close(self):
        self.process.stdin.write("close\n")
        self.process.stdin.flush()
        equal(self.process.wait(PATIENCE), 0, "exit status of a member")
        self.listener.join(5)

    def kill(self):
        self.killed = True
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.listener.join(5)
        self.owned = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()


def create(topic, partitions):
    list(admin.create_topics([NewTopic(topic, partitions, 1)]).values())[0].result(20)
    return topic


def produce(topic, values, partitions):
    """One record per value, dealt out over the partitions in turn."""
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True, "linger.ms": 2})
    failed = []
    for number, value in enumerate(values):
        producer.produce(topic, value, partition=number % partitions,
                         on_delivery=lambda error, _: failed.append(error) if error else None)
    equal(producer.flush(30), 0, "not delivered")
    equal(failed, [], "failed deliveries")


def owns_all(members, topic, partitions):
    """Whether the members own every partition, each once, and each member has a share."""
    everything = [p for member in members for p in member.owned]
    wanted = {(topic, p) for p in range(partitions)}
    return len(everything) == len(set(everything)) and set(everything) == wanted and all(m.owned for m in members)


def balanced(members, topic, partitions):
    eventually(lambda: f"owned: {[sorted(m.owned) for m in members]}", lambda: owns_all(members, topic, partitions))


def all_read(members, values):
    wanted = set(values)
    def seen():
        return {event[3] for member in members for event in member.read()}
    eventually(lambda: f"{len(wanted - seen())} of {len(wanted)} records were not read", lambda: wanted <= seen())


def committed(group, topic, partitions):
    request = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, p) for p in range(partitions)])
    answer = admin.list_consumer_group_offsets([request])[group].result(20)
    return [p.offset for p in answer.topic_partitions]


for number, way in enumerate(WAYS):
    label = f"{way}:"
    topic, group = f"grp-{number}", f"group-{number}"

    with check(f"{label} one member reads everything; the next one goes on where it committed"):
        create(topic, 4)
        produce(topic, [f"a{i}" for i in range(100)], 4)
        with Member(group, topic, way) as member:
            all_read([member], [f"a{i}" for i in range(100)])
            eventually("commits", lambda: committed(group, topic, 4) == [25] * 4)
            member.close()
        produce(topic, [f"b{i}" for i in range(20)], 4)
        with Member(group, topic, way) as member:
            all_read([member], [f"b{i}" for i in range(20)])
            equal([value for *_, value in member.read() if value.startswith("a")], [], "read again")
            member.close()

    with check(f"{label} members join and leave; each partition has one owner, and nobody reads what another has"):
        with Member(group, topic, way) as one, Member(group, topic, way) as two:
            balanced([one, two], topic, 4)
            with Member(group, topic, way) as three:
                balanced([one, two, three], topic, 4)
                produce(topic, [f"c{i}" for i in range(40)], 4)
                all_read([one, two, three], [f"c{i}" for i in range(40)])
                reads = [event[:3] for m in (one, two, three) for event in m.read()]
                equal(len(reads), len(set(reads)), "records read, and read once")
                three.close()
            balanced([one, two], topic, 4)
            two.close()
            balanced([one], topic, 4)
            one.close()

    with check(f"{label} revoked comes before assigned elsewhere, and a commit in the callback counts"):
        produce(topic, [f"d{i}" for i in range(40)], 4)
        with Member(group, topic, way, commits="on-revoke") as one:
            all_read([one], [f"d{i}" for i in range(40)])
            before = committed(group, topic, 4)
            with Member(group, topic, way, commits="on-revoke") as two:
                balanced([one, two], topic, 4)
                moved = {p for _, p in two.owned}
                given = [at for at, kind, *_ in one.events if kind == "revoked"]
                taken = [at for at, kind, *rest in two.events if kind == "assigned" and rest[0]]
                true(given and given[0] <= taken[0], f"revoked at {given}, assigned at {taken}")
                after = committed(group, topic, 4)
                equal([after[p] - before[p] for p in sorted(moved)], [10] * len(moved), "committed in the callback")
                equal([e for m in (one, two) for e in m.of("error")], [], "errors")
                time.sleep(0.3)
                equal([event for event in two.read() if event[3].startswith("d")], [], "read by both")
                two.close()
            one.close()
            equal(committed(group, topic, 4), [p + 10 for p in before], "committed on closing")

    with check(f"{label} a member that is killed loses its partitions after its session"):
        with Member(group, topic, way) as one, Member(group, topic, way) as two:
            balanced([one, two], topic, 4)
            two.kill()
            produce(topic, [f"e{i}" for i in range(40)], 4)
            eventually(lambda: f"owned: {sorted(one.owned)}", lambda: owns_all([one], topic, 4), 75)
            all_read([one], [f"e{i}" for i in range(40)])
            one.close()

    with check(f"{label} a static member comes back without a rebalance"):
        with Member(group, topic, way, **{"group.instance.id": "left"}) as left:
            with Member(group, topic, way, **{"group.instance.id": "right"}) as right:
                balanced([left, right], topic, 4)
                mine, changes = set(right.owned), len(left.of("assigned")) + len(left.of("revoked"))
                right.close()
            with Member(group, topic, way, **{"group.instance.id": "right"}) as again:
                eventually(lambda: f"owned {again.owned}", lambda: again.owned == mine)
                equal(len(left.of("assigned")) + len(left.of("revoked")), changes, "callbacks of the other member")
                with Member(group, topic, way, **{"group.instance.id": "right"}) as usurper:
                    eventually("nobody was fenced", lambda: again.of("error") or usurper.of("error"))
                    texts = " ".join(e for m in (again, usurper) for (e,) in m.of("error"))
                    true("instance" in texts.lower() or "fenced" in texts.lower(), texts)
            left.close()
        admin_left = [m for m in admin.describe_consumer_groups([group])[group].result(20).members]
        true(len(admin_left) <= 2, "members left")

    with check(f"{label} new partitions and new topics reach the group"):
        grown, pattern = create(f"grown-{number}", 1), f"^grown-{number}.*"
        with Member(f"{group}-grown", pattern, way) as one:
            balanced([one], grown, 1)
            list(admin.create_partitions([NewPartitions(grown, 3)]).values())[0].result(20)
            balanced([one], grown, 3)
            create(f"grown-{number}-more", 1)
            eventually(lambda: f"owned: {one.owned}", lambda: (f"grown-{number}-more", 0) in one.owned)
            one.close()

    with check(f"{label} described, listed, offsets altered, deleted"):
        name = f"{group}-looked-at"
        with Member(name, topic, way, **{"client.id": "who"}) as one:
            balanced([one], topic, 4)
            all_read([one], [f"e{i}" for i in range(40)])
            described = admin.describe_consumer_groups([name])[name].result(20)
            equal(described.state, ConsumerGroupState.STABLE)
            equal([m.client_id for m in described.members], ["who"])
            true(described.members[0].host in ("/127.0.0.1", "127.0.0.1"), described.members[0].host)
            equal(sorted(p.partition for p in described.members[0].assignment.topic_partitions), [0, 1, 2, 3])
            kind = ConsumerGroupType.CONSUMER if "group.protocol" in WAYS[way] else ConsumerGroupType.CLASSIC
            equal(described.type, kind, "type")
            listed = {g.group_id: g for g in admin.list_consumer_groups().result(20).valid}
            equal((listed[name].state, listed[name].type), (ConsumerGroupState.STABLE, kind), "listed")
            busy = admin.delete_consumer_groups([name])[name]
            try:
                busy.result(20)
                raise AssertionError("a group with members was deleted")
            except KafkaException as failure:
                equal(failure.args[0].code(), KafkaError.NON_EMPTY_GROUP)
            one.close()
        eventually("it does not become empty", lambda: admin.describe_consumer_groups([name])[name].result(20).state
                   == ConsumerGroupState.EMPTY)
        altered = ConsumerGroupTopicPartitions(name, [TopicPartition(topic, 1, 3)])
        admin.alter_consumer_group_offsets([altered])[name].result(20)
        equal(committed(name, topic, 4)[1], 3, "altered")
        admin.delete_consumer_groups([name])[name].result(20)
        true(name not in {g.group_id for g in admin.list_consumer_groups().result(20).valid}, "still listed")

with check("offsets are committed and read without any membership"):
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "simple", "enable.auto.commit": False})
    where = TopicPartition("grp-0", 2, 7, metadata="a note")
    consumer.commit(offsets=[where], asynchronous=False)
    found = consumer.committed([TopicPartition("grp-0", 2), TopicPartition("grp-0", 3)], timeout=10)
    equal([(p.offset, p.metadata) for p in found], [(7, "a note"), (-1001, None)])
    consumer.close()

with check("a group nobody heard of has no offsets, and that is no error"):
    equal(committed("never-seen", "grp-0", 2), [-1001, -1001])

for way in WAYS:
    with check(f"{way}: members and the broker are killed; no record is skipped, none owned by two"):
        topic = create(f"faults-{list(WAYS).index(way)}", 6)
        group = f"{topic}-group"
        values, stop = [], threading.Event()

        def feed():
            producer = Producer({"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True, "message.timeout.ms": 60000})
            number = 0
            while not stop.is_set():
                producer.produce(topic, f"v{number}", partition=number % 6,
                                 on_delivery=lambda error, m: error or values.append(m.value().decode()))
                number += 1
                producer.poll(0.005)
            equal(producer.flush(60), 0, "not delivered")

        feeder = threading.Thread(target=feed)
        feeder.start()
        members = [Member(group, topic, way) for _ in range(3)]
        try:
            balanced(members, topic, 6)
            first = members[0]
            first.kill()
            members.append(Member(group, topic, way))
            time.sleep(2)
            control("kill")
            control("start")
            eventually(lambda: f"owned: {[sorted(m.owned) for m in members[1:]]}",
                       lambda: owns_all(members[1:], topic, 6), 90)
            control("stop")
            control("start")
            time.sleep(2)
            stop.set()
            feeder.join()
            eventually(lambda: "not all was read", lambda: set(values) <= {e[3] for m in members for e in m.read()}, 60)
            for member in members:
                runs = {}
                for _, kind, *rest in member.events:
                    if kind == "assigned":
                        for p in rest[0]:
                            runs.pop(tuple(p), None)
                    if kind == "read":
                        place, offset = tuple(rest[:2]), rest[2]
                        true(offset == runs.get(place, offset), f"{place}: {offset} after {runs.get(place)}: skipped")
                        runs[place] = offset + 1
        finally:
            stop.set()
            for member in members:
                if member.process.poll() is None:
                    member.kill()

finish()
