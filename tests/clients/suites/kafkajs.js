'use strict'
// The kafkajs suite: producer and admin (its consumer only works in groups).
const { Kafka, CompressionTypes, ConfigResourceTypes, logLevel } = require('kafkajs')
const assert = require('assert')

const kafka = new Kafka({
  clientId: 'suite', brokers: [process.env.BOOTSTRAP], logLevel: logLevel.NOTHING, retry: { retries: 6, initialRetryTime: 50 },
})

async function check (name, body) {
  try {
    await body()
    console.log(`ok ${name}`)
  } catch (error) {
    console.log(`FAIL ${name}: ${String(error.message || error).replace(/\n/g, ' / ')}`)
  }
}

async function refused (promise, type) {
  try {
    await promise
  } catch (error) {
    const found = error.type || (error.cause && error.cause.type) || (error.errors && error.errors[0].type) || error.message
    assert.strictEqual(found, type)
    return
  }
  assert.fail(`${type} was expected`)
}

async function offsets (admin, topic) {
  return (await admin.fetchTopicOffsets(topic)).map(o => [o.partition, o.low, o.high]).sort()
}

async function main () {
  const admin = kafka.admin()
  await admin.connect()

  await check('admin: describeCluster', async () => {
    const cluster = await admin.describeCluster()
    assert.strictEqual(cluster.brokers.length, 1)
    assert.strictEqual(cluster.controller, cluster.brokers[0].nodeId)
    assert.strictEqual(cluster.clusterId.length, 22)
  })
  await check('admin: createTopics with counts and configs, validate only, and what exists', async () => {
    assert.strictEqual(await admin.createTopics({ topics: [{ topic: 'js-a', numPartitions: 3, configEntries: [{ name: 'cleanup.policy', value: 'compact' }] }] }), true)
    assert.strictEqual(await admin.createTopics({ topics: [{ topic: 'js-a' }] }), false)
    assert.strictEqual(await admin.createTopics({ validateOnly: true, waitForLeaders: false, topics: [{ topic: 'js-only' }] }), true)
    const topics = await admin.listTopics()
    assert.ok(topics.includes('js-a') && !topics.includes('js-only'))
  })
  await check('admin: createTopics refuses a bad name and a bad count', async () => {
    await refused(admin.createTopics({ topics: [{ topic: 'js/bad' }] }), 'INVALID_TOPIC_EXCEPTION')
    await refused(admin.createTopics({ topics: [{ topic: 'js-bad', numPartitions: 1, replicationFactor: 9 }] }), 'INVALID_REPLICATION_FACTOR')
  })
  await check('admin: fetchTopicMetadata', async () => {
    const { topics } = await admin.fetchTopicMetadata({ topics: ['js-a'] })
    assert.deepStrictEqual(topics[0].partitions.map(p => p.partitionId).sort(), [0, 1, 2])
    assert.ok(topics[0].partitions.every(p => p.isr.length === 1 && p.partitionErrorCode === 0))
  })
  await check('admin: createPartitions', async () => {
    await admin.createPartitions({ topicPartitions: [{ topic: 'js-a', count: 5 }] })
    await refused(admin.createPartitions({ topicPartitions: [{ topic: 'js-a', count: 2 }] }), 'INVALID_PARTITIONS')
  })
  await check('admin: describeConfigs and alterConfigs', async () => {
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: 'js-a' }]
    await admin.alterConfigs({ resources: [{ ...resources[0], configEntries: [{ name: 'retention.ms', value: '12345' }] }] })
    const described = await admin.describeConfigs({ resources, includeSynonyms: true })
    const value = name => described.resources[0].configEntries.find(e => e.configName === name).configValue
    assert.strictEqual(value('retention.ms'), '12345')
    assert.strictEqual(value('cleanup.policy'), 'delete')
    await refused(admin.alterConfigs({ resources: [{ ...resources[0], configEntries: [{ name: 'retention.ms', value: 'x' }] }] }), 'INVALID_CONFIG')
  })

  for (const acks of [0, 1, -1]) {
    await check(`producer: acks=${acks}`, async () => {
      const topic = `js-acks${acks}`
      await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] })
      const producer = kafka.producer()
      await producer.connect()
      const told = await producer.send({ topic, acks, messages: [{ key: 'k', value: 'v', headers: { h: ['1', '2'] } }, { key: null, value: null }] })
      await producer.disconnect()
      if (acks !== 0) assert.strictEqual(told[0].baseOffset, '0')
      for (let i = 0; i < 50 && (await offsets(admin, topic))[0][2] !== '2'; i++) await new Promise(resolve => setTimeout(resolve, 100))
      assert.deepStrictEqual(await offsets(admin, topic), [[0, '0', '2']])
    })
  }
  await check('producer: gzip', async () => {
    await admin.createTopics({ topics: [{ topic: 'js-gzip', numPartitions: 1 }] })
    const producer = kafka.producer()
    await producer.connect()
    const messages = Array.from({ length: 500 }, (_, i) => ({ value: `value ${i} ${'z'.repeat(100)}` }))
    await producer.send({ topic: 'js-gzip', compression: CompressionTypes.GZIP, messages })
    await producer.disconnect()
    assert.deepStrictEqual(await offsets(admin, 'js-gzip'), [[0, '0', '500']])
  })
  await check('producer: idempotent, batches to several topics and partitions', async () => {
    await admin.createTopics({ topics: [{ topic: 'js-one', numPartitions: 2 }, { topic: 'js-two', numPartitions: 1 }] })
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    for (let i = 0; i < 20; i++) {
      await producer.sendBatch({ topicMessages: [
        { topic: 'js-one', messages: [{ partition: 0, value: 'a' }, { partition: 1, value: 'b' }] },
        { topic: 'js-two', messages: [{ value: 'c' }] }] })
    }
    await producer.disconnect()
    assert.deepStrictEqual(await offsets(admin, 'js-one'), [[0, '0', '20'], [1, '0', '20']])
    assert.deepStrictEqual(await offsets(admin, 'js-two'), [[0, '0', '20']])
  })
  await check('producer: a record of nearly 1 MiB, and one too large', async () => {
    await admin.createTopics({ topics: [{ topic: 'js-large', numPartitions: 1 }] })
    const producer = kafka.producer()
    await producer.connect()
    await producer.send({ topic: 'js-large', messages: [{ value: Buffer.alloc(1048000) }] })
    await refused(producer.send({ topic: 'js-large', messages: [{ value: Buffer.alloc(1100000) }] }), 'MESSAGE_TOO_LARGE')
    await producer.disconnect()
    assert.deepStrictEqual(await offsets(admin, 'js-large'), [[0, '0', '1']])
  })
  await check('producer: makes a topic by sending to it', async () => {
    const producer = kafka.producer({ allowAutoTopicCreation: true, retry: { retries: 10 } })
    await producer.connect()
    await producer.send({ topic: 'js-auto', messages: [{ value: 'x' }] })
    await producer.disconnect()
    assert.deepStrictEqual(await offsets(admin, 'js-auto'), [[0, '0', '1']])
  })

  await check('admin: fetchTopicOffsetsByTimestamp', async () => {
    await admin.createTopics({ topics: [{ topic: 'js-times', numPartitions: 1 }] })
    const producer = kafka.producer()
    await producer.connect()
    const start = Date.now() - 100000
    await producer.send({ topic: 'js-times', messages: [0, 1, 2].map(i => ({ value: `${i}`, timestamp: `${start + i * 1000}` })) })
    await producer.disconnect()
    assert.deepStrictEqual(await admin.fetchTopicOffsetsByTimestamp('js-times', start + 500), [{ partition: 0, offset: '1' }])
    assert.deepStrictEqual(await admin.fetchTopicOffsetsByTimestamp('js-times', start + 90000), [{ partition: 0, offset: '3' }])
  })
  await check('admin: deleteTopicRecords', async () => {
    await admin.deleteTopicRecords({ topic: 'js-times', partitions: [{ partition: 0, offset: '2' }] })
    assert.deepStrictEqual(await offsets(admin, 'js-times'), [[0, '2', '3']])
  })
  await check('admin: deleteTopics', async () => {
    await admin.deleteTopics({ topics: ['js-times'] })
    assert.ok(!(await admin.listTopics()).includes('js-times'))
    await refused(admin.deleteTopics({ topics: ['js-times'] }), 'UNKNOWN_TOPIC_OR_PARTITION')
  })
  await check('consumer: two members share, one leaves, offsets are committed, admin describes, resets and deletes', async () => {
    await admin.createTopics({ topics: [{ topic: 'js-group', numPartitions: 4 }] })
    const producer = kafka.producer()
    await producer.connect()
    await producer.send({ topic: 'js-group', messages: Array.from({ length: 40 }, (_, i) => ({ value: `${i}`, partition: i % 4 })) })
    await producer.disconnect()
    const seen = new Set()
    const member = async () => {
      const consumer = kafka.consumer({ groupId: 'js', sessionTimeout: 6000, heartbeatInterval: 300, rebalanceTimeout: 10000 })
      consumer.owned = []
      consumer.on('consumer.group_join', event => { consumer.owned = event.payload.memberAssignment['js-group'] || [] })
      await consumer.connect()
      await consumer.subscribe({ topics: ['js-group'], fromBeginning: true })
      await consumer.run({ autoCommitThreshold: 1, eachMessage: async ({ message }) => { seen.add(message.value.toString()) } })
      return consumer
    }
    const eventually = async (what, condition) => {
      const deadline = Date.now() + 40000
      while (!await condition()) {
        assert.ok(Date.now() < deadline, what())
        await new Promise(resolve => setTimeout(resolve, 50))
      }
    }
    const one = await member()
    const two = await member()
    await eventually(() => `read ${seen.size}, owned ${one.owned} and ${two.owned}`,
      () => seen.size === 40 && one.owned.length === 2 && two.owned.length === 2)
    const described = (await admin.describeGroups(['js'])).groups[0]
    assert.deepStrictEqual([described.state, described.members.length, described.protocolType], ['Stable', 2, 'consumer'])
    await two.disconnect()
    await eventually(() => `owned ${one.owned}`, () => one.owned.length === 4)
    const committed = async () => (await admin.fetchOffsets({ groupId: 'js', topics: ['js-group'] }))[0].partitions
      .map(({ partition, offset }) => [partition, offset]).sort()
    await eventually(() => 'not committed', async () => (await committed()).every(([, offset]) => offset === '10'))
    await one.disconnect()
    await admin.setOffsets({ groupId: 'js', topic: 'js-group', partitions: [{ partition: 2, offset: '3' }] })
    assert.deepStrictEqual((await committed())[2], [2, '3'])
    await admin.resetOffsets({ groupId: 'js', topic: 'js-group', earliest: true })
    assert.deepStrictEqual((await committed())[2], [2, '-2'])
    assert.ok((await admin.listGroups()).groups.some(({ groupId }) => groupId === 'js'))
    await admin.deleteGroups(['js'])
    assert.ok(!(await admin.listGroups()).groups.some(({ groupId }) => groupId === 'js'))
  })
  await admin.disconnect()
  console.log('finished')
}

main().catch(error => { console.error(error); process.exit(1) })
