import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.InvalidRegularExpression;

/** Kafka's own consumer in groups of both protocols, and the administration of groups. */
final class GroupSuite extends Data {
    private static final Map<String, Map<String, Object>> WAYS = new java.util.LinkedHashMap<>();

    static {
        Map<String, Object> classic = Map.of("session.timeout.ms", 6000, "heartbeat.interval.ms", 300);
        WAYS.put("eager", with(classic, "partition.assignment.strategy", RangeAssignor.class.getName()));
        WAYS.put("round robin", with(classic, "partition.assignment.strategy", RoundRobinAssignor.class.getName()));
        WAYS.put("cooperative", with(classic, "partition.assignment.strategy", CooperativeStickyAssignor.class.getName()));
        WAYS.put("consumer", Map.of("group.protocol", "consumer"));
        WAYS.put("consumer, range", Map.of("group.protocol", "consumer", "group.remote.assignor", "range"));
    }

    private GroupSuite() {
    }

    private static Map<String, Object> with(Map<String, Object> settings, String key, Object value) {
        Map<String, Object> all = new HashMap<>(settings);
        all.put(key, value);
        return all;
    }

    /** A consumer with a thread of its own, and what happened to it. */
    private static final class Member implements AutoCloseable {
        final List<String> events = new CopyOnWriteArrayList<>();
        final Set<TopicPartition> owned = ConcurrentHashMap.newKeySet();
        final List<ConsumerRecord<byte[], byte[]>> read = new CopyOnWriteArrayList<>();
        final Thread thread;
        volatile boolean stop;
        volatile Throwable failure;

        Member(Map<String, Object> settings, String group, java.util.function.BiConsumer<KafkaConsumer<byte[], byte[]>,
                ConsumerRebalanceListener> subscribe) {
            Map<String, Object> all = new HashMap<>(settings);
            all.put("group.id", group);
            all.put("auto.offset.reset", "earliest");
            all.put("metadata.max.age.ms", 1000);
            thread = new Thread(() -> run(all, subscribe));
            thread.start();
        }

        static Member of(Map<String, Object> settings, String group, String topic) {
            return new Member(settings, group, (consumer, listener) -> consumer.subscribe(List.of(topic), listener));
        }

        private void run(Map<String, Object> settings, java.util.function.BiConsumer<KafkaConsumer<byte[], byte[]>,
                ConsumerRebalanceListener> subscribe) {
            try (KafkaConsumer<byte[], byte[]> consumer = consumer(settings)) {
                subscribe.accept(consumer, new ConsumerRebalanceListener() {
                    @Override
                    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                        consumer.commitSync();
                        owned.removeAll(partitions);
                        events.add("revoked " + partitions.size());
                    }

                    @Override
                    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                        owned.addAll(partitions);
                        events.add("assigned " + partitions.size());
                    }

                    @Override
                    public void onPartitionsLost(Collection<TopicPartition> partitions) {
                        owned.removeAll(partitions);
                        events.add("lost " + partitions.size());
                    }
                });
                while (!stop) {
                    consumer.poll(Duration.ofMillis(50)).forEach(read::add);
                }
                consumer.commitSync();
            } catch (Throwable error) {
                failure = error;
            }
        }

        @Override
        public void close() throws Exception {
            stop = true;
            thread.join(30_000);
            Checks.isTrue(!thread.isAlive(), "a member does not end");
            if (failure != null) {
                throw new AssertionError("a member failed", failure);
            }
        }
    }

    private static void await(Supplier<String> what, BooleanSupplier condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(40);
        while (!condition.getAsBoolean()) {
            Checks.isTrue(System.nanoTime() < deadline, "after 40 s: " + what.get());
            Thread.sleep(20);
        }
    }

    /** Every partition has one owner and every member a share. */
    private static void awaitBalance(int partitions, Member... members) throws Exception {
        await(() -> {
            StringBuilder text = new StringBuilder();
            for (Member member : members) {
                text.append(member.owned).append(' ').append(member.failure).append("; ");
            }
            return text.toString();
        }, () -> {
            List<TopicPartition> all = new ArrayList<>();
            for (Member member : members) {
                if (member.owned.isEmpty()) {
                    return false;
                }
                all.addAll(member.owned);
            }
            return all.size() == partitions && new HashSet<>(all).size() == partitions;
        });
    }

    private static void fill(String topic, int partitions, String prefix, int each) throws Exception {
        for (int partition = 0; partition < partitions; partition++) {
            List<org.apache.kafka.clients.producer.ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
            for (int i = 0; i < each; i++) {
                records.add(record(prefix + partition + "." + i, BASE + i));
            }
            produce(topic, partition, "none", records);
        }
    }

    static void run() {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", Checks.BOOTSTRAP))) {
            for (Map.Entry<String, Map<String, Object>> way : WAYS.entrySet()) {
                Checks.check("group, " + way.getKey() + ": shares, moves, commits in the callback, restarts",
                    () -> lifeOfGroup(admin, way.getKey(), way.getValue()));
            }
            for (String way : List.of("cooperative", "consumer")) {
                Checks.check("group, " + way + ": static members", () -> staticMembers(admin, way, WAYS.get(way)));
            }
            for (String way : List.of("eager", "consumer")) {
                Checks.check("group, " + way + ": administration", () -> administration(admin, way, WAYS.get(way)));
            }
            Checks.check("group, consumer: expressions are resolved by the broker", () -> expressions(admin));
            Checks.check("group: members change from the classic to the consumer protocol and back", () -> migration(admin));
        }
    }

    private static String topic(Admin admin, String name, int partitions) throws Exception {
        Checks.get(admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1))).all());
        return name;
    }

    private static void lifeOfGroup(Admin admin, String way, Map<String, Object> settings) throws Exception {
        String name = way.replaceAll("\\W+", "-");
        String topic = topic(admin, "jg-" + name, 6);
        String group = "java-" + name;
        fill(topic, 6, "a", 20);
        Member one = Member.of(settings, group, topic);
        await(() -> one.read.size() + " read, " + one.failure, () -> one.read.size() == 120);
        Member two = Member.of(settings, group, topic);
        awaitBalance(6, one, two);
        isOrdered(one);
        Member three = Member.of(settings, group, topic);
        awaitBalance(6, one, two, three);
        Checks.equal(two.read.size() + three.read.size(), 0, "records read twice although they were committed in the callback");
        fill(topic, 6, "b", 20);
        await(() -> "read " + one.read.size() + ", " + two.read.size() + ", " + three.read.size(),
            () -> one.read.size() + two.read.size() + three.read.size() == 240);
        three.close();
        awaitBalance(6, one, two);
        Checks.get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(8))).all());
        awaitBalance(8, one, two);
        one.close();
        two.close();
        Map<TopicPartition, OffsetAndMetadata> committed =
            Checks.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
        for (int partition = 0; partition < 6; partition++) {
            Checks.equal(committed.get(new TopicPartition(topic, partition)).offset(), 40L, "committed of " + partition);
        }
        try (Member again = Member.of(settings, group, topic)) {
            awaitBalance(8, again);
            Thread.sleep(300);
            Checks.equal(again.read.size(), 0, "records read again");
        }
    }

    /** What was assigned was revoked before it was assigned anew. */
    private static void isOrdered(Member member) {
        boolean revoked = false;
        for (String event : member.events) {
            revoked |= event.startsWith("revoked");
            Checks.isTrue(!event.startsWith("lost"), "partitions were lost: " + member.events);
        }
        Checks.isTrue(revoked, "nothing was revoked: " + member.events);
    }

    private static void staticMembers(Admin admin, String way, Map<String, Object> settings) throws Exception {
        String topic = topic(admin, "js-" + way, 4);
        String group = "java-static-" + way;
        Member left = Member.of(with(settings, "group.instance.id", "left"), group, topic);
        Member right = Member.of(with(settings, "group.instance.id", "right"), group, topic);
        awaitBalance(4, left, right);
        Set<TopicPartition> mine = new HashSet<>(right.owned);
        int events = left.events.size();
        right.close();
        try (Member again = Member.of(with(settings, "group.instance.id", "right"), group, topic)) {
            await(() -> again.owned + " " + again.failure, () -> again.owned.equals(mine));
            Checks.equal(left.events.size(), events, "callbacks of the other member " + left.events);
        }
        left.close();
    }

    private static void administration(Admin admin, String way, Map<String, Object> settings) throws Exception {
        String topic = topic(admin, "ja-" + way, 4);
        String group = "java-admin-" + way;
        fill(topic, 4, "a", 5);
        boolean classic = !way.equals("consumer");
        Member one = Member.of(with(with(settings, "client.id", "who"), "group.instance.id", "me"), group, topic);
        awaitBalance(4, one);
        await(() -> one.read.size() + " read", () -> one.read.size() == 20);
        ConsumerGroupDescription described = Checks.get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
        Checks.equal(described.groupState(), GroupState.STABLE, "state");
        Checks.equal(described.type(), classic ? GroupType.CLASSIC : GroupType.CONSUMER, "type");
        Checks.equal(described.members().size(), 1, "members");
        var member = described.members().iterator().next();
        Checks.equal(member.clientId(), "who", "client id");
        Checks.equal(member.host(), "/127.0.0.1", "host");
        Checks.equal(member.groupInstanceId().orElse(null), "me", "instance");
        Checks.equal(member.assignment().topicPartitions().size(), 4, "assigned");
        Checks.isTrue(Checks.get(admin.listGroups().all()).stream().anyMatch(listing -> listing.groupId().equals(group)
            && listing.type().orElse(null) == (classic ? GroupType.CLASSIC : GroupType.CONSUMER)), "not listed");
        Checks.refused(GroupNotEmptyException.class, admin.deleteConsumerGroups(List.of(group)).all());
        Checks.refused(GroupSubscribedToTopicException.class, admin.deleteConsumerGroupOffsets(group,
            Set.of(new TopicPartition(topic, 0))).partitionResult(new TopicPartition(topic, 0)));
        one.close();
        Checks.get(admin.removeMembersFromConsumerGroup(group,
            new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("me")))).all());
        Data.eventually("it is empty", () -> Checks.get(admin.describeConsumerGroups(List.of(group)).all()).get(group)
            .groupState() == GroupState.EMPTY);
        Checks.get(admin.alterConsumerGroupOffsets(group, Map.of(new TopicPartition(topic, 1),
            new OffsetAndMetadata(2, "a note"))).all());
        var offset = Checks.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata())
            .get(new TopicPartition(topic, 1));
        Checks.equal(offset.offset() + offset.metadata(), "2a note", "altered");
        Checks.get(admin.deleteConsumerGroupOffsets(group, Set.of(new TopicPartition(topic, 0))).all());
        Checks.isTrue(Checks.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata())
            .get(new TopicPartition(topic, 0)) == null, "still committed");
        Checks.get(admin.deleteConsumerGroups(List.of(group)).all());
        Checks.isTrue(Checks.get(admin.listGroups().all()).stream().noneMatch(listing -> listing.groupId().equals(group)),
            "still listed");
    }

    private static void expressions(Admin admin) throws Exception {
        topic(admin, "jx-one", 2);
        Member member = new Member(WAYS.get("consumer"), "java-expressions",
            (consumer, listener) -> consumer.subscribe(new SubscriptionPattern("jx-(one|two)"), listener));
        awaitBalance(2, member);
        topic(admin, "jx-two", 3);
        topic(admin, "jx-three", 1);
        awaitBalance(5, member);
        member.close();
        Member local = new Member(WAYS.get("consumer"), "java-expressions-local",
            (consumer, listener) -> consumer.subscribe(Pattern.compile("jx-.*"), listener));
        awaitBalance(6, local);
        local.close();
        Member bad = new Member(WAYS.get("consumer"), "java-expressions-bad",
            (consumer, listener) -> consumer.subscribe(new SubscriptionPattern("jx-("), listener));
        await(() -> "no failure", () -> bad.failure != null);
        Checks.isTrue(bad.failure instanceof InvalidRegularExpression, "failed with " + bad.failure);
    }

    private static void migration(Admin admin) throws Exception {
        String topic = topic(admin, "jm", 4);
        String group = "java-migration";
        Member old = Member.of(WAYS.get("cooperative"), group, topic);
        Member older = Member.of(WAYS.get("cooperative"), group, topic);
        awaitBalance(4, old, older);
        Member modern = Member.of(WAYS.get("consumer"), group, topic);
        awaitBalance(4, old, older, modern);
        Checks.equal(typeOf(admin, group), GroupType.CONSUMER, "type");
        fill(topic, 4, "a", 10);
        await(() -> "not all read", () -> old.read.size() + older.read.size() + modern.read.size() == 40);
        old.close();
        older.close();
        awaitBalance(4, modern);
        Member back = Member.of(WAYS.get("cooperative"), group, topic);
        awaitBalance(4, modern, back);
        modern.close();
        awaitBalance(4, back);
        Checks.equal(typeOf(admin, group), GroupType.CLASSIC, "type");
        fill(topic, 4, "b", 10);
        int before = back.read.size();
        await(() -> "not all read again", () -> back.read.size() - before <= 40 && back.read.stream()
            .filter(record -> new String(record.value()).startsWith("b")).count() == 40);
        back.close();
    }

    private static GroupType typeOf(Admin admin, String group) throws Exception {
        return Checks.get(admin.describeConsumerGroups(List.of(group)).all()).get(group).type();
    }
}
