// The franz-go suite: producing, consuming partitions directly, and kadm, against the broker at $BOOTSTRAP.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var bootstrap = os.Getenv("BOOTSTRAP")

// base is the first timestamp, an hour ago: retention by time must not find the records old.
var base = time.Now().UnixMilli() - 3_600_000

// check runs one check and prints how it went.
func check(name string, body func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := body(ctx); err != nil {
		fmt.Printf("FAIL %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	fmt.Printf("ok %s\n", name)
}

func client(options ...kgo.Opt) *kgo.Client {
	made, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(bootstrap)}, options...)...)
	if err != nil {
		panic(err)
	}
	return made
}

func expect[T comparable](what string, found, expected T) error {
	if found != expected {
		return fmt.Errorf("%s is %v, expected %v", what, found, expected)
	}
	return nil
}

// produce sends records numbered from 0 to one partition and compares the offsets told with the places.
func produce(ctx context.Context, topic string, count int, start int64, options ...kgo.Opt) error {
	producer := client(append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	defer producer.Close()
	records := make([]*kgo.Record, count)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "v%d", i),
			Timestamp: time.UnixMilli(base + int64(i)*10),
			Headers:   []kgo.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "h", Value: []byte("2")}}}
	}
	for i, result := range producer.ProduceSync(ctx, records...) {
		if result.Err != nil {
			return result.Err
		}
		if start >= 0 {
			if err := expect("offset", result.Record.Offset, start+int64(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// consume reads records of partition 0 until it has as many as wanted.
func consume(ctx context.Context, topic string, from kgo.Offset, count int, options ...kgo.Opt) ([]*kgo.Record, error) {
	consumer := client(append(options, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: from}}))...)
	defer consumer.Close()
	var records []*kgo.Record
	for len(records) < count {
		fetches := consumer.PollFetches(ctx)
		if failed := fetches.Errors(); len(failed) > 0 {
			return records, fmt.Errorf("after %d records: %w", len(records), failed[0].Err)
		}
		records = append(records, fetches.Records()...)
	}
	return records, nil
}

// readsFrom expects the records from number first to the last one of count.
func readsFrom(ctx context.Context, topic string, from kgo.Offset, first, count int, options ...kgo.Opt) error {
	records, err := consume(ctx, topic, from, count-first, options...)
	if err != nil {
		return err
	}
	for i, record := range records {
		number := first + i
		if err := errors.Join(expect("offset", record.Offset, int64(number)),
			expect("key", string(record.Key), fmt.Sprintf("k%d", number)),
			expect("value", string(record.Value), fmt.Sprintf("v%d", number)),
			expect("headers", len(record.Headers), 2),
			expect("timestamp", record.Timestamp.UnixMilli(), base+int64(number)*10)); err != nil {
			return err
		}
	}
	return expect("count", len(records), count-first)
}

func main() {
	plain := client()
	defer plain.Close()
	admin := kadm.NewClient(plain)
	administration(admin)
	producing(admin)
	consuming(admin)
	groups(admin)
	fmt.Println("finished")
}

func administration(admin *kadm.Client) {
	check("admin: api versions and metadata", func(ctx context.Context) error {
		versions, err := admin.ApiVersions(ctx)
		if err != nil {
			return err
		}
		for _, version := range versions {
			for _, key := range []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata} {
				if _, known := version.KeyMaxVersion(key.Int16()); !known {
					return fmt.Errorf("no %s", key.Name())
				}
			}
		}
		metadata, err := admin.Metadata(ctx)
		if err != nil {
			return err
		}
		return errors.Join(expect("brokers", len(metadata.Brokers), 1),
			expect("controller", metadata.Controller, metadata.Brokers[0].NodeID))
	})
	check("admin: create topics, with configs, validate only, and errors", func(ctx context.Context) error {
		value := "compact"
		made, err := admin.CreateTopics(ctx, 3, 1, map[string]*string{"cleanup.policy": &value}, "go-a", "go-b")
		if err != nil {
			return err
		}
		for _, topic := range made {
			if topic.Err != nil {
				return topic.Err
			}
			if err := expect("partitions", topic.NumPartitions, 3); err != nil {
				return err
			}
		}
		again, err := admin.CreateTopics(ctx, 3, 1, nil, "go-a")
		if err != nil {
			return err
		}
		if !errors.Is(again["go-a"].Err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("made twice: %v", again["go-a"].Err)
		}
		only, err := admin.ValidateCreateTopics(ctx, 1, 1, nil, "go-only", "go bad")
		if err != nil {
			return err
		}
		if only["go-only"].Err != nil || !errors.Is(only["go bad"].Err, kerr.InvalidTopicException) {
			return fmt.Errorf("validated: %v, %v", only["go-only"].Err, only["go bad"].Err)
		}
		listed, err := admin.ListTopics(ctx)
		for err == nil && len(listed["go-a"].Partitions) == 0 && ctx.Err() == nil {
			listed, err = admin.ListTopics(ctx)
		}
		if err != nil {
			return err
		}
		return errors.Join(expect("go-only listed", listed.Has("go-only"), false),
			expect("partitions", len(listed["go-a"].Partitions), 3))
	})
	check("admin: update partitions", func(ctx context.Context) error {
		grown, err := admin.UpdatePartitions(ctx, 5, "go-a")
		if err != nil {
			return err
		}
		if err := grown.Error(); err != nil {
			return err
		}
		shrunk, err := admin.UpdatePartitions(ctx, 2, "go-a")
		if err != nil {
			return err
		}
		if !errors.Is(shrunk["go-a"].Err, kerr.InvalidPartitions) {
			return fmt.Errorf("shrunk: %v", shrunk["go-a"].Err)
		}
		return nil
	})
	check("admin: describe and alter topic configs", func(ctx context.Context) error {
		value := "12345"
		altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}, "go-a")
		if err != nil {
			return err
		}
		if altered[0].Err != nil {
			return altered[0].Err
		}
		described, err := admin.DescribeTopicConfigs(ctx, "go-a")
		if err != nil {
			return err
		}
		for _, config := range described[0].Configs {
			if config.Key == "retention.ms" {
				return errors.Join(expect("value", config.MaybeValue(), value),
					expect("source", config.Source, kmsg.ConfigSourceDynamicTopicConfig))
			}
		}
		return errors.New("no retention.ms")
	})
	check("admin: describe broker configs", func(ctx context.Context) error {
		metadata, err := admin.BrokerMetadata(ctx)
		if err != nil {
			return err
		}
		described, err := admin.DescribeBrokerConfigs(ctx, metadata.Brokers[0].NodeID)
		if err != nil {
			return err
		}
		if described[0].Err != nil || len(described[0].Configs) < 50 {
			return fmt.Errorf("%d configs, error %v", len(described[0].Configs), described[0].Err)
		}
		return nil
	})
	check("admin: describe log directories", func(ctx context.Context) error {
		all, err := admin.DescribeAllLogDirs(ctx, nil)
		if err != nil {
			return err
		}
		return expect("directories", len(all.Sorted()), 1)
	})
	check("admin: delete topics", func(ctx context.Context) error {
		deleted, err := admin.DeleteTopics(ctx, "go-b", "go-none")
		if err != nil {
			return err
		}
		if deleted["go-b"].Err != nil || !errors.Is(deleted["go-none"].Err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("%v, %v", deleted["go-b"].Err, deleted["go-none"].Err)
		}
		return nil
	})
}

func producing(admin *kadm.Client) {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	for _, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		check("producer and consumer: idempotent, "+name, func(ctx context.Context) error {
			topic := "go-" + name
			if _, err := admin.CreateTopic(ctx, 1, 1, nil, topic); err != nil {
				return err
			}
			if err := produce(ctx, topic, 1000, 0, kgo.ProducerBatchCompression(codecs[name])); err != nil {
				return err
			}
			return readsFrom(ctx, topic, kgo.NewOffset().AtStart(), 0, 1000)
		})
	}
	acks := map[string]kgo.Acks{"0": kgo.NoAck(), "1": kgo.LeaderAck(), "all": kgo.AllISRAcks()}
	for _, name := range []string{"0", "1", "all"} {
		check("producer: acks="+name+" without idempotence", func(ctx context.Context) error {
			topic := "go-acks-" + name
			if _, err := admin.CreateTopic(ctx, 1, 1, nil, topic); err != nil {
				return err
			}
			start := int64(0)
			if name == "0" {
				start = -1
			}
			if err := produce(ctx, topic, 100, start, kgo.RequiredAcks(acks[name]), kgo.DisableIdempotentWrite()); err != nil {
				return err
			}
			return readsFrom(ctx, topic, kgo.NewOffset().AtStart(), 0, 100)
		})
	}
	check("producer: nulls and empty ones", func(ctx context.Context) error {
		if _, err := admin.CreateTopic(ctx, 1, 1, nil, "go-shapes"); err != nil {
			return err
		}
		producer := client()
		defer producer.Close()
		if err := producer.ProduceSync(ctx, &kgo.Record{Topic: "go-shapes"},
			&kgo.Record{Topic: "go-shapes", Key: []byte{}, Value: []byte{}}).FirstErr(); err != nil {
			return err
		}
		read, err := consume(ctx, "go-shapes", kgo.NewOffset().AtStart(), 2)
		if err != nil {
			return err
		}
		return errors.Join(expect("null key", read[0].Key == nil, true), expect("null value", read[0].Value == nil, true),
			expect("empty key", read[1].Key != nil && len(read[1].Key) == 0, true),
			expect("empty value", read[1].Value != nil && len(read[1].Value) == 0, true))
	})
	check("producer: a record of 1 MiB, and one too large", func(ctx context.Context) error {
		limit := "1100000"
		if _, err := admin.CreateTopic(ctx, 1, 1, map[string]*string{"max.message.bytes": &limit}, "go-large"); err != nil {
			return err
		}
		producer := client(kgo.ProducerBatchMaxBytes(3_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
		defer producer.Close()
		large := bytes.Repeat([]byte{7}, 1024*1024)
		if err := producer.ProduceSync(ctx, &kgo.Record{Topic: "go-large", Value: large}).FirstErr(); err != nil {
			return err
		}
		read, err := consume(ctx, "go-large", kgo.NewOffset().AtStart(), 1)
		if err != nil {
			return err
		}
		if !bytes.Equal(read[0].Value, large) {
			return errors.New("it came back changed")
		}
		err = producer.ProduceSync(ctx, &kgo.Record{Topic: "go-large", Value: make([]byte, 1_200_000)}).FirstErr()
		if !errors.Is(err, kerr.MessageTooLarge) {
			return fmt.Errorf("too large: %v", err)
		}
		return nil
	})
	check("producer: a topic that does not exist, and its automatic creation", func(ctx context.Context) error {
		producer := client(kgo.AllowAutoTopicCreation())
		defer producer.Close()
		return producer.ProduceSync(ctx, &kgo.Record{Topic: "go-auto", Value: []byte("x")}).FirstErr()
	})
}

func consuming(admin *kadm.Client) {
	topic := "go-starts"
	check("consumer: start, offset, relative, time, end", func(ctx context.Context) error {
		if _, err := admin.CreateTopic(ctx, 1, 1, nil, topic); err != nil {
			return err
		}
		if err := produce(ctx, topic, 100, 0, kgo.ProducerLinger(0), kgo.MaxBufferedRecords(5)); err != nil {
			return err
		}
		return errors.Join(readsFrom(ctx, topic, kgo.NewOffset().AtStart(), 0, 100),
			readsFrom(ctx, topic, kgo.NewOffset().At(57), 57, 100),
			readsFrom(ctx, topic, kgo.NewOffset().AtEnd().Relative(-5), 95, 100),
			readsFrom(ctx, topic, kgo.NewOffset().AfterMilli(base+605), 61, 100))
	})
	check("consumer: small fetches", func(ctx context.Context) error {
		return readsFrom(ctx, topic, kgo.NewOffset().AtStart(), 0, 100, kgo.FetchMaxBytes(1), kgo.FetchMaxPartitionBytes(1))
	})
	check("consumer: read committed", func(ctx context.Context) error {
		return readsFrom(ctx, topic, kgo.NewOffset().AtStart(), 0, 100, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	})
	check("consumer: from the end, a new record arrives", func(ctx context.Context) error {
		consumer := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtEnd()}}))
		defer consumer.Close()
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if early := consumer.PollFetches(short).Records(); len(early) > 0 {
			return fmt.Errorf("old record at %d", early[0].Offset)
		}
		if err := produce(ctx, topic, 1, 100); err != nil {
			return err
		}
		for {
			if err := ctx.Err(); err != nil {
				return err
			}
			if records := consumer.PollFetches(ctx).Records(); len(records) > 0 {
				return expect("offset", records[0].Offset, 100)
			}
		}
	})
	check("consumer: an offset out of range without a reset is an error", func(ctx context.Context) error {
		_, err := consume(ctx, topic, kgo.NewOffset().At(5000), 1, kgo.ConsumeResetOffset(kgo.NoResetOffset()))
		if !errors.Is(err, kerr.OffsetOutOfRange) {
			return fmt.Errorf("error %v", err)
		}
		return nil
	})
	check("admin: list offsets and delete records", func(ctx context.Context) error {
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err != nil {
			return err
		}
		after, err := admin.ListOffsetsAfterMilli(ctx, base+15, topic)
		if err != nil {
			return err
		}
		end, _ := ends.Lookup(topic, 0)
		found, _ := after.Lookup(topic, 0)
		if err := errors.Join(expect("end", end.Offset, 101), expect("after", found.Offset, 2)); err != nil {
			return err
		}
		offsets := kadm.Offsets{}
		offsets.AddOffset(topic, 0, 50, -1)
		if _, err := admin.DeleteRecords(ctx, offsets); err != nil {
			return err
		}
		starts, err := admin.ListStartOffsets(ctx, topic)
		if err != nil {
			return err
		}
		start, _ := starts.Lookup(topic, 0)
		return expect("start", start.Offset, 50)
	})
	check("admin: offsets of leader epochs", func(ctx context.Context) error {
		request := kadm.OffsetForLeaderEpochRequest{}
		request.Add(topic, 0, 0)
		answer, err := admin.OffetForLeaderEpoch(ctx, request)
		if err != nil {
			return err
		}
		partition := answer[topic][0]
		if partition.Err != nil {
			return partition.Err
		}
		return expect("end offset", partition.EndOffset, 101)
	})
}
