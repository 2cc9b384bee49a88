import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.FeatureMetadata;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.LogDirNotFoundException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.PolicyViolationException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What Kafka's Admin client asks of a broker. */
final class AdminSuite extends Data {
    private AdminSuite() {
    }

    static void run() {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", Checks.BOOTSTRAP))) {
            topics(admin);
            partitions(admin);
            configs(admin);
            records(admin);
            cluster(admin);
            deletion(admin);
        }
    }

    private static Config describe(Admin admin, ConfigResource.Type type, String name) throws Exception {
        ConfigResource resource = new ConfigResource(type, name);
        return Checks.get(admin.describeConfigs(List.of(resource),
            new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all()).get(resource);
    }

    private static void topics(Admin admin) {
        Checks.check("admin: createTopics tells id, counts and configs", () -> {
            CreateTopicsResult created = admin.createTopics(List.of(
                new NewTopic("ja-made", 3, (short) 1).configs(Map.of("retention.ms", "1234567"))));
            Checks.get(created.all());
            Checks.equal(Checks.get(created.numPartitions("ja-made")), 3, "numPartitions");
            Checks.equal(Checks.get(created.replicationFactor("ja-made")), 1, "replicationFactor");
            Checks.isTrue(!Checks.get(created.topicId("ja-made")).equals(Uuid.ZERO_UUID), "no topic id");
            Config config = Checks.get(created.config("ja-made"));
            Checks.equal(config.get("retention.ms").value(), "1234567", "retention.ms");
            Checks.equal(config.get("retention.ms").source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source");
            Checks.equal(config.get("cleanup.policy").value(), "delete", "cleanup.policy");
            Checks.isTrue(config.entries().size() >= 33, "only " + config.entries().size() + " configs");
        });
        Checks.check("admin: createTopics with the broker's defaults", () -> {
            CreateTopicsResult created = admin.createTopics(List.of(
                new NewTopic("ja-defaults", Optional.empty(), Optional.empty())));
            Checks.equal(Checks.get(created.numPartitions("ja-defaults")), 1, "numPartitions");
            Checks.equal(Checks.get(created.replicationFactor("ja-defaults")), 1, "replicationFactor");
        });
        Checks.check("admin: createTopics, validate only", () -> {
            CreateTopicsResult created = admin.createTopics(List.of(new NewTopic("ja-only", 2, (short) 1)),
                new CreateTopicsOptions().validateOnly(true));
            Checks.get(created.all());
            Checks.equal(Checks.get(created.numPartitions("ja-only")), 2, "numPartitions");
            Checks.isTrue(!Checks.get(admin.listTopics().names()).contains("ja-only"), "it was created");
        });
        Checks.check("admin: createTopics with assignment", () -> {
            int broker = Checks.get(admin.describeCluster().nodes()).iterator().next().id();
            Checks.get(admin.createTopics(List.of(
                new NewTopic("ja-assigned", Map.of(0, List.of(broker), 1, List.of(broker))))).all());
            Checks.refused(InvalidReplicaAssignmentException.class, admin.createTopics(List.of(
                new NewTopic("ja-bad", Map.of(0, List.of(broker + 50))))).all());
            Checks.refused(InvalidReplicaAssignmentException.class, admin.createTopics(List.of(
                new NewTopic("ja-bad", Map.of(1, List.of(broker))))).all());
        });
        Checks.check("admin: createTopics refuses", () -> {
            refuse(admin, TopicExistsException.class, new NewTopic("ja-made", 1, (short) 1));
            refuse(admin, InvalidTopicException.class, new NewTopic("ja/bad", 1, (short) 1));
            refuse(admin, InvalidTopicException.class, new NewTopic("..", 1, (short) 1));
            refuse(admin, InvalidTopicException.class, new NewTopic("j".repeat(250), 1, (short) 1));
            refuse(admin, InvalidPartitionsException.class, new NewTopic("ja-bad", 0, (short) 1));
            refuse(admin, InvalidReplicationFactorException.class, new NewTopic("ja-bad", 1, (short) 2));
            refuse(admin, InvalidConfigurationException.class,
                new NewTopic("ja-bad", 1, (short) 1).configs(Map.of("no.such", "1")));
            refuse(admin, InvalidConfigurationException.class,
                new NewTopic("ja-bad", 1, (short) 1).configs(Map.of("cleanup.policy", "burn")));
            refuse(admin, PolicyViolationException.class, new NewTopic("ja-bad", 10001, (short) 1));
        });
        Checks.check("admin: createTopics refuses a name that collides with one that differs in . and _", () -> {
            Checks.get(admin.createTopics(List.of(new NewTopic("ja.collides", 1, (short) 1))).all());
            refuse(admin, InvalidTopicException.class, new NewTopic("ja_collides", 1, (short) 1));
        });
        Checks.check("admin: describeTopics by name (DescribeTopicPartitions) and by id", () -> {
            TopicDescription byName = Checks.get(admin.describeTopics(List.of("ja-made")).allTopicNames()).get("ja-made");
            Checks.equal(byName.partitions().stream().map(p -> p.partition()).toList(), List.of(0, 1, 2), "partitions");
            Checks.equal(byName.isInternal(), false, "internal");
            Checks.equal(byName.partitions().get(0).isr().size(), 1, "isr");
            Checks.isTrue(byName.partitions().get(0).leader().port() == port(), "the leader is this broker");
            TopicDescription byId = Checks.get(admin.describeTopics(
                TopicCollection.ofTopicIds(List.of(byName.topicId()))).allTopicIds()).get(byName.topicId());
            Checks.equal(byId.name(), "ja-made", "name");
        });
        Checks.check("admin: describeTopics pages through many partitions", () -> {
            Checks.get(admin.createTopics(List.of(new NewTopic("ja-wide", 25, (short) 1))).all());
            TopicDescription wide = Checks.get(admin.describeTopics(List.of("ja-wide", "ja-made"),
                new DescribeTopicsOptions().partitionSizeLimitPerResponse(7)).allTopicNames()).get("ja-wide");
            Checks.equal(wide.partitions().size(), 25, "partitions");
        });
        Checks.check("admin: describeTopics with authorized operations", () -> {
            Set<AclOperation> operations = Checks.get(admin.describeTopics(List.of("ja-made"),
                new DescribeTopicsOptions().includeAuthorizedOperations(true)).allTopicNames()).get("ja-made")
                .authorizedOperations();
            Checks.isTrue(operations != null && operations.contains(AclOperation.READ), "operations " + operations);
        });
        Checks.check("admin: describeTopics of what does not exist", () -> {
            Checks.refused(UnknownTopicOrPartitionException.class,
                admin.describeTopics(List.of("ja-none")).topicNameValues().get("ja-none"));
            Uuid id = Uuid.randomUuid();
            Checks.refused(UnknownTopicIdException.class,
                admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).topicIdValues().get(id));
        });
        Checks.check("admin: listTopics", () -> {
            Set<String> names = Checks.get(admin.listTopics(new ListTopicsOptions().listInternal(true)).names());
            Checks.isTrue(names.containsAll(Set.of("ja-made", "ja-assigned", "ja-wide")), "names " + names);
        });
    }

    private static void refuse(Admin admin, Class<? extends Throwable> error, NewTopic topic) throws Exception {
        Throwable said = Checks.refused(error, admin.createTopics(List.of(topic)).all());
        Checks.isTrue(said.getMessage() != null && !said.getMessage().isBlank(), "no message for " + topic);
    }

    private static void partitions(Admin admin) {
        Checks.check("admin: createPartitions adds, and never removes", () -> {
            Checks.get(admin.createPartitions(Map.of("ja-assigned", NewPartitions.increaseTo(4))).all());
            eventually("four partitions", () -> Checks.get(admin.describeTopics(List.of("ja-assigned")).allTopicNames())
                .get("ja-assigned").partitions().size() == 4);
            Checks.refused(InvalidPartitionsException.class,
                admin.createPartitions(Map.of("ja-assigned", NewPartitions.increaseTo(2))).all());
            Checks.refused(InvalidPartitionsException.class,
                admin.createPartitions(Map.of("ja-assigned", NewPartitions.increaseTo(4))).all());
            Checks.refused(UnknownTopicOrPartitionException.class,
                admin.createPartitions(Map.of("ja-none", NewPartitions.increaseTo(4))).all());
        });
    }

    private static void configs(Admin admin) {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, "ja-made");
        Checks.check("admin: describeConfigs of a topic with synonyms, types and documentation", () -> {
            Config config = describe(admin, ConfigResource.Type.TOPIC, "ja-made");
            ConfigEntry retention = config.get("retention.ms");
            Checks.equal(retention.value(), "1234567", "value");
            Checks.equal(retention.type(), ConfigEntry.ConfigType.LONG, "type");
            Checks.isTrue(retention.documentation() != null && retention.documentation().length() > 20, "no documentation");
            Checks.equal(retention.synonyms().get(0).source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source");
            ConfigEntry policy = config.get("cleanup.policy");
            Checks.equal(policy.isDefault(), true, "cleanup.policy is default");
            Checks.equal(policy.synonyms().get(0).name(), "log.cleanup.policy", "synonym");
            Checks.equal(policy.type(), ConfigEntry.ConfigType.LIST, "type");
        });
        Checks.check("admin: describeConfigs of the broker, its defaults and its loggers", () -> {
            int id = Checks.get(admin.describeCluster().nodes()).iterator().next().id();
            Config broker = describe(admin, ConfigResource.Type.BROKER, String.valueOf(id));
            Checks.equal(broker.get("log.dirs").isReadOnly(), true, "log.dirs read-only");
            Checks.equal(broker.get("log.retention.ms").isReadOnly(), false, "log.retention.ms read-only");
            Checks.equal(broker.get("message.max.bytes").value(), "1048588", "message.max.bytes");
            for (ConfigEntry entry : broker.entries()) {
                Checks.isTrue(entry.type() != ConfigEntry.ConfigType.UNKNOWN, "no type for " + entry.name());
                Checks.isTrue(entry.documentation() != null, "no documentation for " + entry.name());
                Checks.isTrue(!entry.isSensitive() || entry.value() == null, "a secret is told: " + entry.name());
            }
            describe(admin, ConfigResource.Type.BROKER, "");
            Checks.isTrue(!describe(admin, ConfigResource.Type.BROKER_LOGGER, String.valueOf(id)).entries().isEmpty(),
                "no loggers");
        });
        Checks.check("admin: incrementalAlterConfigs set, append, subtract, delete", () -> {
            alter(admin, topic, "retention.ms", "99", OpType.SET);
            alter(admin, topic, "cleanup.policy", "compact", OpType.APPEND);
            eventually("set and append", () -> configOf(admin, "retention.ms").equals("99")
                && configOf(admin, "cleanup.policy").equals("delete,compact"));
            alter(admin, topic, "cleanup.policy", "compact", OpType.SUBTRACT);
            alter(admin, topic, "retention.ms", "", OpType.DELETE);
            eventually("subtract and delete", () -> configOf(admin, "retention.ms").equals("604800000")
                && configOf(admin, "cleanup.policy").equals("delete"));
        });
        Checks.check("admin: incrementalAlterConfigs refuses", () -> {
            refuseAlter(admin, InvalidConfigurationException.class, topic, "retention.ms", "soon", OpType.SET);
            refuseAlter(admin, InvalidConfigurationException.class, topic, "no.such", "1", OpType.SET);
            refuseAlter(admin, InvalidConfigurationException.class, topic, "retention.ms", "1", OpType.APPEND);
            refuseAlter(admin, UnknownTopicOrPartitionException.class,
                new ConfigResource(ConfigResource.Type.TOPIC, "ja-none"), "retention.ms", "1", OpType.SET);
            int id = Checks.get(admin.describeCluster().nodes()).iterator().next().id();
            refuseAlter(admin, InvalidRequestException.class,
                new ConfigResource(ConfigResource.Type.BROKER, String.valueOf(id)), "log.dirs", "/x", OpType.SET);
        });
        Checks.check("admin: a dynamic default of the broker reaches its topics, and its own value wins", () -> {
            int id = Checks.get(admin.describeCluster().nodes()).iterator().next().id();
            ConfigResource one = new ConfigResource(ConfigResource.Type.BROKER, String.valueOf(id));
            ConfigResource all = new ConfigResource(ConfigResource.Type.BROKER, "");
            alter(admin, all, "log.retention.ms", "777000", OpType.SET);
            eventually("the default", () -> configOf(admin, "retention.ms").equals("777000"));
            Checks.equal(describe(admin, ConfigResource.Type.TOPIC, "ja-made").get("retention.ms").source(),
                ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, "source");
            alter(admin, one, "log.retention.ms", "888000", OpType.SET);
            eventually("its own", () -> configOf(admin, "retention.ms").equals("888000"));
            alter(admin, one, "log.retention.ms", "", OpType.DELETE);
            alter(admin, all, "log.retention.ms", "", OpType.DELETE);
            eventually("the file's", () -> configOf(admin, "retention.ms").equals("604800000"));
        });
        Checks.check("admin: listConfigResources", () -> {
            Collection<ConfigResource> resources = Checks.get(admin.listConfigResources().all());
            Set<ConfigResource.Type> types = resources.stream().map(ConfigResource::type).collect(Collectors.toSet());
            Checks.isTrue(types.containsAll(Set.of(ConfigResource.Type.BROKER, ConfigResource.Type.BROKER_LOGGER)),
                "types " + types);
            Checks.isTrue(resources.contains(topic), "the topic is missing in " + resources);
        });
    }

    private static String configOf(Admin admin, String key) throws Exception {
        return describe(admin, ConfigResource.Type.TOPIC, "ja-made").get(key).value();
    }

    private static void alter(Admin admin, ConfigResource resource, String name, String value, OpType operation)
        throws Exception {
        Checks.get(admin.incrementalAlterConfigs(Map.of(resource,
            List.of(new AlterConfigOp(new ConfigEntry(name, value), operation)))).all());
    }

    private static void refuseAlter(Admin admin, Class<? extends Throwable> error, ConfigResource resource, String name,
                                    String value, OpType operation) throws Exception {
        Checks.refused(error, admin.incrementalAlterConfigs(Map.of(resource,
            List.of(new AlterConfigOp(new ConfigEntry(name, value), operation)))).all());
    }

    private static ListOffsetsResultInfo offset(Admin admin, TopicPartition where, OffsetSpec spec) throws Exception {
        return Checks.get(admin.listOffsets(Map.of(where, spec)).partitionResult(where));
    }

    private static void records(Admin admin) {
        TopicPartition where = new TopicPartition("ja-records", 0);
        Checks.check("admin: listOffsets with every specification", () -> {
            Checks.get(admin.createTopics(List.of(new NewTopic("ja-records", 2, (short) 1))).all());
            produce("ja-records", 0, "none", List.of(record("a", BASE), record("b", BASE + 5000),
                record("c", BASE + 3000)));
            Checks.equal(offset(admin, where, OffsetSpec.earliest()).offset(), 0L, "earliest");
            Checks.equal(offset(admin, where, OffsetSpec.latest()).offset(), 3L, "latest");
            Checks.equal(offset(admin, where, OffsetSpec.latest()).leaderEpoch(), Optional.of(0), "leader epoch");
            Checks.equal(offset(admin, where, OffsetSpec.maxTimestamp()).offset(), 1L, "max timestamp");
            Checks.equal(offset(admin, where, OffsetSpec.maxTimestamp()).timestamp(), BASE + 5000, "its timestamp");
            Checks.equal(offset(admin, where, OffsetSpec.earliestLocal()).offset(), 0L, "earliest local");
            Checks.equal(offset(admin, where, OffsetSpec.latestTiered()).offset(), -1L, "latest tiered");
            Checks.equal(offset(admin, where, OffsetSpec.earliestPendingUpload()).offset(), -1L, "earliest pending upload");
            Checks.equal(offset(admin, where, OffsetSpec.forTimestamp(BASE + 1)).offset(), 1L, "after the first");
            Checks.equal(offset(admin, where, OffsetSpec.forTimestamp(BASE + 5001)).offset(), -1L, "after all");
            TopicPartition empty = new TopicPartition("ja-records", 1);
            Checks.equal(offset(admin, empty, OffsetSpec.maxTimestamp()).offset(), -1L, "max timestamp of nothing");
            Checks.equal(offset(admin, empty, OffsetSpec.latest()).offset(), 0L, "latest of nothing");
        });
        Checks.check("admin: describeProducers", () -> {
            List<ProducerState> producers = Checks.get(admin.describeProducers(List.of(where)).partitionResult(where))
                .activeProducers();
            Checks.equal(producers.size(), 1, "producers");
            Checks.equal(producers.get(0).producerEpoch(), 0, "epoch");
            Checks.equal(producers.get(0).lastSequence(), 2, "last sequence");
            Checks.isTrue(producers.get(0).currentTransactionStartOffset().isEmpty(), "no transaction");
        });
        Checks.check("admin: describeLogDirs", () -> {
            Node node = Checks.get(admin.describeCluster().nodes()).iterator().next();
            Map<String, LogDirDescription> directories = Checks.get(
                admin.describeLogDirs(List.of(node.id())).allDescriptions()).get(node.id());
            Checks.equal(directories.keySet(), Set.of(System.getenv("DATA_DIR")), "directories");
            LogDirDescription directory = directories.values().iterator().next();
            Checks.isTrue(directory.error() == null, "error " + directory.error());
            Checks.isTrue(directory.replicaInfos().get(where).size() > 50, "size of the partition");
            Checks.equal(directory.replicaInfos().get(where).offsetLag(), 0L, "lag");
            Checks.isTrue(directory.totalBytes().orElse(0) > 0 && directory.usableBytes().orElse(0) > 0, "no totals");
        });
        Checks.check("admin: alterReplicaLogDirs", () -> {
            int id = Checks.get(admin.describeCluster().nodes()).iterator().next().id();
            var here = new TopicPartitionReplica(where.topic(), where.partition(), id);
            String data = System.getenv("DATA_DIR");
            Checks.get(admin.alterReplicaLogDirs(Map.of(here, data)).all());
            Checks.refused(LogDirNotFoundException.class,
                admin.alterReplicaLogDirs(Map.of(here, data + "-not")).all());
            var unknown = new TopicPartitionReplica("nobody-made-it", 0, id);
            Checks.refused(UnknownTopicOrPartitionException.class,
                admin.alterReplicaLogDirs(Map.of(unknown, data)).all());
            var told = Checks.get(admin.describeReplicaLogDirs(List.of(here)).all()).get(here);
            Checks.equal(told.getCurrentReplicaLogDir(), data, "directory");
            Checks.isTrue(told.getFutureReplicaLogDir() == null, "no move");
        });
        Checks.check("admin: deleteRecords", () -> {
            Checks.equal(Checks.get(admin.deleteRecords(Map.of(where, RecordsToDelete.beforeOffset(2))).lowWatermarks()
                .get(where)).lowWatermark(), 2L, "low watermark");
            Checks.equal(offset(admin, where, OffsetSpec.earliest()).offset(), 2L, "earliest");
            Checks.refused(OffsetOutOfRangeException.class,
                admin.deleteRecords(Map.of(where, RecordsToDelete.beforeOffset(10))).all());
        });
    }

    private static void cluster(Admin admin) {
        Checks.check("admin: describeCluster", () -> {
            var cluster = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
            Checks.equal(Checks.get(cluster.nodes()).size(), 1, "nodes");
            Checks.equal(Checks.get(cluster.controller()).port(), port(), "controller");
            Checks.isTrue(Checks.get(cluster.clusterId()).length() == 22, "cluster id");
            Checks.isTrue(Checks.get(cluster.authorizedOperations()) != null, "authorized operations");
            Checks.equal(Checks.get(admin.describeCluster(new DescribeClusterOptions().includeFencedBrokers(true)).nodes())
                .size(), 1, "nodes with fenced ones");
        });
        Checks.check("admin: describeMetadataQuorum", () -> {
            QuorumInfo quorum = Checks.get(admin.describeMetadataQuorum().quorumInfo());
            Checks.equal(quorum.voters().size(), 1, "voters");
            Checks.equal(quorum.leaderId(), quorum.voters().get(0).replicaId(), "leader");
            Checks.isTrue(quorum.highWatermark() > 0, "high watermark " + quorum.highWatermark());
        });
        Checks.check("admin: describeFeatures", () -> {
            FeatureMetadata features = Checks.get(admin.describeFeatures().featureMetadata());
            Checks.isTrue(features.supportedFeatures().containsKey("metadata.version"),
                "supported " + features.supportedFeatures());
            Checks.isTrue(features.finalizedFeaturesEpoch().isPresent(), "no epoch");
            Checks.equal((int) features.finalizedFeatures().get("group.version").maxVersionLevel(), 1, "group.version");
            if (Checks.MILENA) {
                Checks.isTrue(!features.finalizedFeatures().containsKey("transaction.version"),
                    "a feature that does not exist yet");
            }
        });
        Checks.check("admin: updateFeatures of an unknown feature", () -> {
            Checks.refused(Exception.class, admin.updateFeatures(Map.of("no.such",
                new FeatureUpdate((short) 1, FeatureUpdate.UpgradeType.UPGRADE)), new UpdateFeaturesOptions()).all());
        });
    }

    private static void deletion(Admin admin) {
        Checks.check("admin: deleteTopics by name and by id", () -> {
            CreateTopicsResult created = admin.createTopics(List.of(new NewTopic("ja-del-name", 1, (short) 1),
                new NewTopic("ja-del-id", 1, (short) 1)));
            Checks.get(created.all());
            Uuid id = Checks.get(created.topicId("ja-del-id"));
            Checks.get(admin.deleteTopics(List.of("ja-del-name")).all());
            Checks.get(admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
            eventually("both are gone", () -> {
                Set<String> names = new TreeSet<>(Checks.get(admin.listTopics().names()));
                return !names.contains("ja-del-name") && !names.contains("ja-del-id");
            });
            Checks.refused(UnknownTopicOrPartitionException.class, admin.deleteTopics(List.of("ja-del-name")).all());
            Checks.refused(UnknownTopicIdException.class,
                admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
            CreateTopicsResult again = admin.createTopics(List.of(new NewTopic("ja-del-id", 1, (short) 1)));
            Checks.isTrue(!Checks.get(again.topicId("ja-del-id")).equals(id), "the id is the old one");
        });
        Checks.check("admin: 200 topics at once", () -> {
            List<NewTopic> many = new ArrayList<>();
            for (int i = 0; i < 200; i++) {
                many.add(new NewTopic("ja-many-" + i, 2, (short) 1));
            }
            Checks.get(admin.createTopics(many).all());
            eventually("all are listed", () -> Checks.get(admin.listTopics().names()).stream()
                .filter(name -> name.startsWith("ja-many-")).count() == 200);
            Checks.get(admin.deleteTopics(many.stream().map(NewTopic::name).toList()).all());
            eventually("none is listed", () -> Checks.get(admin.listTopics().names()).stream()
                .noneMatch(name -> name.startsWith("ja-many-")));
        });
    }

    private static int port() {
        return Integer.parseInt(Checks.BOOTSTRAP.substring(Checks.BOOTSTRAP.indexOf(':') + 1));
    }
}
