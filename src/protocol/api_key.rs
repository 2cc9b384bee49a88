//! The numbers of the requests (Kafka's `ApiKeys`), for the tables that dispatch on them.

/// Produce.
pub const PRODUCE: i16 = 0;
/// Fetch.
pub const FETCH: i16 = 1;
/// ListOffsets.
pub const LIST_OFFSETS: i16 = 2;
/// Metadata.
pub const METADATA: i16 = 3;
/// OffsetCommit.
pub const OFFSET_COMMIT: i16 = 8;
/// OffsetFetch.
pub const OFFSET_FETCH: i16 = 9;
/// FindCoordinator.
pub const FIND_COORDINATOR: i16 = 10;
/// JoinGroup.
pub const JOIN_GROUP: i16 = 11;
/// Heartbeat.
pub const HEARTBEAT: i16 = 12;
/// LeaveGroup.
pub const LEAVE_GROUP: i16 = 13;
/// SyncGroup.
pub const SYNC_GROUP: i16 = 14;
/// DescribeGroups.
pub const DESCRIBE_GROUPS: i16 = 15;
/// ListGroups.
pub const LIST_GROUPS: i16 = 16;
/// SaslHandshake.
pub const SASL_HANDSHAKE: i16 = 17;
/// ApiVersions.
pub const API_VERSIONS: i16 = 18;
/// CreateTopics.
pub const CREATE_TOPICS: i16 = 19;
/// DeleteTopics.
pub const DELETE_TOPICS: i16 = 20;
/// DeleteRecords.
pub const DELETE_RECORDS: i16 = 21;
/// InitProducerId.
pub const INIT_PRODUCER_ID: i16 = 22;
/// OffsetForLeaderEpoch.
pub const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
/// AddPartitionsToTxn.
pub const ADD_PARTITIONS_TO_TXN: i16 = 24;
/// AddOffsetsToTxn.
pub const ADD_OFFSETS_TO_TXN: i16 = 25;
/// EndTxn.
pub const END_TXN: i16 = 26;
/// WriteTxnMarkers.
pub const WRITE_TXN_MARKERS: i16 = 27;
/// TxnOffsetCommit.
pub const TXN_OFFSET_COMMIT: i16 = 28;
/// DescribeAcls.
pub const DESCRIBE_ACLS: i16 = 29;
/// CreateAcls.
pub const CREATE_ACLS: i16 = 30;
/// DeleteAcls.
pub const DELETE_ACLS: i16 = 31;
/// DescribeConfigs.
pub const DESCRIBE_CONFIGS: i16 = 32;
/// AlterConfigs.
pub const ALTER_CONFIGS: i16 = 33;
/// AlterReplicaLogDirs.
pub const ALTER_REPLICA_LOG_DIRS: i16 = 34;
/// DescribeLogDirs.
pub const DESCRIBE_LOG_DIRS: i16 = 35;
/// SaslAuthenticate.
pub const SASL_AUTHENTICATE: i16 = 36;
/// CreatePartitions.
pub const CREATE_PARTITIONS: i16 = 37;
/// CreateDelegationToken.
pub const CREATE_DELEGATION_TOKEN: i16 = 38;
/// RenewDelegationToken.
pub const RENEW_DELEGATION_TOKEN: i16 = 39;
/// ExpireDelegationToken.
pub const EXPIRE_DELEGATION_TOKEN: i16 = 40;
/// DescribeDelegationToken.
pub const DESCRIBE_DELEGATION_TOKEN: i16 = 41;
/// DeleteGroups.
pub const DELETE_GROUPS: i16 = 42;
/// ElectLeaders.
pub const ELECT_LEADERS: i16 = 43;
/// IncrementalAlterConfigs.
pub const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
/// AlterPartitionReassignments.
pub const ALTER_PARTITION_REASSIGNMENTS: i16 = 45;
/// ListPartitionReassignments.
pub const LIST_PARTITION_REASSIGNMENTS: i16 = 46;
/// OffsetDelete.
pub const OFFSET_DELETE: i16 = 47;
/// DescribeClientQuotas.
pub const DESCRIBE_CLIENT_QUOTAS: i16 = 48;
/// AlterClientQuotas.
pub const ALTER_CLIENT_QUOTAS: i16 = 49;
/// DescribeUserScramCredentials.
pub const DESCRIBE_USER_SCRAM_CREDENTIALS: i16 = 50;
/// AlterUserScramCredentials.
pub const ALTER_USER_SCRAM_CREDENTIALS: i16 = 51;
/// Vote.
pub const VOTE: i16 = 52;
/// BeginQuorumEpoch.
pub const BEGIN_QUORUM_EPOCH: i16 = 53;
/// EndQuorumEpoch.
pub const END_QUORUM_EPOCH: i16 = 54;
/// DescribeQuorum.
pub const DESCRIBE_QUORUM: i16 = 55;
/// AlterPartition.
pub const ALTER_PARTITION: i16 = 56;
/// UpdateFeatures.
pub const UPDATE_FEATURES: i16 = 57;
/// Envelope.
pub const ENVELOPE: i16 = 58;
/// FetchSnapshot.
pub const FETCH_SNAPSHOT: i16 = 59;
/// DescribeCluster.
pub const DESCRIBE_CLUSTER: i16 = 60;
/// DescribeProducers.
pub const DESCRIBE_PRODUCERS: i16 = 61;
/// BrokerRegistration.
pub const BROKER_REGISTRATION: i16 = 62;
/// BrokerHeartbeat.
pub const BROKER_HEARTBEAT: i16 = 63;
/// UnregisterBroker.
pub const UNREGISTER_BROKER: i16 = 64;
/// DescribeTransactions.
pub const DESCRIBE_TRANSACTIONS: i16 = 65;
/// ListTransactions.
pub const LIST_TRANSACTIONS: i16 = 66;
/// AllocateProducerIds.
pub const ALLOCATE_PRODUCER_IDS: i16 = 67;
/// ConsumerGroupHeartbeat.
pub const CONSUMER_GROUP_HEARTBEAT: i16 = 68;
/// ConsumerGroupDescribe.
pub const CONSUMER_GROUP_DESCRIBE: i16 = 69;
/// ControllerRegistration.
pub const CONTROLLER_REGISTRATION: i16 = 70;
/// GetTelemetrySubscriptions.
pub const GET_TELEMETRY_SUBSCRIPTIONS: i16 = 71;
/// PushTelemetry.
pub const PUSH_TELEMETRY: i16 = 72;
/// AssignReplicasToDirs.
pub const ASSIGN_REPLICAS_TO_DIRS: i16 = 73;
/// ListConfigResources.
pub const LIST_CONFIG_RESOURCES: i16 = 74;
/// DescribeTopicPartitions.
pub const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;
/// ShareGroupHeartbeat.
pub const SHARE_GROUP_HEARTBEAT: i16 = 76;
/// ShareGroupDescribe.
pub const SHARE_GROUP_DESCRIBE: i16 = 77;
/// ShareFetch.
pub const SHARE_FETCH: i16 = 78;
/// ShareAcknowledge.
pub const SHARE_ACKNOWLEDGE: i16 = 79;
/// AddRaftVoter.
pub const ADD_RAFT_VOTER: i16 = 80;
/// RemoveRaftVoter.
pub const REMOVE_RAFT_VOTER: i16 = 81;
/// UpdateRaftVoter.
pub const UPDATE_RAFT_VOTER: i16 = 82;
/// InitializeShareGroupState.
pub const INITIALIZE_SHARE_GROUP_STATE: i16 = 83;
/// ReadShareGroupState.
pub const READ_SHARE_GROUP_STATE: i16 = 84;
/// WriteShareGroupState.
pub const WRITE_SHARE_GROUP_STATE: i16 = 85;
/// DeleteShareGroupState.
pub const DELETE_SHARE_GROUP_STATE: i16 = 86;
/// ReadShareGroupStateSummary.
pub const READ_SHARE_GROUP_STATE_SUMMARY: i16 = 87;
/// StreamsGroupHeartbeat.
pub const STREAMS_GROUP_HEARTBEAT: i16 = 88;
/// StreamsGroupDescribe.
pub const STREAMS_GROUP_DESCRIBE: i16 = 89;
/// DescribeShareGroupOffsets.
pub const DESCRIBE_SHARE_GROUP_OFFSETS: i16 = 90;
/// AlterShareGroupOffsets.
pub const ALTER_SHARE_GROUP_OFFSETS: i16 = 91;
/// DeleteShareGroupOffsets.
pub const DELETE_SHARE_GROUP_OFFSETS: i16 = 92;
