/** Versions that a person brings from a file: what becomes of them among replicas that know more, less, or something else. */
import { describe, expect, it } from 'vitest'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import type { ConflictPolicy, MergedVersion, VersionsMerged } from '../../../sync/replica.ts'
import { isTombstone, type Version } from '../../../sync/version.ts'
import { createMemoryStore } from '../../memory-store.ts'
import { codec, contentOf, createTestLink, digestOf, json, meetAll, openTestReplica, put, remove, syncPair } from '../../replica-pair.ts'

const replica = (seed: number): Promise<OpenReplica> => openTestReplica(createMemoryStore(), seed)

async function versionsOf(from: OpenReplica): Promise<MergedVersion[]> {
  const versions: MergedVersion[] = []
  for await (const page of from.scanEntries('c', {}))
    for (const { key, entry } of page) versions.push(...entry.map(version => ({ key, version })))
  return versions
}

async function bring(to: OpenReplica, versions: readonly MergedVersion[], conflict: ConflictPolicy = 'lww'): Promise<VersionsMerged> {
  expect(await to.openForVersions('c', 1, { conflict })).toEqual({ ok: true })
  const merged = await to.mergeVersions('c', 1, versions)
  if (!merged.ok) throw new Error(merged.detail)
  return merged
}

const keysOf = async (of: OpenReplica): Promise<string[]> => Object.keys(await contentOf(of, 'c'))

describe('versions from a file', () => {
  it('reach others although one version of a peer is not understood and comes again each time', async () => {
    const dead = await replica(1)
    await dead.write([put('c', 'x')])
    const [peer, poisoned, own] = [await replica(2), await replica(5), await replica(3)]
    await poisoned.write([put('c', 'poison')])
    await syncPair(poisoned, peer)
    await peer.write([put('c', 'good')])
    await bring(own, await versionsOf(dead))
    const cutShort = (bytes: Uint8Array): Uint8Array => {
      const message = codec.decode(bytes)
      if (!Array.isArray(message) || message[0] !== 3) return bytes
      const [kind, items, ...rest] = message as [number, [string, Uint8Array][], ...unknown[]]
      return codec.encode([kind, items.map(([key, version]) => [key, key === 'poison' ? version.subarray(0, 20) : version]), ...rest])
    }
    for (let i = 0; i < 3; i++) await syncPair(own, peer, createTestLink(undefined, cutShort))
    expect(await keysOf(peer)).toEqual(['good', 'poison', 'x'])
  })

  it.each(['lww', 'siblings'] as const)('P5 do not undo a delete through a replica that only pushes, with %s', async conflict => {
    const [dead, peer, own] = [await replica(1), await replica(2), await replica(3)]
    await dead.createCollection('c', { conflict })
    await dead.write([put('c', 'x'), put('c', 'w', 'old'), put('c', 'y')])
    const file = await versionsOf(dead)
    await syncPair(dead, peer)
    await peer.write([remove('c', 'x'), put('c', 'w', 'new')])
    await own.setLocalSettings('c', { sync: 'push' })
    await bring(own, file, conflict)
    for (let i = 0; i < 3; i++) await syncPair(own, peer)
    expect(await contentOf(peer, 'c')).toEqual({ w: '"new"', y: '1' })
    expect(peer.get('c', 'w')?.conflicts).toBeUndefined()
  })

  it.each(['lww', 'siblings'] as const)('P5 do not undo a delete that a partial peer knows of, with %s', async conflict => {
    const [dead, full, own, partial] = [await replica(1), await replica(2), await replica(3), await replica(4)]
    await dead.createCollection('c', { conflict })
    await dead.write([put('c', 'x'), put('c', 'y')])
    const file = await versionsOf(dead)
    await syncPair(dead, full)
    await syncPair(full, partial)
    await full.write([remove('c', 'x')])
    await syncPair(full, partial)
    await partial.setLocalSettings('c', { sync: 'pull' })
    await bring(own, file, conflict)
    await meetAll([own, partial, full])
    for (const one of [full, own]) expect(await keysOf(one)).toEqual(['y'])
  })

  it('P5 wait for a peer that knows anything: another new one cannot tell what was deleted', async () => {
    const [one, other, own, newcomer] = [await replica(1), await replica(2), await replica(3), await replica(4)]
    await one.write([put('c', 'x'), put('c', 'y')])
    await syncPair(one, other)
    const file = await versionsOf(one)
    await one.write([remove('c', 'x')])
    for (let i = 0; i < 4; i++) await syncPair(one, other)
    await bring(own, file)
    await syncPair(own, newcomer)
    expect(await keysOf(newcomer)).toEqual(['x', 'y'])
    for (let i = 0; i < 3; i++)
      for (const [a, b] of [
        [own, one],
        [own, newcomer],
        [one, other],
      ] as const)
        await syncPair(a, b)
    for (const each of [one, other, own, newcomer]) expect(await keysOf(each)).toEqual(['y'])
  })

  it('are counted apart where this node does not keep them, and bounds hold at once', async () => {
    const from = await replica(1)
    await from.write(Array.from({ length: 10 }, (_, i) => put('c', `k${i}`)))
    const file = await versionsOf(from)
    const [rejecting, dropping] = [await replica(2), await replica(3)]
    for (const [to, policy] of [
      [rejecting, 'reject'],
      [dropping, 'drop_oldest'],
    ] as const) {
      await to.createCollection('c', {})
      await to.setLocalSettings('c', { retention: { recordsMax: 3, policy } })
    }
    expect(await bring(rejecting, file)).toMatchObject({ taken: 3, known: 0, refused: 7 })
    expect(await bring(dropping, file)).toMatchObject({ taken: 10, refused: 0 })
    expect(await keysOf(dropping)).toHaveLength(3)
  })

  it('R7 that were issued anew do not keep tombstones for ever, also where somebody was evicted', async () => {
    const [dead, a, b, gone] = [await replica(1), await replica(2), await replica(3), await replica(4)]
    await dead.write([put('c', 'x'), put('c', 'y')])
    await a.write([put('c', 'own')])
    for (let i = 0; i < 3; i++) for (const other of [b, gone]) await syncPair(a, other)
    await a.evict(gone.storeId)
    await syncPair(a, b)
    await bring(a, await versionsOf(dead))
    await syncPair(a, b)
    await a.write([remove('c', 'x'), put('c', 'z')])
    await a.write([remove('c', 'z')])
    for (let i = 0; i < 6; i++) await syncPair(a, b)
    for (const one of [a, b]) expect((await versionsOf(one)).filter(({ version }) => isTombstone(version))).toEqual([])
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
  })

  it('P1 of the own origin confirm nothing that was written here', async () => {
    const [own, peer] = [await replica(1), await replica(2)]
    await own.createCollection('c', {})
    await syncPair(own, peer)
    await own.setLocalSettings('c', { sync: 'pull' })
    await own.write([put('c', 'a'), put('c', 'b')])
    const write = { collection: 'c', generation: 1, origin: own.origin, counter: 2 }
    const { version } = (await versionsOf(own))[0]!
    await bring(own, [{ key: 'later', version: { ...version, counter: 9 } }])
    await peer.write([put('c', 'p')])
    await syncPair(own, peer)
    expect(await own.isConfirmed(write)).toBe(false)
  })

  it('R1 with the last time that there is are not written over, and nothing unreadable is made', async () => {
    const own = await replica(1)
    const version: Version = {
      flags: 4,
      origin: 'ab'.repeat(16),
      counter: 7,
      stamp: { ms: 2 ** 48 - 2, tick: 65_535 },
      context: [],
      body: json('end'),
    }
    await bring(own, [{ key: 'k', version }])
    const results = await own.write([put('c', 'k'), put('c', 'other')])
    expect(results.map(result => (result.ok ? result.outcome : result.code))).toEqual(['HS_PRECONDITION_FAILED', 'created'])
    const peer = await replica(2)
    await peer.write([put('c', 'theirs')])
    for (let i = 0; i < 2; i++) expect((await syncPair(own, peer))[0]).toMatchObject({ isComplete: true })
    expect(await keysOf(peer)).toEqual(['k', 'other', 'theirs'])
  })
})
