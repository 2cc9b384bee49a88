import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Producing and reading back, as the Java suites need it. */
class Data {
    /** Timestamps count from an hour ago: retention by time must not find them old. */
    static final long BASE = System.currentTimeMillis() - 3_600_000L;

    /** A record without a key. */
    static ProducerRecord<byte[], byte[]> record(String value, long timestamp) {
        return new ProducerRecord<>("", null, timestamp, null, value == null ? null : bytes(value));
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static KafkaProducer<byte[], byte[]> producer(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", Checks.BOOTSTRAP, "delivery.timeout.ms", 30000,
            "request.timeout.ms", 10000));
        all.putAll(settings);
        return new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", Checks.BOOTSTRAP,
            "enable.auto.commit", false, "auto.offset.reset", "none"));
        all.putAll(settings);
        return new KafkaConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** Sends all of them to one partition and waits; the answers in order. */
    static List<RecordMetadata> produce(String topic, int partition, String codec,
                                        List<ProducerRecord<byte[], byte[]>> records) throws Exception {
        return produce(topic, partition, Map.of("compression.type", codec), records);
    }

    static List<RecordMetadata> produce(String topic, int partition, Map<String, Object> settings,
                                        List<ProducerRecord<byte[], byte[]>> records) throws Exception {
        List<RecordMetadata> answers = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer(settings)) {
            List<Future<RecordMetadata>> futures = new ArrayList<>();
            for (ProducerRecord<byte[], byte[]> record : records) {
                futures.add(producer.send(new ProducerRecord<>(topic, partition, record.timestamp(), record.key(),
                    record.value(), record.headers())));
            }
            for (Future<RecordMetadata> future : futures) {
                answers.add(future.get(30, TimeUnit.SECONDS));
            }
        }
        return answers;
    }

    /** Reads this many records from where `start` seeks to. */
    static List<ConsumerRecord<byte[], byte[]>> read(TopicPartition where, int count, Map<String, Object> settings,
                                                     BiConsumer<KafkaConsumer<byte[], byte[]>, TopicPartition> start) {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(settings)) {
            consumer.assign(List.of(where));
            start.accept(consumer, where);
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
            while (records.size() < count) {
                consumer.poll(Duration.ofMillis(200)).forEach(records::add);
                Checks.isTrue(System.nanoTime() < deadline, records.size() + " of " + count + " records after 20 s");
            }
        }
        return records;
    }

    static List<ConsumerRecord<byte[], byte[]>> readAll(TopicPartition where, int count) {
        return read(where, count, Map.of(), (consumer, partition) -> consumer.seekToBeginning(List.of(partition)));
    }

    static List<String> values(List<ConsumerRecord<byte[], byte[]>> records) {
        return records.stream().map(record -> record.value() == null ? null
            : new String(record.value(), StandardCharsets.UTF_8)).toList();
    }

    /** Asks again until it holds; what a broker answers may lag a moment behind what it acknowledged. */
    static void eventually(String what, Callable<Boolean> condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
        while (!condition.call()) {
            Checks.isTrue(System.nanoTime() < deadline, what + ": not within 10 s");
            Thread.sleep(50);
        }
    }
}
