package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// member polls in the background and keeps what it was given.
type member struct {
	client *kgo.Client
	mutex  sync.Mutex
	owned  map[int32]bool
	read   map[string]int
	done   chan struct{}
}

func join(group, topic string, options ...kgo.Opt) *member {
	joined := &member{owned: map[int32]bool{}, read: map[string]int{}, done: make(chan struct{})}
	moved := func(owns bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(ctx context.Context, client *kgo.Client, partitions map[string][]int32) {
			if !owns {
				_ = client.CommitUncommittedOffsets(ctx)
			}
			joined.mutex.Lock()
			defer joined.mutex.Unlock()
			for _, partition := range partitions[topic] {
				if owns {
					joined.owned[partition] = true
				} else {
					delete(joined.owned, partition)
				}
			}
		}
	}
	joined.client = client(append(options, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(300*time.Millisecond), kgo.OnPartitionsAssigned(moved(true)),
		kgo.OnPartitionsRevoked(moved(false)), kgo.OnPartitionsLost(moved(false)))...)
	go func() {
		defer close(joined.done)
		for {
			fetches := joined.client.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return
			}
			joined.mutex.Lock()
			fetches.EachRecord(func(record *kgo.Record) { joined.read[string(record.Value)]++ })
			joined.mutex.Unlock()
			_ = joined.client.CommitUncommittedOffsets(context.Background())
		}
	}()
	return joined
}

func (m *member) counts() (owned, read int) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.owned), len(m.read)
}

func (m *member) leave() {
	m.client.Close()
	<-m.done
}

func eventually(what func() string, condition func() bool) error {
	for end := time.Now().Add(25 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("after 25 s: %s", what())
		}
	}
	return nil
}

func lifeOfGroup(ctx context.Context, admin *kadm.Client, name string, options ...kgo.Opt) error {
	topic := "kgo-group-" + name
	if _, err := admin.CreateTopic(ctx, 4, 1, nil, topic); err != nil {
		return err
	}
	producer := client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer producer.Close()
	for i := range 40 {
		record := &kgo.Record{Topic: topic, Partition: int32(i % 4), Value: fmt.Appendf(nil, "%d", i)}
		if err := producer.ProduceSync(ctx, record).FirstErr(); err != nil {
			return err
		}
	}
	one := join(topic, topic, options...)
	state := func() string { owned, read := one.counts(); return fmt.Sprint("owned ", owned, ", read ", read) }
	if err := eventually(state, func() bool { owned, read := one.counts(); return owned == 4 && read == 40 }); err != nil {
		return err
	}
	two := join(topic, topic, options...)
	shared := func() bool { first, _ := one.counts(); second, _ := two.counts(); return first == 2 && second == 2 }
	if err := eventually(state, shared); err != nil {
		return err
	}
	two.leave()
	if err := eventually(state, func() bool { owned, _ := one.counts(); return owned == 4 }); err != nil {
		return err
	}
	one.leave()
	if _, read := two.counts(); read != 0 {
		return fmt.Errorf("%d records were read twice", read)
	}
	// kadm's lag asks about classic groups alone.
	if name != "next" {
		if err := caughtUp(ctx, admin, topic); err != nil {
			return err
		}
	}
	committed, err := admin.FetchOffsets(ctx, topic)
	if err != nil {
		return err
	}
	for partition := range int32(4) {
		offset, _ := committed.Lookup(topic, partition)
		if err := expect("committed", offset.At, 10); err != nil {
			return err
		}
	}
	deleted, err := admin.DeleteGroup(ctx, topic)
	if err != nil {
		return err
	}
	return deleted.Err
}

func caughtUp(ctx context.Context, admin *kadm.Client, group string) error {
	lags, err := admin.Lag(ctx, group)
	if err != nil {
		return err
	}
	lag := lags[group]
	if err := lag.Error(); err != nil {
		return err
	}
	if err := expect("lag", lag.Lag.Total(), 0); err != nil {
		return err
	}
	return expect("state", lag.State, "Empty")
}

func groups(admin *kadm.Client) {
	check("group: cooperative sticky", func(ctx context.Context) error {
		return lifeOfGroup(ctx, admin, "cooperative", kgo.Balancers(kgo.CooperativeStickyBalancer()))
	})
	check("group: range", func(ctx context.Context) error {
		return lifeOfGroup(ctx, admin, "range", kgo.Balancers(kgo.RangeBalancer()))
	})
	check("group: consumer protocol", func(ctx context.Context) error {
		next := context.WithValue(ctx, "opt_in_kafka_next_gen_balancer_beta", true)
		return lifeOfGroup(ctx, admin, "next", kgo.WithContext(next))
	})
}
