// The sarama suite: its consumer groups, against the broker at $BOOTSTRAP.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

var bootstrap = []string{os.Getenv("BOOTSTRAP")}

const partitions = 4

// check runs one check and prints how it went.
func check(name string, body func() error) {
	if err := body(); err != nil {
		fmt.Printf("FAIL %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	fmt.Printf("ok %s\n", name)
}

func settings() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V4_0_0_0
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Group.Session.Timeout = 6 * time.Second
	config.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	config.Consumer.Offsets.AutoCommit.Interval = 200 * time.Millisecond
	config.Metadata.RefreshFrequency = time.Second
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	return config
}

// member is one consumer of a group, and what happened to it.
type member struct {
	mutex  sync.Mutex
	owned  map[int32]bool
	read   map[string]int
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.owned = map[int32]bool{}
	for _, claimed := range session.Claims() {
		for _, partition := range claimed {
			m.owned[partition] = true
		}
	}
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.owned = nil
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, more := <-claim.Messages():
			if !more {
				return nil
			}
			m.mutex.Lock()
			m.read[string(message.Value)]++
			m.mutex.Unlock()
			session.MarkMessage(message, "")
		case <-session.Context().Done():
			return nil
		}
	}
}

func (m *member) share() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.owned)
}

func (m *member) values() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.read)
}

func join(group, topic string, strategy sarama.BalanceStrategy) (*member, error) {
	config := settings()
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
	client, err := sarama.NewConsumerGroup(bootstrap, group, config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	joined := &member{read: map[string]int{}, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(joined.done)
		for ctx.Err() == nil {
			if err := client.Consume(ctx, []string{topic}, joined); err != nil && !errors.Is(err, context.Canceled) {
				joined.err = err
				break
			}
		}
		if err := client.Close(); err != nil && joined.err == nil {
			joined.err = err
		}
	}()
	return joined, nil
}

func (m *member) leave() error {
	m.cancel()
	<-m.done
	return m.err
}

func eventually(what func() string, condition func() bool) error {
	for end := time.Now().Add(40 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("after 40 s: " + what())
		}
	}
	return nil
}

func life(admin sarama.ClusterAdmin, name string, strategy sarama.BalanceStrategy) error {
	topic, group := "sarama-"+name, "sarama-"+name
	if err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false); err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducer(bootstrap, settings())
	if err != nil {
		return err
	}
	defer producer.Close()
	for i := range 40 {
		message := &sarama.ProducerMessage{Topic: topic, Partition: int32(i % partitions), Value: sarama.StringEncoder(fmt.Sprint(i))}
		if _, _, err := producer.SendMessage(message); err != nil {
			return err
		}
	}
	one, err := join(group, topic, strategy)
	if err != nil {
		return err
	}
	if err := eventually(func() string { return fmt.Sprint(one.values(), " read ", one.err) }, func() bool { return one.values() == 40 }); err != nil {
		return err
	}
	two, err := join(group, topic, strategy)
	if err != nil {
		return err
	}
	shares := func() string { return fmt.Sprint("shares ", one.share(), two.share()) }
	if err := eventually(shares, func() bool { return one.share() == 2 && two.share() == 2 }); err != nil {
		return err
	}
	if err := two.leave(); err != nil {
		return err
	}
	if err := eventually(shares, func() bool { return one.share() == partitions }); err != nil {
		return err
	}
	if err := one.leave(); err != nil {
		return err
	}
	if two.values() != 0 {
		return fmt.Errorf("%d records were read twice", two.values())
	}
	offsets, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0, 1, 2, 3}})
	if err != nil {
		return err
	}
	for partition := range int32(partitions) {
		if block := offsets.GetBlock(topic, partition); block == nil || block.Offset != 10 {
			return fmt.Errorf("committed of %d is %v", partition, block)
		}
	}
	groups, err := admin.ListConsumerGroups()
	if err != nil {
		return err
	}
	if groups[group] != "consumer" {
		return fmt.Errorf("listed as %q", groups[group])
	}
	described, err := admin.DescribeConsumerGroups([]string{group})
	if err != nil {
		return err
	}
	if described[0].State != "Empty" {
		return fmt.Errorf("state %s", described[0].State)
	}
	return admin.DeleteConsumerGroup(group)
}

func main() {
	admin, err := sarama.NewClusterAdmin(bootstrap, settings())
	if err != nil {
		panic(err)
	}
	defer admin.Close()
	check("group: range", func() error { return life(admin, "range", sarama.NewBalanceStrategyRange()) })
	check("group: round robin", func() error { return life(admin, "roundrobin", sarama.NewBalanceStrategyRoundRobin()) })
	check("group: sticky", func() error { return life(admin, "sticky", sarama.NewBalanceStrategySticky()) })
	fmt.Println("finished")
}
