/** P14: a real LevelDB store is damaged behind its replica's back in every way; the scrub finds it, and a peer brings back what is gone. */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { openLevelStore } from '../../agent/level-store.ts'
import { systemHash } from '../../agent/ports.ts'
import { loadCollections, rowsOf } from '../../sync/collection-state.ts'
import { createItemHasher } from '../../sync/digest.ts'
import type { OpenReplica } from '../../sync/open-replica.ts'
import { bucketRow, collectionRow, feedRow, itemRow, logRow, recordRow, rowsOfCollection, tombstoneRow } from '../../sync/rows.ts'
import type { Row, Store } from '../../sync/store.ts'
import type { Version } from '../../sync/version.ts'
import { decodeStoredEntry, keyBytes } from '../../sync/write-batch.ts'
import { changeRows, createMemoryStore } from '../memory-store.ts'
import { contentOf, digestOf, openTestReplica, put, remove, syncPair } from '../replica-pair.ts'
import { auditStore } from '../sim/replica-audit.ts'

const SALT = new Uint8Array(16)
const hasher = createItemHasher(systemHash, SALT)
const RECORDS = 360

const folders: string[] = []
let opened: OpenReplica[] = []
afterEach(async () => {
  for (const replica of opened) await replica.close()
  opened = []
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hs-damage-'))
  folders.push(folder)
  return join(folder, 'store')
}

let seed = 1
async function open(folder: string): Promise<{ readonly store: Store; readonly replica: OpenReplica }> {
  const store = await openLevelStore(folder)
  const replica = await openTestReplica(store, seed++)
  opened.push(replica)
  return { store, replica }
}

/** The peers' stores are whole: they need no disk. */
async function openInMemory(): Promise<{ readonly store: Store; readonly replica: OpenReplica }> {
  const store = createMemoryStore()
  return { store, replica: await openTestReplica(store, seed++) }
}

async function close(replica: OpenReplica): Promise<void> {
  opened = opened.filter(other => other !== replica)
  await replica.close()
}

const scrub = (replica: OpenReplica) => replica.scrubber.run({ pace: () => Promise.resolve(true), isResumed: false })

/** Rows of the collection "c" by what they are, and of its keys. */
interface Rows {
  readonly store: Store
  readonly cid: number
  readonly range: (kind: 'record' | 'log' | 'item' | 'bucket') => Promise<Row[]>
  readonly record: (key: string) => Row
  readonly version: (key: string) => Version
  readonly item: (key: string) => Uint8Array
  readonly log: (key: string) => Uint8Array
  readonly sequence: (key: string) => number
}

async function rowsIn(store: Store): Promise<Rows> {
  const cid = (await loadCollections(store)).find(({ name }) => name === 'c')!.cid
  const [record, log, item, bucket] = rowsOfCollection(cid)
  const ranges = { record: record!, log: log!, item: item!, bucket: bucket! }
  const stored = (key: string) => decodeStoredEntry(store.get(recordRow(cid, keyBytes(key)))!)!
  return {
    store,
    cid,
    async range(kind) {
      const rows: Row[] = []
      for await (const row of rowsOf(store, ranges[kind])) rows.push(row)
      return rows
    },
    record: key => [recordRow(cid, keyBytes(key)), Uint8Array.from(store.get(recordRow(cid, keyBytes(key)))!)],
    version: key => stored(key).entry[0]!,
    item: key => itemRow(cid, hasher.keyHash(keyBytes(key)), stored(key).entry[0]!, keyBytes(key)),
    log: key => logRow(cid, stored(key).entry[0]!),
    sequence: key => stored(key).sequence,
  }
}

function flip([row, value]: Row, at: number): Row {
  const flipped = Uint8Array.from(value)
  flipped[at < 0 ? flipped.length + at : at]! ^= 0x10
  return [row, flipped]
}

const keysOf = (rows: readonly Row[]): Uint8Array[] => rows.map(([row]) => row)

/** Offset of the version in the value of a record with one: sequence 8, count 2, length 4. */
const VERSION_AT = 14

/** What is done to the rows; `isDerived`: nothing is gone, all can be made again without anybody. */
const DAMAGES: Record<string, { readonly isDerived: boolean; readonly damage: (rows: Rows) => Promise<void> }> = {
  'a record deleted': { isDerived: false, damage: ({ store, record }) => changeRows(store, [], [record('k7')[0]]) },
  'fifty records deleted': {
    isDerived: false,
    damage: ({ store, record }) =>
      changeRows(
        store,
        [],
        Array.from({ length: 50 }, (_, i) => record(`k${i * 7}`)[0]),
      ),
  },
  'all records deleted': { isDerived: false, damage: async ({ store, range }) => changeRows(store, [], keysOf(await range('record'))) },
  'a tombstone deleted': { isDerived: false, damage: ({ store, record }) => changeRows(store, [], [record('gone')[0]]) },
  'a flipped byte in a payload': { isDerived: false, damage: ({ store, record }) => changeRows(store, [flip(record('k7'), -1)]) },
  'flipped bytes in two payloads of a bucket, and everywhere': {
    isDerived: false,
    damage: ({ store, record }) =>
      changeRows(
        store,
        Array.from({ length: 350 }, (_, i) => flip(record(`k${i}`), -1)),
      ),
  },
  'a flipped byte in a stamp': {
    isDerived: false,
    damage: ({ store, record }) => changeRows(store, [flip(record('k7'), VERSION_AT + 30)]),
  },
  'a flipped byte in an origin': {
    isDerived: false,
    damage: ({ store, record }) => changeRows(store, [flip(record('k7'), VERSION_AT + 3)]),
  },
  'a flipped byte in a counter': {
    isDerived: false,
    damage: ({ store, record }) => changeRows(store, [flip(record('k7'), VERSION_AT + 23)]),
  },
  'a flipped byte in a length': {
    isDerived: false,
    damage: ({ store, record }) => changeRows(store, [flip(record('k7'), VERSION_AT - 1)]),
  },
  'a record cut short': {
    isDerived: false,
    damage: ({ store, record }) => changeRows(store, [[record('k7')[0], record('k7')[1].slice(0, 30)]]),
  },
  'a record and its digest item deleted': {
    isDerived: false,
    damage: ({ store, record, item }) => changeRows(store, [], [record('k7')[0], item('k7')]),
  },
  'a record deleted with everything that names it': {
    isDerived: false,
    damage: ({ store, record, item, log, sequence }) =>
      changeRows(store, [], [record('k7')[0], item('k7'), log('k7'), feedRow(sequence('k7'))]),
  },
  'a digest item deleted': { isDerived: true, damage: ({ store, item }) => changeRows(store, [], [item('k7')]) },
  'a flipped byte in the hash of a digest item': {
    isDerived: true,
    damage: ({ store, item }) => changeRows(store, [flip([item('k7'), store.get(item('k7'))!], 2)]),
  },
  'a digest item of nothing': {
    isDerived: true,
    damage: ({ store, cid, item }) =>
      changeRows(store, [
        [itemRow(cid, hasher.keyHash(keyBytes('none')), { origin: 'ab'.repeat(16), counter: 3 }, keyBytes('none')), store.get(item('k7'))!],
      ]),
  },
  'all digest items deleted': { isDerived: true, damage: async ({ store, range }) => changeRows(store, [], keysOf(await range('item'))) },
  'all digest items and buckets deleted': {
    isDerived: true,
    damage: async ({ store, range }) => changeRows(store, [], keysOf([...(await range('item')), ...(await range('bucket'))])),
  },
  'digest items deleted, and a flipped byte in the payload of one of them': {
    isDerived: false,
    damage: ({ store, record, item }) =>
      changeRows(
        store,
        [flip(record('k7'), -1)],
        Array.from({ length: 60 }, (_, i) => item(`k${i}`)),
      ),
  },
  'a log row deleted': { isDerived: true, damage: ({ store, log }) => changeRows(store, [], [log('k7')]) },
  'the log wiped': { isDerived: true, damage: async ({ store, range }) => changeRows(store, [], keysOf(await range('log'))) },
  'log, digest items and buckets wiped': {
    isDerived: true,
    damage: async ({ store, range }) =>
      changeRows(store, [], keysOf([...(await range('item')), ...(await range('bucket')), ...(await range('log'))])),
  },
  'a feed row deleted': { isDerived: true, damage: ({ store, sequence }) => changeRows(store, [], [feedRow(sequence('k7'))]) },
  'a tombstone row deleted': {
    isDerived: true,
    damage: ({ store, cid, version }) => changeRows(store, [], [tombstoneRow(cid, version('gone'))]),
  },
  'a bucket sum changed': {
    isDerived: true,
    damage: ({ store, cid }) =>
      changeRows(store, [flip([bucketRow(cid, 2, 17), store.get(bucketRow(cid, 2, 17)) ?? new Uint8Array(20)], 5)]),
  },
  'the total and the counts changed': {
    isDerived: true,
    damage: ({ store, cid }) => {
      const row: Row = [collectionRow(cid), store.get(collectionRow(cid))!]
      return changeRows(store, [flip(flip(flip(row, 16), 24), 40)])
    },
  },
}

describe('a damaged store', () => {
  async function makePair() {
    const folder = await makeFolder()
    const a = await open(folder)
    const b = await openInMemory()
    await a.replica.write([...Array.from({ length: RECORDS }, (_, i) => put('c', `k${i}`, `value ${i}`)), put('c', 'gone')])
    // Somebody who is away, so that tombstones stay.
    await syncPair(a.replica, (await openInMemory()).replica)
    await a.replica.write([remove('c', 'gone')])
    await syncPair(a.replica, b.replica)
    return { folder, a, b, whole: await contentOf(a.replica, 'c'), digest: digestOf(a.replica, 'c') }
  }

  it.each(Object.entries(DAMAGES))('P14 %s while it was off: is found and mended', async (_, { isDerived, damage }) => {
    const { folder, a, b, whole, digest } = await makePair()
    await close(a.replica)
    const raw = await openLevelStore(folder)
    await damage(await rowsIn(raw))
    await raw.close()

    const { store, replica } = await open(folder)
    expect(await scrub(replica)).toBe(true)
    const { counters } = replica.scrubber
    expect(counters.mended + counters.lost + counters.strays + counters.sums).toBeGreaterThan(0)
    // What follows from the records needs nobody; what is gone shows in the root.
    expect(digestOf(replica, 'c') === digest).toBe(isDerived)
    const faults = isDerived ? [...(await auditStore(store, systemHash, SALT)), ...(await replica.scrubber.findLost())] : []
    expect(faults).toEqual([])

    const [result] = await syncPair(replica, b.replica)
    expect(result).toMatchObject({ isComplete: true, diverged: [] })
    expect([digestOf(replica, 'c'), digestOf(b.replica, 'c')]).toEqual([digest, digest])
    expect(await contentOf(replica, 'c')).toEqual(whole)
    expect(await contentOf(b.replica, 'c')).toEqual(whole)
    expect(replica.collection('c')).toMatchObject({ recordCount: RECORDS })
    expect(await replica.scrubber.findLost()).toEqual([])

    // Behind it nothing is left to find.
    const before = { ...replica.scrubber.counters }
    await scrub(replica)
    expect(replica.scrubber.counters).toEqual({ ...before, rows: expect.any(Number) as number, passes: before.passes + 1 })
    expect(await auditStore(store, systemHash, SALT)).toEqual([])
  })

  it.each(Object.entries(DAMAGES))('P14 %s while it was open: is found and mended', async (_, { damage }) => {
    const { a, b, whole, digest } = await makePair()
    await damage(await rowsIn(a.store))
    await scrub(a.replica)
    await syncPair(a.replica, b.replica)
    expect([digestOf(a.replica, 'c'), digestOf(b.replica, 'c')]).toEqual([digest, digest])
    expect(await contentOf(a.replica, 'c')).toEqual(whole)
    expect(await contentOf(b.replica, 'c')).toEqual(whole)
    expect(await auditStore(a.store, systemHash, SALT)).toEqual([])
  })

  it('B6 names what nobody has, until it is written again', async () => {
    const { a } = await makePair()
    await a.replica.write([put('c', 'only here', 1), put('c', 'changed', 2)])
    const rows = await rowsIn(a.store)
    await changeRows(a.store, [flip(rows.record('changed'), -1)], [rows.record('only here')[0]])
    await scrub(a.replica)
    const lost = await a.replica.scrubber.findLost()
    expect(lost.map(({ collection, key }) => `${collection}/${key}`).sort()).toEqual(['c/changed', 'c/only here'])
    expect(a.replica.scrubber.counters).toMatchObject({ lost: 2, damaged: 1 })
    // The damaged one is kept aside for a person.
    expect(a.replica.counters.quarantined).toBe(1)
    const { items } = await a.replica.quarantine.list(0, 10, 1_000_000)
    expect(items).toMatchObject([{ reason: 'damaged', collection: 'c', key: 'changed' }])
    expect(await a.replica.quarantine.retry([items[0]!.id])).toMatchObject([{ ok: false, code: 'HS_PRECONDITION_FAILED' }])
    await a.replica.write([put('c', 'only here', 3), put('c', 'changed', 4)])
    expect(await a.replica.scrubber.findLost()).toEqual([])
  })

  it('P15 a restored backup, scrubbed and synced: nothing that peers have is lost', async () => {
    const { folder, a, b } = await makePair()
    await close(a.replica)
    const backup = `${folder}-backup`
    await cp(folder, backup, { recursive: true })
    folders.push(backup)
    const later = await open(folder)
    await later.replica.write([put('c', 'later', 1), put('c', 'k1', 'changed later')])
    await syncPair(later.replica, b.replica)
    await close(later.replica)
    const restored = await open(backup)
    await restored.replica.write([put('c', 'behind the backup', 1)])
    await scrub(restored.replica)
    for (let i = 0; i < 3; i++) await syncPair(restored.replica, b.replica)
    expect(digestOf(restored.replica, 'c')).toBe(digestOf(b.replica, 'c'))
    expect(await contentOf(b.replica, 'c')).toMatchObject({ later: '1', k1: '"changed later"', 'behind the backup': '1' })
  })
})
