/** The scrub beside writes, its pace and its place; damage of every kind is in test/contract/damaged-store.test.ts. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemHash } from '../../../agent/ports.ts'
import { loadCollections } from '../../../sync/collection-state.ts'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import { recordRow } from '../../../sync/rows.ts'
import type { ScrubCounters } from '../../../sync/scrub-mend.ts'
import { keyBytes } from '../../../sync/write-batch.ts'
import { changeRows, createMemoryStore } from '../../memory-store.ts'
import { openTestReplica, put, remove, syncPair } from '../../replica-pair.ts'
import { createSeededRandom } from '../../seeded-random.ts'
import { auditStore } from '../../sim/replica-audit.ts'
import { createSlowStore } from '../../sim/sim-store.ts'

const NOTHING: Omit<ScrubCounters, 'rows' | 'passes'> = { mended: 0, strays: 0, sums: 0, damaged: 0, lost: 0, recovered: 0 }

describe('a scrub', () => {
  it('B3 P14 finds nothing where nothing is damaged, whatever is written, deleted and synced meanwhile', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1e6 }), async seed => {
        const random = createSeededRandom(seed)
        const store = createSlowStore(createMemoryStore(), random)
        const replica = await openTestReplica(store, seed)
        const peer = await openTestReplica(createMemoryStore(), seed + 1)
        await replica.createCollection('sib', { conflict: 'siblings' })
        await syncPair(replica, peer)
        const key = (): string => `k${Math.floor(random.fraction() * 60)}`
        const write = (target: OpenReplica) =>
          target.write(
            Array.from({ length: 20 }, (_, i) =>
              i % 4 === 0 ? remove('c', key()) : put(i % 3 === 0 ? 'sib' : 'c', key(), random.fraction()),
            ),
          )
        await write(replica)
        const scrubs = { isUnderWay: true }
        const scrubbing = (async () => {
          try {
            for (let i = 0; i < 3; i++) await replica.scrubber.run({ pace: () => Promise.resolve(true), isResumed: false })
          } finally {
            scrubs.isUnderWay = false
          }
        })()
        while (scrubs.isUnderWay) {
          await Promise.all([write(replica), write(peer)])
          await syncPair(replica, peer)
        }
        await scrubbing
        expect(replica.scrubber.counters).toMatchObject({ ...NOTHING, passes: 3 })
        expect(await auditStore(store, systemHash, new Uint8Array(16), { mayStayAbove: true })).toEqual([])
      }),
      { numRuns: 8 },
    )
  })

  it('mends what is damaged while everything else is written', async () => {
    const store = createMemoryStore()
    const replica = await openTestReplica(store, 1)
    const peer = await openTestReplica(createMemoryStore(), 2)
    await replica.write(Array.from({ length: 300 }, (_, i) => put('c', `k${i}`, i)))
    await syncPair(replica, peer)
    const cid = (await loadCollections(store)).find(({ name }) => name === 'c')!.cid
    await changeRows(store, [], [recordRow(cid, keyBytes('k7')), recordRow(cid, keyBytes('k8'))])
    let writes = 0
    await replica.scrubber.run({
      async pace() {
        await replica.write([put('c', `new${writes++}`), put('c', 'k9', writes), remove('c', `k${100 + writes}`)])
        return true
      },
      isResumed: false,
    })
    expect(writes).toBeGreaterThan(5)
    expect(replica.scrubber.counters).toMatchObject({ lost: 2, damaged: 0, mended: 0 })
    await syncPair(replica, peer)
    expect(replica.get('c', 'k7')).toBeDefined()
    expect(await replica.scrubber.findLost()).toEqual([])
    expect(await auditStore(store, systemHash, new Uint8Array(16))).toEqual([])
  })

  it('goes on where it was ended, also behind a restart, and looks at every row once a pass', async () => {
    const store = createMemoryStore()
    let replica = await openTestReplica(store, 1)
    await replica.write(Array.from({ length: 500 }, (_, i) => put('c', `k${i}`, i)))
    const whole = { pace: () => Promise.resolve(true), isResumed: false }
    await replica.scrubber.run(whole)
    const rowsOfPass = replica.scrubber.counters.rows
    expect(rowsOfPass).toBeGreaterThan(2_000)
    const ended: boolean[] = []
    let total = 0
    while (ended.at(-1) !== true) {
      replica = await openTestReplica(store, 2 + ended.length)
      let left = 400
      ended.push(await replica.scrubber.run({ pace: count => Promise.resolve((left -= count) > 0), isResumed: true }))
      total += replica.scrubber.counters.rows
      await replica.close()
    }
    expect(ended.length).toBeGreaterThan(3)
    expect(total).toBeLessThanOrEqual(rowsOfPass + 64)
    expect(replica.scrubber.counters).toMatchObject({ ...NOTHING, passes: 1 })
  })
})
