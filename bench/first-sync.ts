/** How fast does a robot catch up with another one's data? Two agents that have just met, against plain TCP into plain LevelDB. */
import { makeFolder } from '../test/agent-process.ts'
import { createAgentClient } from './agent-client.ts'
import { awaitFirstSync, digestOf, startGossipingAgent, type FirstSync } from './agent-pair.ts'
import { interleave, measureMs, type Bench } from './bench.ts'
import { COLLECTION } from './bench-replica.ts'
import { makeRecords, toNdjson } from './made-records.ts'
import { openRawLevel } from './raw-level.ts'
import { transfer } from './raw-transfer.ts'

const recordCount = 100_000

export const bench: Bench = {
  question: 'First sync of 100,000 records between two agents, against the same keys and payloads over TCP into synced LevelDB batches',
  async run(context) {
    const raw = await openRawLevel(await makeFolder('hs-bench-'))
    const sender = await startGossipingAgent()
    const client = createAgentClient(sender.url)
    await client.post(`/api/collections/${COLLECTION}/records`, toNdjson(makeRecords(recordCount, 'sync')))
    client.close()
    const digest = await digestOf(sender)
    if (digest === undefined) throw new Error('the sender holds nothing')

    const syncs: FirstSync[] = []
    const { baseline } = await interleave(context, {
      baseline: async round => {
        const records = makeRecords(recordCount, `round${round}`, round)
        return measureMs(() => transfer(records, raw))
      },
      candidate: async () => {
        const receiver = await startGossipingAgent(sender)
        const sync = await awaitFirstSync(receiver, digest)
        syncs.push(sync)
        await receiver.kill()
        return sync.exchangeMs
      },
    })
    await sender.kill()
    await raw.close()
    const rate = (ms: number): number => (recordCount * 1000) / ms
    const counted = syncs.slice(1)
    const side = { unit: 'records/s', baseline: { label: 'TCP and LevelDB', samples: baseline.map(rate) } }
    return [
      {
        name: 'the exchange',
        ...side,
        candidate: { label: 'agents', samples: counted.map(({ exchangeMs }) => rate(exchangeMs)) },
        target: { ratioMin: 0.25 },
      },
      { name: 'discovery included', ...side, candidate: { label: 'agents', samples: counted.map(({ totalMs }) => rate(totalMs)) } },
    ]
  },
}
