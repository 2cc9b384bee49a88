import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;

/** What Kafka's Java producer and consumer ask of a broker. */
final class DataSuite extends Data {
    private DataSuite() {
    }

    static void run() {
        producers();
        consumers();
        restart();
        transactions();
    }

    private static void create(String name, int partitions, Map<String, String> configs) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", Checks.BOOTSTRAP))) {
            Checks.get(admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(configs))).all());
        }
    }

    private static List<ProducerRecord<byte[], byte[]>> numbered(int count) {
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            records.add(record("value " + i, BASE + i));
        }
        return records;
    }

    private static List<String> numberedValues(int from, int to) {
        List<String> values = new ArrayList<>();
        for (int i = from; i < to; i++) {
            values.add("value " + i);
        }
        return values;
    }

    private static void producers() {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            Checks.check("producer: idempotent (its default) with " + codec, () -> {
                TopicPartition where = new TopicPartition("jd-" + codec, 0);
                create(where.topic(), 1, Map.of());
                List<RecordMetadata> answers = produce(where.topic(), 0, codec, numbered(1000));
                for (int i = 0; i < answers.size(); i++) {
                    Checks.equal(answers.get(i).offset(), (long) i, "offset");
                    Checks.equal(answers.get(i).timestamp(), BASE + i, "timestamp");
                }
                List<ConsumerRecord<byte[], byte[]>> read = readAll(where, 1000);
                Checks.equal(values(read), numberedValues(0, 1000), "values");
                Checks.equal(read.get(7).timestamp(), BASE + 7, "timestamp");
                Checks.equal(read.get(7).leaderEpoch(), java.util.Optional.of(0), "leader epoch");
            });
        }
        for (String acks : List.of("0", "1", "all")) {
            Checks.check("producer: acks=" + acks + " without idempotence", () -> {
                TopicPartition where = new TopicPartition("jd-acks-" + acks, 0);
                create(where.topic(), 1, Map.of());
                produce(where.topic(), 0, Map.of("acks", acks, "enable.idempotence", false), numbered(50));
                Checks.equal(values(readAll(where, 50)), numberedValues(0, 50), "values");
            });
        }
        Checks.check("producer: nulls, headers with one name twice", () -> {
            TopicPartition where = new TopicPartition("jd-shapes", 0);
            ProducerRecord<byte[], byte[]> record = new ProducerRecord<>("", (Integer) null, BASE, null, (byte[]) null);
            record.headers().add("a", bytes("1")).add("a", bytes("2")).add("n", null).add("", new byte[0]);
            create(where.topic(), 1, Map.of());
            produce(where.topic(), 0, "none", List.of(record, new ProducerRecord<>("", new byte[0], new byte[0])));
            List<ConsumerRecord<byte[], byte[]>> read = readAll(where, 2);
            Checks.isTrue(read.get(0).key() == null && read.get(0).value() == null, "nulls");
            Checks.isTrue(read.get(1).key().length == 0 && read.get(1).value().length == 0, "empty ones");
            List<String> headers = new ArrayList<>();
            for (Header header : read.get(0).headers()) {
                headers.add(header.key() + "=" + (header.value() == null ? null : new String(header.value())));
            }
            Checks.equal(headers, List.of("a=1", "a=2", "n=null", "="), "headers");
        });
        Checks.check("producer: a record of 1 MiB, and one that the topic refuses", () -> {
            TopicPartition where = new TopicPartition("jd-large", 0);
            create(where.topic(), 1, Map.of("max.message.bytes", "1100000"));
            Map<String, Object> settings = Map.of("max.request.size", 5_000_000);
            byte[] large = new byte[1024 * 1024];
            Arrays.fill(large, (byte) 7);
            produce(where.topic(), 0, settings, List.of(new ProducerRecord<>("", large)));
            Checks.isTrue(Arrays.equals(readAll(where, 1).get(0).value(), large), "it came back changed");
            try {
                produce(where.topic(), 0, settings, List.of(new ProducerRecord<>("", new byte[1_200_000])));
                throw new AssertionError("it was accepted");
            } catch (ExecutionException error) {
                Checks.isTrue(error.getCause() instanceof RecordTooLargeException, "error " + error.getCause());
            }
        });
        Checks.check("producer: a batch too large is split (RecordBatchTooLarge) and arrives", () -> {
            TopicPartition where = new TopicPartition("jd-split", 0);
            create(where.topic(), 1, Map.of("max.message.bytes", "2000"));
            produce(where.topic(), 0, Map.of("batch.size", 100000, "linger.ms", 200, "compression.type", "gzip"),
                numberedNoise(200));
            Checks.equal(readAll(where, 200).size(), 200, "records");
        });
        Checks.check("producer: log append time", () -> {
            TopicPartition where = new TopicPartition("jd-append-time", 0);
            create(where.topic(), 1, Map.of("message.timestamp.type", "LogAppendTime"));
            RecordMetadata answer = produce(where.topic(), 0, "gzip", List.of(record("x", 1000))).get(0);
            Checks.isTrue(Math.abs(answer.timestamp() - System.currentTimeMillis()) < 60000, "told " + answer.timestamp());
            ConsumerRecord<byte[], byte[]> read = readAll(where, 1).get(0);
            Checks.equal(read.timestampType(), TimestampType.LOG_APPEND_TIME, "type");
            Checks.equal(read.timestamp(), answer.timestamp(), "timestamp");
        });
        Checks.check("producer: makes a topic by sending to it; a bad name is refused", () -> {
            try (KafkaProducer<byte[], byte[]> producer = producer(Map.of())) {
                Checks.equal(producer.send(new ProducerRecord<>("jd-auto", bytes("x"))).get(20, TimeUnit.SECONDS).offset(),
                    0L, "offset");
                try {
                    producer.send(new ProducerRecord<>("jd bad", bytes("x"))).get(20, TimeUnit.SECONDS);
                    throw new AssertionError("it was accepted");
                } catch (ExecutionException | InvalidTopicException error) {
                    Checks.isTrue(error instanceof InvalidTopicException
                        || error.getCause() instanceof InvalidTopicException, "error " + error);
                }
            }
        });
        Checks.check("producer: spreads over partitions", () -> {
            create("jd-spread", 4, Map.of());
            try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("batch.size", 200))) {
                Set<Integer> partitions = new HashSet<>();
                for (int i = 0; i < 100; i++) {
                    partitions.add(producer.send(new ProducerRecord<>("jd-spread", bytes("k" + i), bytes("v"))).get()
                        .partition());
                }
                Checks.equal(partitions, Set.of(0, 1, 2, 3), "partitions");
                Checks.equal(producer.partitionsFor("jd-spread").size(), 4, "partitionsFor");
            }
        });
    }

    private static List<ProducerRecord<byte[], byte[]>> numberedNoise(int count) {
        java.util.Random random = new java.util.Random(1);
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            byte[] value = new byte[100];
            random.nextBytes(value);
            records.add(new ProducerRecord<>("", null, BASE + i, null, value));
        }
        return records;
    }

    private static void consumers() {
        TopicPartition where = new TopicPartition("jd-starts", 0);
        long base = BASE;
        Checks.check("consumer: beginning, end, offset, time", () -> {
            create(where.topic(), 2, Map.of());
            produce(where.topic(), 0, Map.of("batch.size", 300), numbered(100));
            Checks.equal(values(readAll(where, 100)), numberedValues(0, 100), "from the beginning");
            Checks.equal(values(read(where, 40, Map.of(), (c, p) -> c.seek(p, 60))), numberedValues(60, 100), "from 60");
            Checks.equal(values(read(where, 30, Map.of(), (c, p) -> c.seek(p,
                c.offsetsForTimes(Map.of(p, base + 70)).get(p).offset()))), numberedValues(70, 100), "from a time");
        });
        Checks.check("consumer: beginningOffsets, endOffsets, offsetsForTimes, position, lag", () -> {
            try (KafkaConsumer<byte[], byte[]> consumer = consumer(Map.of())) {
                TopicPartition empty = new TopicPartition(where.topic(), 1);
                Checks.equal(consumer.beginningOffsets(List.of(where, empty)), Map.of(where, 0L, empty, 0L), "beginning");
                Checks.equal(consumer.endOffsets(List.of(where, empty)), Map.of(where, 100L, empty, 0L), "end");
                Checks.equal(consumer.offsetsForTimes(Map.of(where, base + 33)).get(where).timestamp(), base + 33, "time");
                Checks.isTrue(consumer.offsetsForTimes(Map.of(where, base + 1000)).get(where) == null, "after all");
                consumer.assign(List.of(where));
                consumer.seekToEnd(List.of(where));
                Checks.equal(consumer.position(where), 100L, "position");
                Checks.equal(consumer.partitionsFor(where.topic()).stream().map(PartitionInfo::partition).sorted().toList(),
                    List.of(0, 1), "partitionsFor");
                Checks.isTrue(consumer.listTopics().containsKey(where.topic()), "listTopics");
            }
        });
        Checks.check("consumer: small fetch sizes and few records per poll", () -> {
            Map<String, Object> small = Map.of("max.partition.fetch.bytes", 1, "fetch.max.bytes", 1, "max.poll.records", 3);
            Checks.equal(values(read(where, 100, small, (c, p) -> c.seek(p, 0))), numberedValues(0, 100), "values");
        });
        Checks.check("consumer: fetch.min.bytes, isolation levels, several partitions", () -> {
            Checks.equal(read(where, 100, Map.of("fetch.min.bytes", 1000000, "fetch.max.wait.ms", 300),
                (c, p) -> c.seek(p, 0)).size(), 100, "records with fetch.min.bytes");
            Checks.equal(read(where, 100, Map.of("isolation.level", "read_committed"),
                (c, p) -> c.seek(p, 0)).size(), 100, "records with read_committed");
        });
        Checks.check("consumer: new records arrive while it waits, and partitions join and leave its session", () -> {
            TopicPartition other = new TopicPartition(where.topic(), 1);
            try (KafkaConsumer<byte[], byte[]> consumer = consumer(Map.of("fetch.max.wait.ms", 5000))) {
                consumer.assign(List.of(where, other));
                consumer.seekToEnd(List.of(where, other));
                consumer.poll(Duration.ofMillis(300));
                for (int round = 0; round < 3; round++) {
                    produce(where.topic(), 1, "none", List.of(record("late " + round, base)));
                    Checks.equal(values(next(consumer)), List.of("late " + round), "round " + round);
                }
                consumer.assign(List.of(where));
                consumer.seek(where, 99);
                Checks.equal(values(next(consumer)), List.of("value 99"), "after leaving one");
                consumer.assign(List.of(where, other));
                consumer.seek(where, 100);
                consumer.seek(other, 1);
                Checks.equal(values(next(consumer)), List.of("late 1", "late 2"), "after coming back");
            }
        });
        Checks.check("consumer: out of range without a policy is an error, with one it starts over", () -> {
            try (KafkaConsumer<byte[], byte[]> consumer = consumer(Map.of())) {
                consumer.assign(List.of(where));
                consumer.seek(where, 5000);
                try {
                    next(consumer);
                    throw new AssertionError("no error");
                } catch (OffsetOutOfRangeException | NoOffsetForPartitionException expected) {
                    // This is what the consumer must be told.
                }
            }
            Checks.equal(read(where, 100, Map.of("auto.offset.reset", "earliest"), (c, p) -> c.seek(p, 5000)).get(0)
                .offset(), 0L, "offset");
        });
    }

    private static List<ConsumerRecord<byte[], byte[]>> next(KafkaConsumer<byte[], byte[]> consumer) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        while (records.isEmpty() && System.nanoTime() < deadline) {
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        return records;
    }

    private static void restart() {
        for (String signal : List.of("stop", "kill")) {
            Checks.check("producer and consumer live through a restart (" + signal + ") without loss or duplicate", () -> {
                TopicPartition where = new TopicPartition("jd-restart-" + signal, 0);
                create(where.topic(), 1, Map.of());
                AtomicInteger sent = new AtomicInteger();
                AtomicBoolean done = new AtomicBoolean();
                List<Throwable> errors = new CopyOnWriteArrayList<>();
                try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("delivery.timeout.ms", 60000, "linger.ms", 1));
                     KafkaConsumer<byte[], byte[]> consumer = consumer(Map.of("auto.offset.reset", "earliest"))) {
                    Thread sender = new Thread(() -> {
                        List<Future<RecordMetadata>> futures = new ArrayList<>();
                        while (!done.get()) {
                            futures.add(producer.send(new ProducerRecord<>(where.topic(), 0, null,
                                bytes("value " + sent.getAndIncrement()))));
                            sleep(1);
                        }
                        for (int i = 0; i < futures.size(); i++) {
                            try {
                                Checks.equal(futures.get(i).get(60, TimeUnit.SECONDS).offset(), (long) i, "offset");
                            } catch (Exception | AssertionError error) {
                                errors.add(error);
                                return;
                            }
                        }
                    });
                    sender.start();
                    consumer.assign(List.of(where));
                    consumer.seekToBeginning(List.of(where));
                    List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
                    for (int round = 0; round < 2; round++) {
                        int before = records.size();
                        while (records.size() < before + 200) {
                            consumer.poll(Duration.ofMillis(100)).forEach(records::add);
                        }
                        Checks.control(signal);
                        Checks.control("start");
                    }
                    done.set(true);
                    sender.join(60000);
                    Checks.isTrue(errors.isEmpty(), "errors " + errors);
                    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
                    while (records.size() < sent.get() && System.nanoTime() < deadline) {
                        consumer.poll(Duration.ofMillis(100)).forEach(records::add);
                    }
                    Checks.equal(values(records), numberedValues(0, sent.get()), "values");
                }
            });
        }
    }

    private static void sleep(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    private static void transactions() {
        Checks.check("transactional producer: initTransactions fails for good, soon", () -> {
            if (!Checks.MILENA) {
                throw new Checks.Skip("Kafka has transactions");
            }
            try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("transactional.id", "t", "max.block.ms", 15000))) {
                producer.initTransactions();
                throw new AssertionError("it succeeded");
            } catch (TimeoutException error) {
                throw new AssertionError("it was retried until " + error.getMessage());
            } catch (KafkaException expected) {
                // Any other error is final to the client.
            }
        });
    }
}
