"""aiokafka: producer, a consumer with assigned partitions, and admin."""
import asyncio
import contextlib
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from checks import BOOTSTRAP, Skip, check, equal, finish, true


@contextlib.asynccontextmanager
async def started(client):
    await client.start()
    try:
        yield client
    finally:
        await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())


async def read(topic, start, count):
    where = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, enable_auto_commit=False, auto_offset_reset="none")
    async with started(consumer):
        consumer.assign([where])
        if start is None:
            await consumer.seek_to_beginning(where)
        else:
            consumer.seek(where, start)
        return [await asyncio.wait_for(consumer.getone(), 15) for _ in range(count)]


async def main():
    with check("admin: create, list and delete topics"):
        async with started(AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)) as admin:
            await admin.create_topics([NewTopic("aio-a", 3, 1, topic_configs={"retention.ms": "5000"}),
                                       NewTopic("aio-b", 1, 1)])
            listed = await admin.list_topics()
            true("aio-a" in listed and "aio-b" in listed, f"listed {listed}")
            await admin.delete_topics(["aio-b"])
            for _ in range(50):
                if "aio-b" not in await admin.list_topics():
                    break
                await asyncio.sleep(0.1)
            else:
                raise AssertionError("it is still listed")

    for codec in (None, "gzip", "snappy", "lz4", "zstd"):
        with check(f"producer and consumer: {codec}"):
            topic = f"aio-{codec}"
            try:
                producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, compression_type=codec)
            except RuntimeError as error:
                raise Skip(str(error)) from error
            async with started(AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)) as admin:
                await admin.create_topics([NewTopic(topic, 1, 1)])
            async with started(producer):
                for future in [await producer.send(topic, b"v%d" % i, key=b"k%d" % i, partition=0,
                                                   headers=[("h", b"1"), ("h", b"2")]) for i in range(500)]:
                    await asyncio.wait_for(future, 15)
            records = await read(topic, None, 500)
            equal([(r.offset, r.key, r.value) for r in records],
                  [(i, b"k%d" % i, b"v%d" % i) for i in range(500)])
            equal(list(records[0].headers), [("h", b"1"), ("h", b"2")], "headers")
            equal([r.offset for r in await read(topic, 490, 10)], list(range(490, 500)), "from 490")

    with check("producer: acks and idempotence"):
        for settings in ({"acks": 0}, {"acks": 1}, {"acks": "all"}, {"enable_idempotence": True}):
            async with started(AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, **settings)) as producer:
                await producer.send_and_wait("aio-acks", b"x", partition=0)
        equal(len(await read("aio-acks", None, 4)), 4, "records")

    with check("consumer: beginning, end and offsets for times"):
        async with started(AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP)) as consumer:
            where = TopicPartition("aio-None", 0)
            equal(await consumer.beginning_offsets([where]), {where: 0})
            equal(await consumer.end_offsets([where]), {where: 500})
            equal((await consumer.offsets_for_times({where: 0}))[where].offset, 0)

    with check("group: two consumers share, one leaves, offsets are committed"):
        async with started(AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)) as admin:
            await admin.create_topics([NewTopic("aio-group", 4, 1)])
        async with started(AIOKafkaProducer(bootstrap_servers=BOOTSTRAP)) as producer:
            for i in range(40):
                await producer.send_and_wait("aio-group", b"%d" % i, partition=i % 4)

        def member():
            return AIOKafkaConsumer("aio-group", bootstrap_servers=BOOTSTRAP, group_id="aio", auto_offset_reset="earliest",
                                    enable_auto_commit=False, heartbeat_interval_ms=300, session_timeout_ms=6000)
        one, two = member(), member()
        await one.start()
        await two.start()
        seen = []
        deadline = time.monotonic() + 40
        while len(set(seen)) < 40 or len(one.assignment()) != 2 or len(two.assignment()) != 2:
            true(time.monotonic() < deadline, f"{len(set(seen))} read, {one.assignment()}, {two.assignment()}")
            for consumer in (one, two):
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    seen += [record.value for record in records]
        await one.commit()
        await two.commit()
        await two.stop()
        while len(one.assignment()) != 4:
            true(time.monotonic() < deadline, f"{one.assignment()}")
            await one.getmany(timeout_ms=100)
        equal([await one.committed(TopicPartition("aio-group", p)) for p in range(4)], [10] * 4)
        await one.stop()


asyncio.run(main())
finish()
