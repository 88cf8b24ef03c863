/** A replica whose disk takes no more: what makes room goes on, what takes room is refused, and others are told (P3). */
import { beforeEach, describe, expect, it } from 'vitest'
import { systemHash } from '../../../agent/ports.ts'
import { openReplica, type OpenReplica } from '../../../sync/open-replica.ts'
import { renewIdentity } from '../../../sync/replica-state.ts'
import { decodeVersion } from '../../../sync/version.ts'
import { keyBytes } from '../../../sync/write-batch.ts'
import { createMemoryStore } from '../../memory-store.ts'
import {
  contentOf,
  createTestClock,
  createTestLink,
  digestOf,
  meetAll,
  openTestReplica,
  put,
  remove,
  syncPair,
} from '../../replica-pair.ts'
import { createSeededRandom } from '../../seeded-random.ts'

const SENTENCE = 'the disk is full'

let full: OpenReplica
let peer: OpenReplica
let reason: string | undefined
beforeEach(async () => {
  reason = undefined
  full = await openReplica({
    store: createMemoryStore(),
    hash: systemHash,
    random: createSeededRandom(1),
    clock: createTestClock(),
    digestSalt: new Uint8Array(16),
    clockDriftMaxMs: 60_000,
    durability: 'fsync',
    noRoom: () => reason,
  })
  peer = await openTestReplica(createMemoryStore(), 2)
})

async function fill(): Promise<void> {
  reason = SENTENCE
  await full.roomChanged()
}

async function makeRoom(): Promise<void> {
  reason = undefined
  await full.roomChanged()
}

const flagsOf = (replica: OpenReplica, name: string): number => replica.collection(name)?.partial?.flags ?? 0

describe('P3 a replica without room', () => {
  it('refuses records one by one, takes deletes, and takes records again as soon as there is room', async () => {
    await full.write([put('c', 'old'), put('c', 'gone')])
    await fill()
    const results = await full.write([put('c', 'new'), remove('c', 'gone'), put('c', 'old', 2), put('fresh', 'k')])
    expect(results.map(result => (result.ok ? result.outcome : result.code))).toEqual([
      'HS_DISK_FULL',
      'deleted',
      'HS_DISK_FULL',
      'HS_DISK_FULL',
    ])
    expect(results[0]).toMatchObject({ detail: SENTENCE })
    expect(await contentOf(full, 'c')).toEqual({ old: '1' })
    expect(full.collection('fresh')).toBeUndefined()
    expect(await full.deleteCollection('c')).toBe(true)
    await makeRoom()
    expect((await full.write([put('c', 'new')]))[0]).toMatchObject({ ok: true, outcome: 'created' })
  })

  it('says that it receives nothing, sends what it has, and catches up when there is room', async () => {
    await full.write([put('c', 'mine'), put('c', 'deleted')])
    await peer.write([put('c', 'theirs'), put('other', 'theirs')])
    await fill()
    expect(flagsOf(full, 'c')).not.toBe(0)
    await full.write([remove('c', 'deleted')])
    const link = createTestLink()
    const [result] = await syncPair(full, peer, link)
    expect(result).toMatchObject({ isComplete: true, fault: undefined, diverged: [] })
    expect(await contentOf(peer, 'c')).toEqual({ mine: '1', theirs: '1' })
    expect(await contentOf(full, 'c')).toEqual({ mine: '1' })
    expect(full.collection('other')?.recordCount ?? 0).toBe(0)

    await makeRoom()
    expect(flagsOf(full, 'c')).toBe(0)
    const [after] = await syncPair(full, peer)
    expect(after).toMatchObject({ isComplete: true, fault: undefined, diverged: [] })
    for (const name of ['c', 'other']) expect(digestOf(full, name)).toBe(digestOf(peer, name))
    expect(await contentOf(full, 'c')).toEqual({ mine: '1', theirs: '1' })
  })

  it('hears that a collection was deleted elsewhere: that makes room', async () => {
    await full.write([put('c', 'k')])
    await syncPair(full, peer)
    await fill()
    await peer.deleteCollection('c')
    await syncPair(full, peer)
    expect(full.collection('c')).toBeUndefined()
  })

  it('takes no frame with records from a link that was open before, but the deletes in one without', async () => {
    await peer.write([put('c', 'k'), put('c', 'gone')])
    await syncPair(full, peer)
    await peer.write([put('c', 'new'), remove('c', 'gone')])
    const frameOf = async (key: string) => {
      const snapshot = await peer.snapshot()
      const collection = (await snapshot.collection('c'))!
      const items = []
      for await (const { dot } of collection.items(0, 0)) {
        const item = collection.item(keyBytes(key), dot)
        const version = item && decodeVersion(item.version)
        if (version !== undefined) items.push({ key, version })
      }
      await snapshot.close()
      return { collection: 'c', generation: collection.generation, items, logicalClock: 0, skipCovered: true }
    }
    await fill()
    await expect(full.applyItems(await frameOf('new'))).rejects.toThrow(SENTENCE)
    expect(await full.applyItems(await frameOf('gone'))).toMatchObject({ applied: 1 })
    expect(await contentOf(full, 'c')).toEqual({ k: '1' })
  })

  it.each([
    ['whose disk is full', async (): Promise<void> => fill()],
    [
      'that only pushes',
      async (): Promise<void> => {
        await full.setLocalSettings('c', { sync: 'push' })
      },
    ],
  ] as const)('R6 R8 P5 what was deleted and collected does not come back through one %s', async (_, turnPartial) => {
    const store = createMemoryStore()
    const third = await openTestReplica(store, 3)
    const swarm = [full, peer, third]
    await full.write([put('c', 'gone'), put('c', 'stays')])
    await meetAll(swarm)
    const backup = store.crash()
    await full.write([remove('c', 'gone')])
    await meetAll(swarm)
    const snapshot = await peer.snapshot()
    expect((await snapshot.collection('c'))!.collected.size).toBeGreaterThan(0)
    await snapshot.close()

    // The third is put back to before the delete, and meets the partial one first.
    await renewIdentity(backup, createSeededRandom(9))
    const restored = await openTestReplica(backup, 4)
    expect(Object.keys(await contentOf(restored, 'c'))).toEqual(['gone', 'stays'])
    await turnPartial()
    for (let round = 0; round < 2; round++) {
      for (const other of [full, peer]) expect((await syncPair(restored, other))[0].fault).toBeUndefined()
    }
    for (const replica of [restored, peer, full]) expect(Object.keys(await contentOf(replica, 'c'))).toEqual(['stays'])
    expect(digestOf(restored, 'c')).toBe(digestOf(peer, 'c'))
  })
})
