import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.record.TimestampType;

/**
 * Sends requests written as text and prints the answers as text, with the message classes of Kafka's own client library.
 *
 * A script has one command per line:
 *   ApiName VERSION {json}       send a request; fields that are left out have their defaults; prints the answer as JSON
 *   = NAME /json/pointer         remember a value of the last answer; $NAME stands for it in later lines
 *   raw HEX                      send a frame with these bytes (the size is put in front), print what comes back in hex
 *   bytes HEX                    send exactly these bytes
 *   connect                      begin a new connection
 *   sleep MS                     wait
 *   # ...                        is printed as it is
 * "records" of Produce may be {"codec":"gzip","magic":2,"records":[{"key":"k","value":"v","timestamp":1,"headers":[["a","b"]]}],
 * "producerId":-1,"epoch":-1,"sequence":-1,"transactional":false,"flip":N (invert the byte at N),"hex":"..."}.
 * A string "*N" stands for the letter x N times.
 */
public final class Ask {
    private static final ObjectMapper JSON = new ObjectMapper();
    /** One line per answer, for programs that read it. */
    private static final boolean ONE_LINE = System.getenv("ASK_ONE_LINE") != null;
    /** How long to wait after a change to the cluster's metadata. */
    private static final long SETTLE_MS = Long.parseLong(System.getenv().getOrDefault("ASK_SETTLE_MS", "0"));
    private static final Set<ApiKeys> CHANGING = EnumSet.of(ApiKeys.CREATE_TOPICS, ApiKeys.DELETE_TOPICS,
        ApiKeys.CREATE_PARTITIONS, ApiKeys.ALTER_CONFIGS, ApiKeys.INCREMENTAL_ALTER_CONFIGS);
    private static boolean configsSeen;
    private final String host;
    private final int port;
    private final Map<String, String> remembered = new HashMap<>();
    private Socket socket;
    private int correlation;
    private JsonNode last;
    private String said;

    private Ask(String bootstrap) {
        int colon = bootstrap.lastIndexOf(':');
        host = bootstrap.substring(0, colon);
        port = Integer.parseInt(bootstrap.substring(colon + 1));
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 2) {
            System.err.println("Ask HOST:PORT SCRIPT");
            System.exit(2);
        }
        Ask ask = new Ask(arguments[0]);
        ask.connect();
        String text = arguments[1].equals("-") ? new String(System.in.readAllBytes(), StandardCharsets.UTF_8)
            : Files.readString(Path.of(arguments[1]));
        for (String line : text.replace("\\\n", "").split("\n")) {
            ask.run(line.strip());
        }
    }

    private void connect() throws IOException {
        if (socket != null) {
            socket.close();
        }
        socket = new Socket(host, port);
        socket.setSoTimeout(5000);
        socket.setTcpNoDelay(true);
    }

    private void run(String line) throws Exception {
        if (line.isEmpty() || line.startsWith("#")) {
            System.out.println(line);
            return;
        }
        String[] words = line.split(" ", 3);
        switch (words[0]) {
            case "=" -> remembered.put(words[1], last.at(words[2]).asText());
            case "connect" -> connect();
            case "sleep" -> Thread.sleep(Long.parseLong(words[1]));
            case "raw", "bytes" -> {
                System.out.println("> " + line);
                byte[] bytes = HexFormat.of().parseHex(line.substring(words[0].length()).replace(" ", ""));
                ByteBuffer frame = ByteBuffer.allocate(bytes.length + 4);
                if (words[0].equals("raw")) {
                    frame.putInt(bytes.length);
                }
                frame.put(bytes).flip();
                show(frame, buffer -> {
                    byte[] answer = new byte[buffer.remaining()];
                    buffer.get(answer);
                    return HexFormat.of().formatHex(answer);
                });
            }
            default -> {
                System.out.println("> " + (line.length() > 2000 ? line.substring(0, 2000) + "..." : line));
                request(words[0], Short.parseShort(words[1]), words.length > 2 ? words[2] : "{}");
            }
        }
    }

    private interface Decoder {
        String decode(ByteBuffer buffer) throws Exception;
    }

    private void show(ByteBuffer frame, Decoder decoder) throws Exception {
        try {
            byte[] bytes = new byte[frame.remaining()];
            frame.get(bytes);
            socket.getOutputStream().write(bytes);
            DataInputStream in = new DataInputStream(socket.getInputStream());
            byte[] answer = new byte[in.readInt()];
            in.readFully(answer);
            String text = decoder.decode(ByteBuffer.wrap(answer));
            if (text != null) {
                System.out.println(text);
            }
        } catch (SocketTimeoutException e) {
            System.out.println("(no answer)");
            connect();
        } catch (EOFException | java.net.SocketException e) {
            System.out.println("(connection closed)");
            connect();
        }
    }

    private void request(String name, short version, String text) throws Exception {
        for (Map.Entry<String, String> entry : remembered.entrySet()) {
            text = text.replace("$" + entry.getKey(), entry.getValue());
        }
        ApiKeys key = apiKey(name);
        ApiMessage body = key.messageType.newRequest();
        fill(body, JSON.readTree(text));
        RequestHeaderData header = new RequestHeaderData().setRequestApiKey(key.id).setRequestApiVersion(version)
            .setCorrelationId(++correlation).setClientId("ask");
        short headerVersion = key.requestHeaderVersion(version);
        ObjectSerializationCache cache = new ObjectSerializationCache();
        int size = header.size(cache, headerVersion) + body.size(cache, version);
        ByteBuffer frame = ByteBuffer.allocate(size + 4).putInt(size);
        header.write(new ByteBufferAccessor(frame), cache, headerVersion);
        body.write(new ByteBufferAccessor(frame), cache, version);
        frame.flip();
        boolean silent = key == ApiKeys.PRODUCE && body.toString().contains("acks=0");
        if (silent) {
            byte[] bytes = new byte[frame.remaining()];
            frame.get(bytes);
            socket.getOutputStream().write(bytes);
            System.out.println("(acks=0)");
            return;
        }
        for (int attempt = 0; attempt < 50; attempt++) {
            frame.rewind();
            said = null;
            show(frame, buffer -> {
                said = decode(key, version, buffer);
                return null;
            });
            // While a coordinator loads there is no answer to compare.
            if (said == null || last.path("errorCode").asInt() != Errors.COORDINATOR_LOAD_IN_PROGRESS.code()) {
                break;
            }
            Thread.sleep(100);
        }
        if (said != null) {
            System.out.println(said);
        }
        // Apache Kafka's broker learns of changes a moment after the controller has answered for them.
        if (SETTLE_MS > 0 && CHANGING.contains(key)) {
            Thread.sleep(SETTLE_MS);
        }
    }

    private String decode(ApiKeys key, short version, ByteBuffer buffer) throws Exception {
        ByteBufferAccessor accessor = new ByteBufferAccessor(buffer);
        ResponseHeaderData header = new ResponseHeaderData(accessor, key.responseHeaderVersion(version));
        ApiMessage answer = key.messageType.newResponse();
        // An ApiVersions answer to a version the server does not know comes in version 0.
        int start = buffer.position();
        short read = version;
        if (key == ApiKeys.API_VERSIONS && version > 0 && buffer.getShort(start) == 35) {
            read = 0;
        }
        answer.read(accessor, read);
        String unread = buffer.remaining() > 0 ? "\n(" + buffer.remaining() + " bytes left over)" : "";
        if (header.correlationId() != correlation) {
            unread += "\n(correlation id " + header.correlationId() + " instead of " + correlation + ")";
        }
        Class<?> converter = Class.forName(answer.getClass().getName() + "JsonConverter");
        Method write = converter.getMethod("write", answer.getClass(), short.class, boolean.class);
        last = (JsonNode) write.invoke(null, answer, read, false);
        return (ONE_LINE ? last.toString() : text("", last)) + unread;
    }

    /** JSON that stays on one line while it fits; error codes have their names beside them. */
    private static String text(String indent, JsonNode node) {
        String flat = annotated(node.toString());
        if (indent.length() + flat.length() <= 170 || !node.isContainerNode()) {
            return flat;
        }
        StringBuilder out = new StringBuilder(node.isArray() ? "[" : "{");
        String inner = indent + "  ";
        String separator = "\n";
        if (node.isArray()) {
            for (JsonNode child : node) {
                out.append(separator).append(inner).append(text(inner, child));
                separator = ",\n";
            }
        } else {
            for (var fields = node.fields(); fields.hasNext(); ) {
                var entry = fields.next();
                String name = '"' + entry.getKey() + "\":";
                String child = text(inner, entry.getValue());
                if (entry.getKey().equals("configs") && entry.getValue().size() > 30) {
                    if (configsSeen) {
                        child = "[... " + entry.getValue().size() + " configs ...]";
                    }
                    configsSeen = true;
                }
                if (entry.getKey().equals("errorCode")) {
                    child = named(child);
                }
                out.append(separator).append(inner).append(name).append(child);
                separator = ",\n";
            }
        }
        return out.append('\n').append(indent).append(node.isArray() ? "]" : "}").toString();
    }

    private static String named(String code) {
        return code.equals("0") ? code : code + " " + Errors.forCode(Short.parseShort(code)).name();
    }

    private static String annotated(String flat) {
        return Pattern.compile("\"errorCode\":(-?[0-9]+)").matcher(flat)
            .replaceAll(found -> "\"errorCode\":" + named(found.group(1)));
    }

    private static ApiKeys apiKey(String name) {
        for (ApiKeys key : ApiKeys.values()) {
            if (key.name.equals(name) || key.messageType.name.equals(name)) {
                return key;
            }
        }
        throw new IllegalArgumentException("no API " + name);
    }

    /** Sets each field named in the JSON through its setter. */
    private static void fill(Object target, JsonNode node) throws Exception {
        for (var fields = node.fields(); fields.hasNext(); ) {
            var entry = fields.next();
            Field field;
            try {
                field = target.getClass().getDeclaredField(entry.getKey());
            } catch (NoSuchFieldException e) {
                throw new IllegalArgumentException(target.getClass().getSimpleName() + " has no " + entry.getKey());
            }
            field.setAccessible(true);
            field.set(target, value(field.getType(), field.getGenericType(), entry.getValue()));
        }
    }

    private static Object value(Class<?> type, Type generic, JsonNode node) throws Exception {
        if (node.isNull()) {
            return null;
        }
        if (type == short.class || type == Short.class) return (short) node.asInt();
        if (type == byte.class || type == Byte.class) return (byte) node.asInt();
        if (type == int.class || type == Integer.class) return node.asInt();
        if (type == long.class || type == Long.class) return node.asLong();
        if (type == double.class) return node.asDouble();
        if (type == boolean.class) return node.asBoolean();
        if (type == String.class) {
            String text = node.asText();
            return text.matches("\\*[0-9]+") ? "x".repeat(Integer.parseInt(text.substring(1))) : text;
        }
        if (type == Uuid.class) return Uuid.fromString(node.asText());
        if (type == byte[].class) return Base64.getDecoder().decode(node.asText());
        if (type == ByteBuffer.class) return ByteBuffer.wrap(Base64.getDecoder().decode(node.asText()));
        if (Collection.class.isAssignableFrom(type)) {
            Type element = generic instanceof ParameterizedType p ? p.getActualTypeArguments()[0]
                : ((ParameterizedType) type.getGenericSuperclass()).getActualTypeArguments()[0];
            Class<?> elementClass = element instanceof Class<?> c ? c : (Class<?>) ((ParameterizedType) element).getRawType();
            @SuppressWarnings("unchecked")
            Collection<Object> collection = type == List.class ? new ArrayList<>()
                : (Collection<Object>) type.getConstructor(int.class).newInstance(node.size());
            for (JsonNode child : node) {
                collection.add(value(elementClass, element, child));
            }
            return collection;
        }
        if (type.getSimpleName().equals("BaseRecords")) return records(node);
        Object nested = type.getConstructor().newInstance();
        fill(nested, node);
        return nested;
    }

    private static byte[] bytes(JsonNode node) {
        if (node == null || node.isNull()) {
            return null;
        }
        String text = node.asText();
        return (text.matches("\\*[0-9]+") ? "x".repeat(Integer.parseInt(text.substring(1))) : text)
            .getBytes(StandardCharsets.UTF_8);
    }

    private static MemoryRecords records(JsonNode node) {
        if (node.has("hex")) {
            return MemoryRecords.readableRecords(ByteBuffer.wrap(HexFormat.of().parseHex(node.get("hex").asText())));
        }
        List<SimpleRecord> list = new ArrayList<>();
        for (JsonNode record : node.path("records")) {
            List<Header> headers = new ArrayList<>();
            for (JsonNode header : record.path("headers")) {
                headers.add(new RecordHeader(header.get(0).asText(), bytes(header.get(1))));
            }
            long timestamp = record.has("timestamp") ? record.get("timestamp").asLong() : System.currentTimeMillis();
            list.add(new SimpleRecord(timestamp, bytes(record.get("key")), bytes(record.get("value")),
                headers.toArray(new Header[0])));
        }
        byte magic = (byte) node.path("magic").asInt(2);
        Compression codec = Compression.of(node.path("codec").asText("none")).build();
        MemoryRecords records = MemoryRecords.withRecords(magic, 0L, codec, TimestampType.CREATE_TIME,
            node.path("producerId").asLong(-1), (short) node.path("epoch").asInt(-1), node.path("sequence").asInt(-1),
            RecordBatch.NO_PARTITION_LEADER_EPOCH, node.path("transactional").asBoolean(false),
            list.toArray(new SimpleRecord[0]));
        if (node.has("flip")) {
            int at = node.get("flip").asInt();
            records.buffer().put(at, (byte) ~records.buffer().get(at));
        }
        return records;
    }
}
