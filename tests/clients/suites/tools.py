"""Kafka's own command-line tools against a broker: each does its work, or says in a sentence why not."""
import json
import os
import pathlib
import subprocess

from checks import BOOTSTRAP, SERVER, Skip, check, equal, finish, true

TOOLS = "org.apache.kafka.tools."
TOPIC = "tools.topic"


def tool(name, *arguments, status=0, stdin=None, server=True):
    """What a tool prints, standard output and error together; its status must be the one expected."""
    # The flags make short runs of the JVM cheap.
    command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
               f"-Dlog4j2.configurationFile={os.environ['LOG4J']}", "-cp", os.environ["KAFKA_JARS"], name]
    if server:
        command += ["--bootstrap-server", BOOTSTRAP]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, input=stdin)
    text = done.stdout + done.stderr
    equal(done.returncode, status, f"status ({text[-300:].strip()})")
    return text


def has(text, *parts):
    for part in parts:
        true(part in text, f"no {part!r} in {text[:400]!r}")


def configs(*arguments, status=0):
    return tool("kafka.admin.ConfigCommand", *arguments, status=status)


with check("kafka-topics: create, describe, list, add partitions"):
    tool(TOOLS + "TopicCommand", "--create", "--topic", TOPIC, "--partitions", "2", "--config", "retention.ms=3600000")
    has(tool(TOOLS + "TopicCommand", "--describe", "--topic", TOPIC), "PartitionCount: 2", "retention.ms=3600000")
    tool(TOOLS + "TopicCommand", "--alter", "--topic", TOPIC, "--partitions", "3")
    has(tool(TOOLS + "TopicCommand", "--alter", "--topic", TOPIC, "--partitions", "2", status=1),
        "would not be an increase")
    has(tool(TOOLS + "TopicCommand", "--list"), TOPIC)

with check("kafka-console-producer, and kafka-console-consumer of one partition"):
    tool(TOOLS + "ConsoleProducer", "--topic", TOPIC, "--compression-codec", "zstd", "--sync",
         "--reader-property", "parse.key=true", "--reader-property", "key.separator=:",
         stdin="".join(f"k{i}:v{i}\n" for i in range(20)))
    read = ""
    for partition in range(3):
        read += tool(TOOLS + "consumer.ConsoleConsumer", "--topic", TOPIC, "--partition", str(partition),
                     "--offset", "earliest", "--timeout-ms", "3000")
    equal(sorted(line for line in read.splitlines() if line.startswith("v")), sorted(f"v{i}" for i in range(20)))

def groups(*arguments, status=0):
    return tool(TOOLS + "consumer.group.ConsumerGroupCommand", *arguments, status=status)


def console_group(group, protocol):
    """A console consumer that reads everything as the member of a group, and stays for 15 seconds more."""
    command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
               f"-Dlog4j2.configurationFile={os.environ['LOG4J']}", "-cp", os.environ["KAFKA_JARS"],
               TOOLS + "consumer.ConsoleConsumer", "--bootstrap-server", BOOTSTRAP, "--topic", TOPIC, "--group", group,
               "--from-beginning", "--command-property", f"group.protocol={protocol}", "--timeout-ms", "15000",
               "--command-property", "auto.commit.interval.ms=200"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


for protocol in ("classic", "consumer"):
    with check(f"kafka-console-consumer in a group, kafka-consumer-groups: {protocol} protocol"):
        group = f"tools-{protocol}"
        consumer = console_group(group, protocol)
        read = [consumer.stdout.readline().strip() for _ in range(20)]
        equal(sorted(read), sorted(f"v{i}" for i in range(20)))
        has(groups("--list", "--state", "--type"), group, "Stable", protocol.capitalize())
        told = groups("--describe", "--group", group, "--state")
        has(told, "Stable", "1")
        told = groups("--describe", "--group", group, "--members", "--verbose")
        has(told, "/127.0.0.1", f"{TOPIC}:0,1,2")
        told = groups("--describe", "--group", group, "--offsets")
        has(told, "CONSUMER-ID", "/127.0.0.1")
        rows = [line.split() for line in told.splitlines() if line.startswith(group)]
        equal(sorted(row[2] for row in rows), ["0", "1", "2"], "partitions")
        has(groups("--delete", "--group", group), "is not empty" if SERVER == "kafka" else "not empty")
        consumer.wait(60)
        told = groups("--describe", "--group", group, "--offsets")
        rows = [line.split() for line in told.splitlines() if line.startswith(group)]
        equal([row[3] for row in rows], [row[4] for row in rows], "committed offsets and ends")
        equal(sum(int(row[3]) for row in rows), 20, "committed in all")
        equal([row[5] for row in rows], ["0", "0", "0"], "lag")
        told = groups("--reset-offsets", "--group", group, "--topic", TOPIC, "--to-earliest", "--execute")
        rows = [line.split() for line in told.splitlines() if line.startswith(group)]
        equal([row[3] for row in rows], ["0", "0", "0"], "reset")
        has(groups("--delete-offsets", "--group", group, "--topic", TOPIC), "Successful")
        has(groups("--delete", "--group", group), "was successful")
        true(group not in groups("--list"), "still listed")

with check("kafka-groups lists every kind"):
    consumer = tool(TOOLS + "GroupsCommand", "--list")
    has(consumer, "GROUP")

with check("kafka-get-offsets, kafka-delete-records"):
    def offsets(time):
        lines = tool(TOOLS + "GetOffsetShell", "--topic", TOPIC, "--time", time).split()
        return [int(line.rsplit(":", 1)[1]) for line in lines]
    ends = offsets("latest")
    equal((sum(ends), offsets("earliest")), (20, [0, 0, 0]))
    largest = ends.index(max(ends))
    wanted = {"version": 1, "partitions": [{"topic": TOPIC, "partition": largest, "offset": 1}]}
    pathlib.Path("delete.json").write_text(json.dumps(wanted))
    has(tool(TOOLS + "DeleteRecordsCommand", "--offset-json-file", "delete.json"), "low_watermark: 1")
    equal(offsets("earliest")[largest], 1)

with check("kafka-configs: topics, brokers, defaults of all brokers, loggers"):
    configs("--alter", "--entity-type", "topics", "--entity-name", TOPIC, "--add-config",
            "cleanup.policy=[delete,compact],segment.ms=60000")
    has(configs("--describe", "--entity-type", "topics", "--entity-name", TOPIC), "cleanup.policy=delete,compact")
    configs("--alter", "--entity-type", "topics", "--entity-name", TOPIC, "--delete-config", "cleanup.policy")
    broker = ["--entity-type", "brokers", "--entity-name", "1"]
    configs("--alter", *broker, "--add-config", "log.retention.ms=99999999")
    has(configs("--describe", *broker), "DYNAMIC_BROKER_CONFIG:log.retention.ms=99999999")
    configs("--alter", *broker, "--delete-config", "log.retention.ms")
    has(configs("--alter", *broker, "--add-config", "log.dirs=/elsewhere", status=1),
        "Cannot update these configs dynamically")
    configs("--alter", "--entity-type", "brokers", "--entity-default", "--add-config", "message.max.bytes=2000000")
    has(configs("--describe", "--entity-type", "brokers", "--entity-default"), "message.max.bytes=2000000")
    has(configs("--describe", "--entity-type", "brokers", "--entity-name", "1", "--all"), "listeners=", "node.id=1")
    loggers = ["--entity-type", "broker-loggers", "--entity-name", "1"]
    logger = "milena.api" if SERVER == "milena" else "kafka.server.KafkaApis"
    configs("--alter", *loggers, "--add-config", f"{logger}=DEBUG")
    has(configs("--describe", *loggers), f"{logger}=DEBUG")
    configs("--alter", *loggers, "--delete-config", logger)

with check("kafka-configs: what Milena cannot change at run time is refused"):
    if SERVER != "milena":
        raise Skip("Kafka changes it")
    has(configs("--alter", "--entity-type", "brokers", "--entity-default", "--add-config", "max.connections=10", status=1),
        "Cannot update these configs dynamically: [max.connections]")

with check("kafka-log-dirs"):
    told = json.loads(tool(TOOLS + "LogDirsCommand", "--describe", "--topic-list", TOPIC).splitlines()[-1])
    equal([len(directory["partitions"]) for directory in told["brokers"][0]["logDirs"]], [3])

with check("kafka-metadata-quorum, kafka-features, kafka-cluster, kafka-broker-api-versions"):
    has(tool(TOOLS + "MetadataQuorumCommand", "describe", "--status"), "LeaderId:               1")
    has(tool(TOOLS + "MetadataQuorumCommand", "describe", "--replication"), "Leader")
    has(tool(TOOLS + "FeatureCommand", "describe"), "metadata.version", "FinalizedVersionLevel: 4.3-IV0")
    has(tool(TOOLS + "ClusterTool", "cluster-id", "--bootstrap-server", BOOTSTRAP, server=False), "Cluster ID: ")
    has(tool(TOOLS + "ClusterTool", "list-endpoints", "--bootstrap-server", BOOTSTRAP, server=False), "unfenced")
    has(tool(TOOLS + "BrokerApiVersionsCommand"), "Produce(0): 0 to 13 [usable: 13]", "Fetch(1): 4 to 18")

with check("kafka-transactions describe-producers"):
    has(tool(TOOLS + "TransactionsCommand", "describe-producers", "--topic", TOPIC, "--partition", str(largest)),
        "ProducerId", "None")

with check("tools of what is not built yet say that the broker does not support it"):
    if SERVER != "milena":
        raise Skip("Kafka has all of it")
    has(tool(TOOLS + "TransactionsCommand", "list", status=1), "does not support LIST_TRANSACTIONS")
    has(tool("kafka.admin.ConfigCommand", "--describe", "--entity-type", "users", status=1),
        "does not support DESCRIBE_CLIENT_QUOTAS")

with check("kafka-dump-log"):
    log = pathlib.Path(os.environ["DATA_DIR"]) / f"{TOPIC}-{largest}" / ("0" * 20 + ".log")
    told = tool(TOOLS + "DumpLogSegments", "--deep-iteration", "--print-data-log", "--files", str(log), server=False)
    has(told, "isvalid: true", "compresscodec: zstd", "payload: v")

with check("kafka-topics: delete"):
    tool(TOOLS + "TopicCommand", "--delete", "--topic", TOPIC)
    true(TOPIC not in tool(TOOLS + "TopicCommand", "--list"), "it is still listed")

finish()
