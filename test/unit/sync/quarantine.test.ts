import { beforeEach, describe, expect, it } from 'vitest'
import { createTestLink, contentOf, openTestReplica, put, syncPair } from '../../replica-pair.ts'
import { createMemoryStore, type MemoryStore } from '../../memory-store.ts'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import { decodeMessage, encodeMessage } from '../../../sync/message-codec.ts'
import { MALFORMED_ROWS_MAX } from '../../../sync/quarantine.ts'
import { codec } from '../../replica-pair.ts'

const MANY = 1_000_000
const KEEP = { create: false, overwrite: false }

let storeB: MemoryStore
let a: OpenReplica
let b: OpenReplica
beforeEach(async () => {
  storeB = createMemoryStore()
  a = await openTestReplica(createMemoryStore(), 1)
  b = await openTestReplica(storeB, 2)
})

/** `b` writes these keys into a collection that `a` deletes without having seen them. */
async function writeUnseen(...keys: readonly string[]): Promise<void> {
  await a.write([put('c', 'seen')])
  await syncPair(a, b)
  await b.write(keys.map(key => put('c', key, `by b: ${key}`)))
  await a.deleteCollection('c')
  await syncPair(a, b)
  await expect.poll(() => b.quarantine.count()).toBe(keys.length)
}

const listed = async (replica: OpenReplica, collection?: string) => (await replica.quarantine.list(0, 1_000, MANY, collection)).items

describe('writes that a deletion had not seen', () => {
  it('are listed with what they say, page by page', async () => {
    await writeUnseen('x', 'y', 'z')
    const items = await listed(b)
    expect(items.map(({ reason, collection, generation, key }) => ({ reason, collection, generation, key }))).toEqual(
      ['x', 'y', 'z'].map(key => ({ reason: 'deleted', collection: 'c', generation: 1, key })),
    )
    expect(Buffer.from(items[0]!.record!.payload!).toString()).toBe('"by b: x"')
    expect(b.quarantine.get(items[1]!.id)).toEqual(items[1])
    const first = await b.quarantine.list(0, 2, MANY)
    expect(first.items).toHaveLength(2)
    const second = await b.quarantine.list(first.next!, 2, MANY)
    expect([...first.items, ...second.items]).toEqual(items)
    expect(second.next).toBeUndefined()
    // A page ends at its bytes, and is never empty for that.
    expect((await b.quarantine.list(0, 10, 1)).items).toHaveLength(1)
    expect(await listed(b, 'another')).toEqual([])
    expect(await listed(a)).toEqual([])
  })

  it('are imported as new records of the present generation, which travel like others', async () => {
    await writeUnseen('x', 'y')
    const ids = (await listed(b)).map(({ id }) => id)
    expect(await b.quarantine.importInto(ids, KEEP)).toMatchObject(ids.map(id => ({ id, ok: false, code: 'HS_NOT_FOUND' })))
    expect(b.quarantine.count()).toBe(2)
    expect(await b.quarantine.importInto(ids, { ...KEEP, create: true })).toEqual(ids.map((id, i) => ({ id, ok: true, key: 'xy'[i] })))
    expect(b.collection('c')).toMatchObject({ generation: 2, recordCount: 2 })
    expect(b.quarantine.count()).toBe(0)
    expect(b.counters.quarantined).toBe(0)
    await syncPair(a, b)
    expect(await contentOf(a, 'c')).toEqual({ x: '"by b: x"', y: '"by b: y"' })
    // In the same moment: what was imported is out, also behind a crash.
    const after = await openTestReplica(storeB.crash(), 2)
    expect(after.quarantine.count()).toBe(0)
    expect(after.collection('c')?.recordCount).toBe(2)
  })

  it('do not take the place of a newer record unless that is asked for, and may go elsewhere', async () => {
    await writeUnseen('x', 'y')
    const [x, y] = (await listed(b)).map(({ id }) => id) as [number, number]
    await b.write([put('c', 'x', 'newer')])
    expect(await b.quarantine.importInto([x], KEEP)).toMatchObject([{ ok: false, code: 'HS_PRECONDITION_FAILED' }])
    expect((await contentOf(b, 'c'))['x']).toBe('"newer"')
    expect(await b.quarantine.importInto([x], { ...KEEP, overwrite: true })).toMatchObject([{ ok: true }])
    expect((await contentOf(b, 'c'))['x']).toBe('"by b: x"')
    expect(await b.quarantine.importInto([y], { ...KEEP, create: true, into: 'saved' })).toMatchObject([{ ok: true, key: 'y' }])
    expect(await contentOf(b, 'saved')).toEqual({ y: '"by b: y"' })
    expect(await b.quarantine.importInto([y, 4_711], KEEP)).toMatchObject([
      { id: y, code: 'HS_NOT_FOUND' },
      { id: 4_711, code: 'HS_NOT_FOUND' },
    ])
  })

  it('are imported once, though it is asked for twice at the same time', async () => {
    await writeUnseen('x')
    await b.createCollection('log', { conflict: 'append' })
    const [item] = await listed(b)
    const options = { ...KEEP, into: 'log' }
    const outcomes = await Promise.all([
      b.quarantine.importInto([item!.id], options),
      b.quarantine.importInto([item!.id, item!.id], options),
    ])
    expect(outcomes.flat().filter(({ ok }) => ok)).toHaveLength(1)
    expect(b.collection('log')?.recordCount).toBe(1)
  })

  it('cannot be tried again, and are gone when they are dropped', async () => {
    await writeUnseen('x', 'y')
    const ids = (await listed(b)).map(({ id }) => id)
    expect(await b.quarantine.retry(ids)).toMatchObject(ids.map(() => ({ ok: false, code: 'HS_PRECONDITION_FAILED' })))
    expect(await b.quarantine.drop([ids[0]!, ids[0]!, 99])).toBe(1)
    expect((await listed(b)).map(({ key }) => key)).toEqual(['y'])
    // Ids are not given again.
    await b.quarantine.drop(ids)
    await writeUnseenAgain()
    expect((await listed(b))[0]!.id).toBeGreaterThan(ids[1]!)
  })

  async function writeUnseenAgain(): Promise<void> {
    await a.write([put('d', 'seen')])
    await syncPair(a, b)
    await b.write([put('d', 'unseen')])
    await a.deleteCollection('d')
    await syncPair(a, b)
    await expect.poll(() => b.quarantine.count()).toBe(1)
  }
})

describe('versions that are none', () => {
  /** Spoils the version of one key on its way. */
  const spoil =
    (key: string, change: (version: Uint8Array) => Uint8Array) =>
    (bytes: Uint8Array): Uint8Array => {
      const message = decodeMessage(codec, bytes)
      if (message?.kind !== 'frame') return bytes
      return encodeMessage(codec, {
        ...message,
        items: message.items.map(item => (item.key === key ? { ...item, version: change(item.version) } : item)),
      })
    }
  const cutOff = (version: Uint8Array): Uint8Array => version.slice(0, 20)

  it('P11 are kept once, with their reason, however often they come, and cannot be imported', async () => {
    await a.write([put('c', 'good'), put('c', 'bad')])
    for (let i = 0; i < 3; i++) await syncPair(a, b, createTestLink(undefined, spoil('bad', cutOff)))
    const items = await listed(b)
    expect(items).toMatchObject([{ reason: 'malformed', collection: 'c', generation: 1, key: 'bad', bytes: 20 }])
    expect(items[0]).not.toHaveProperty('record')
    const { id } = items[0]!
    expect(await b.quarantine.importInto([id], KEEP)).toMatchObject([{ ok: false, code: 'HS_INVALID_PAYLOAD' }])
    expect(await b.quarantine.retry([id])).toMatchObject([{ ok: false, code: 'HS_PRECONDITION_FAILED' }])
    // It still comes over as soon as it comes well, and a restart forgets nothing.
    const again = await openTestReplica(storeB.crash(), 2)
    expect((await listed(again)).map(({ key }) => key)).toEqual(['bad'])
    await syncPair(a, again, createTestLink(undefined, spoil('bad', cutOff)))
    expect(again.quarantine.count()).toBe(1)
    await syncPair(a, again)
    expect(Object.keys(await contentOf(again, 'c'))).toEqual(['bad', 'good'])
  })

  it('are applied by retry once they are understood: what was put aside whole', async () => {
    await a.write([put('c', 'good')])
    await syncPair(a, b)
    await a.write([put('c', 'later', 'worth keeping')])
    const snapshot = await a.snapshot()
    const collection = await snapshot.collection('c')
    const pages = collection!.logTail(new Map([[[...collection!.counters.keys()][0]!, 1]]))
    for await (const page of pages) {
      for (const { version } of page) await b.setAside('c', 1, [{ key: 'later', version: version.slice() }])
    }
    await snapshot.close()
    const [item] = await listed(b)
    expect(await b.quarantine.retry([item!.id])).toEqual([{ id: item!.id, ok: true, key: 'later' }])
    expect((await contentOf(b, 'c'))['later']).toBe('"worth keeping"')
    expect(b.quarantine.count()).toBe(0)
    await syncPair(a, b)
    expect(await contentOf(b, 'c')).toEqual(await contentOf(a, 'c'))
  })

  it('P16 take no more room than they may, whatever a peer sends', async () => {
    await b.createCollection('c', {})
    const small = Array.from({ length: MALFORMED_ROWS_MAX + 500 }, (_, i) => ({ key: `k${i}`, version: Uint8Array.of(i >> 8, i) }))
    await b.setAside('c', 1, small)
    expect(b.quarantine.count()).toBe(MALFORMED_ROWS_MAX)
    await b.quarantine.drop((await listed(b)).map(({ id }) => id))
    const large = Array.from({ length: 40 }, (_, i) => ({ key: `k${i}`, version: new Uint8Array(1024 * 1024).fill(i) }))
    await b.setAside('c', 1, large)
    expect(b.quarantine.count()).toBe(15)
    // There is room again behind what goes.
    await b.quarantine.drop((await listed(b)).map(({ id }) => id))
    await b.setAside('c', 1, large.slice(20))
    expect(b.quarantine.count()).toBe(15)
  })
})
