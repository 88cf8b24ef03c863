/** How much is written to the disk for each byte that is to be kept (P9)? A card wears out by the former. */
import { readFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { makeFolder, startAgentProcess } from '../test/agent-process.ts'
import { createAgentClient } from './agent-client.ts'
import { interleave, NotRunError, type Bench, type Measure } from './bench.ts'
import { COLLECTION } from './bench-replica.ts'
import { inGroups, makeRecords, toNdjson, type MadeRecord } from './made-records.ts'
import { GROUP_RECORDS, openRawLevel, writeOneByOne } from './raw-level.ts'

const SINGLE_RECORDS = 2_000
const BULK_RECORDS = 100_000
/** LevelDB merges on behind the last write: what it writes for these records has been written when it is quiet for so long. */
const QUIET_MS = 1_500

/** As agent/disk-writes.ts has it, of any process. */
async function writtenBytesOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/io`, 'utf8')
  const field = (name: string): number => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)?.[1])
  return field('write_bytes') - field('cancelled_write_bytes')
}

async function quietBytesOf(pid: number): Promise<number> {
  for (let bytes = await writtenBytesOf(pid); ;) {
    await setTimeout(QUIET_MS)
    const now = await writtenBytesOf(pid)
    if (now === bytes) return now
    bytes = now
  }
}

const acceptedBytesOf = (records: readonly MadeRecord[]): number =>
  records.reduce((sum, { key, payload }) => sum + key.length + payload.length, 0)

/** Bytes that the process writes for each byte of these records. */
async function costOf(pid: number, records: readonly MadeRecord[], write: () => Promise<unknown>): Promise<number> {
  const before = await quietBytesOf(pid)
  await write()
  return ((await quietBytesOf(pid)) - before) / acceptedBytesOf(records)
}

export const bench: Bench = {
  isSeparate: true,
  question: 'Bytes that go to the disk for each byte of key and payload, against LevelDB alone with the same records',
  async run(context) {
    // Stores of their own for single and bulk writes, or the merging behind the many would count for the few.
    const rawSingle = await openRawLevel(await makeFolder('hs-bench-'))
    const rawBulk = await openRawLevel(await makeFolder('hs-bench-'))
    const startAgent = async () => {
      const agent = await startAgentProcess({ env: { HS_LOG_LEVEL: 'warn', HS_SCRUB_RATE: '0' } })
      return { ...agent, client: createAgentClient(agent.url) }
    }
    const [forSingle, forBulk] = [await startAgent(), await startAgent()]
    const route = `/api/collections/${COLLECTION}/records`
    if ((await writtenBytesOf(forSingle.pid)) === 0)
      throw new NotRunError('the temporary folder is not on a disk whose writes the system counts')

    const single = (round: number, name: string): MadeRecord[] => makeRecords(SINGLE_RECORDS, `${name}/round${round}`, round)
    const put = (name: string, durability: string) => async (round: number) => {
      const records = single(round, name)
      return costOf(forSingle.pid, records, () =>
        writeOneByOne(records, ({ key, payload }) =>
          forSingle.client.send(
            'PUT',
            `${route}/${encodeURIComponent(key)}?durability=${durability}`,
            Buffer.concat([Buffer.from('{"payload":'), payload, Buffer.from('}')]),
          ),
        ),
      )
    }
    const samples = await interleave(context, {
      rawSingle: async round => {
        const records = single(round, 'raw')
        return costOf(process.pid, records, () => writeOneByOne(records, record => rawSingle.put(record)))
      },
      fsync: put('fsync', 'fsync'),
      batch: put('batch', 'batch'),
      async: put('async', 'async'),
      rawBulk: async round => {
        const records = makeRecords(BULK_RECORDS, `bulk${round}`, round)
        return costOf(process.pid, records, () => writeOneByOne(inGroups(records, GROUP_RECORDS), group => rawBulk.writeGroup(group)))
      },
      bulk: async round => {
        const records = makeRecords(BULK_RECORDS, `bulk${round}`, round)
        return costOf(forBulk.pid, records, () => forBulk.client.post(route, toNdjson(records)))
      },
    })
    for (const agent of [forSingle, forBulk]) {
      agent.client.close()
      await agent.kill()
    }
    await rawSingle.close()
    await rawBulk.close()
    const against = (name: string, baseline: readonly number[], label: string, candidate: readonly number[]): Measure => ({
      name,
      unit: 'bytes/byte',
      baseline: { label: 'LevelDB, synced', samples: baseline },
      candidate: { label, samples: candidate },
    })
    return [
      against('one at a time, fsync', samples.rawSingle, 'agent', samples.fsync),
      against('one at a time, batch', samples.rawSingle, 'agent', samples.batch),
      against('one at a time, async', samples.rawSingle, 'agent', samples.async),
      against('bulk, groups of 1,000', samples.rawBulk, 'agent', samples.bulk),
    ]
  },
}
