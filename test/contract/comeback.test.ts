/** A database that is damaged, older than it was, or gone: what was acknowledged comes back, from the outage log and from peers. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readBoot } from '../../agent/attempts.ts'
import { openDataDirectory } from '../../agent/data-directory.ts'
import { systemHash } from '../../agent/ports.ts'
import { listTables } from '../../agent/table-check.ts'
import type { OpenReplica } from '../../sync/open-replica.ts'
import { findAuditFault } from '../../sync/store-audit.ts'
import { createMemoryStore } from '../memory-store.ts'
import { NO_SALT, openOwnReplica, type OwnReplica } from '../../agent/offline-replica.ts'
import { contentOf, digestOf, openTestReplica, put, remove, syncPair } from '../replica-pair.ts'

let folder = ''
let own: OwnReplica | undefined
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hs-comeback-'))
})
afterEach(async () => {
  await own?.close()
  own = undefined
  await rm(folder, { recursive: true })
})

const open = async (): Promise<OwnReplica> => {
  await own?.close()
  own = undefined
  return (own = await openOwnReplica(folder))
}
/** Ends the present run, does something to the directory, and opens it again. */
const reopenAfter = async (damage: () => Promise<unknown>): Promise<OwnReplica> => {
  await own?.close()
  own = undefined
  await damage()
  return open()
}
const loseStore = (): Promise<void> => rm(join(folder, 'store'), { recursive: true })
const createPeer = (seed = 5): Promise<OpenReplica> => openTestReplica(createMemoryStore(), seed, undefined, 'peer')
const originOf = (replica: OpenReplica, key: string): string | undefined => replica.get('c', key)?.version.origin
const auditOf = (one: OwnReplica): Promise<string | undefined> => findAuditFault(one.directory.opened.store, systemHash, NO_SALT)
const prune = (one: OwnReplica): Promise<void> | undefined => one.directory.outageLog?.prune(write => one.replica.isConfirmed(write))

describe('a database that is gone', () => {
  it('P1 P2 comes back from the outage log alone, as it was: the same versions, settings and deletions', async () => {
    const { replica, directory } = await open()
    await replica.createCollection('c', { conflict: 'siblings', dimension: 2 })
    await replica.write([put('c', 'a', 1), put('c', 'b', 2), put('c', 'gone', 3), put('dropped', 'x')])
    await replica.write([put('c', 'a', 4), remove('c', 'gone')])
    await replica.deleteCollection('dropped')
    const before = { digest: digestOf(replica, 'c'), version: replica.get('c', 'a')?.version, node: directory.identity.nodeId }
    const again = await reopenAfter(loseStore)
    expect(again.comeback).toMatchObject({ kind: 'missing', rescued: 0, damaged: 0 })
    expect(again.directory.identity.nodeId).toBe(before.node)
    expect(await contentOf(again.replica, 'c')).toEqual({ a: '4', b: '2' })
    expect(again.replica.collection('c')).toMatchObject({ conflict: 'siblings', dimension: 2, recordCount: 2 })
    expect(again.replica.collection('dropped')).toBeUndefined()
    expect(digestOf(again.replica, 'c')).toBe(before.digest)
    expect(again.replica.get('c', 'a')?.version).toEqual(before.version)
    expect(await auditOf(again)).toBeUndefined()
    // It is told once.
    expect((await open()).comeback).toBeUndefined()
  })

  it('R2 what peers have comes from them, and what nobody has is issued anew once one was met, and reaches everybody', async () => {
    const peer = await createPeer()
    const first = await open()
    await first.replica.write([put('c', 'shared', 1), put('c', 'overwritten', 1)])
    for (let i = 0; i < 2; i++) await syncPair(first.replica, peer)
    await prune(first)
    expect(first.directory.outageLog?.state().bytes).toBe(0)
    await first.replica.write([put('c', 'alone', 1), put('c', 'overwritten', 2)])
    await peer.write([put('c', 'theirs', 1)])

    const again = await reopenAfter(loseStore)
    expect(again.comeback).toMatchObject({ kind: 'missing', redone: 0, rescued: 2 })
    // Before it meets anybody.
    expect(await contentOf(again.replica, 'c')).toEqual({ alone: '1', overwritten: '2' })
    const old = originOf(again.replica, 'alone')
    for (let i = 0; i < 3; i++) await syncPair(again.replica, peer)
    const everything = { shared: '1', overwritten: '2', alone: '1', theirs: '1' }
    expect(await contentOf(again.replica, 'c')).toEqual(everything)
    expect(await contentOf(peer, 'c')).toEqual(everything)
    expect(originOf(peer, 'alone')).not.toBe(old)
    expect(digestOf(again.replica, 'c')).toBe(digestOf(peer, 'c'))
    // A newcomer gets it from the peer without any repair: it lies below the vector.
    const newcomer = await createPeer(6)
    const repaired: string[] = []
    await syncPair(newcomer, peer, undefined, { onProgress: ({ name, isRepaired }) => void (isRepaired && repaired.push(name)) })
    expect(await contentOf(newcomer, 'c')).toEqual(everything)
    expect(repaired).toEqual([])
    expect(await auditOf(again)).toBeUndefined()
    // The log lets go of what was rescued, too.
    await prune(again)
    expect(again.directory.outageLog?.state().bytes).toBe(0)
  })

  it('P5 what was deleted and collected meanwhile does not return from the outage log', async () => {
    const peer = await createPeer()
    const first = await open()
    await first.replica.write([put('c', 'kept', 1), put('c', 'deleted', 1)])
    for (let i = 0; i < 2; i++) await syncPair(first.replica, peer)
    // Not pruned: the log still holds everything.
    await first.replica.write([remove('c', 'deleted')])
    for (let i = 0; i < 3; i++) await syncPair(first.replica, peer)
    const again = await reopenAfter(async () => {
      await loseStore()
      // Of the log, only the beginning is left: the delete itself is not in it.
      const [segment] = await readdir(join(folder, 'outage'))
      const path = join(folder, 'outage', segment!)
      const bytes = await readFile(path)
      await writeFile(path, bytes.subarray(0, bytes.lastIndexOf('hsol')))
    })
    expect(again.comeback).toMatchObject({ kind: 'missing' })
    for (let i = 0; i < 4; i++) await syncPair(again.replica, peer)
    expect(await contentOf(again.replica, 'c')).toEqual({ kept: '1' })
    expect(await contentOf(peer, 'c')).toEqual({ kept: '1' })
    expect(digestOf(again.replica, 'c')).toBe(digestOf(peer, 'c'))
  })

  it('is brought back again when bringing it back was interrupted at any write', async () => {
    const first = await open()
    for (let i = 0; i < 6; i++) await first.replica.write([put('c', `key ${i}`, i)])
    const digest = digestOf(first.replica, 'c')
    await first.close()
    own = undefined
    const backup = `${folder}-backup`
    await cp(folder, backup, { recursive: true })
    for (let at = 0; at < 3; at++) {
      await rm(folder, { recursive: true })
      await cp(backup, folder, { recursive: true })
      await loseStore()
      // An opening that ends behind the database and in front of the outage log.
      const directory = await openDataDirectory(folder, { outageLogBytesMax: 1, digestSalt: NO_SALT, wallMs: 0 })
      await directory.opened.store.close()
      await directory.outageLog?.close()
      const again = await open()
      expect(digestOf(again.replica, 'c')).toBe(digest)
      await again.close()
      own = undefined
    }
    await rm(backup, { recursive: true })
  })
})

describe('a database that is older than it was', () => {
  it('P1 goes on where it was: its missing writes are redone under their own dots, and nobody sees a fork', async () => {
    const peer = await createPeer()
    const first = await open()
    await first.replica.write([put('c', 'a', 1)])
    await syncPair(first.replica, peer)
    await first.close()
    own = undefined
    await cp(join(folder, 'store'), join(folder, 'old'), { recursive: true })
    const second = await open()
    await second.replica.write([put('c', 'a', 2), put('c', 'b', 1)])
    await syncPair(second.replica, peer)
    await second.replica.write([put('c', 'c', 1), remove('c', 'b')])
    const digest = digestOf(second.replica, 'c')

    const again = await reopenAfter(async () => {
      await loseStore()
      await cp(join(folder, 'old'), join(folder, 'store'), { recursive: true })
    })
    expect(again.comeback).toMatchObject({ kind: 'replayed', redone: 4, rescued: 0 })
    expect(digestOf(again.replica, 'c')).toBe(digest)
    await again.replica.write([put('c', 'd', 1)])
    const forked: boolean[] = []
    for (let i = 0; i < 2; i++) await syncPair(again.replica, peer, undefined, { onProgress: ({ isForked }) => void forked.push(isForked) })
    expect(forked).not.toContain(true)
    expect(await contentOf(peer, 'c')).toEqual({ a: '2', c: '1', d: '1' })
    expect(digestOf(again.replica, 'c')).toBe(digestOf(peer, 'c'))
    expect(again.replica.counters.newOrigins).toBe(0)
  })

  it('R2 takes a new origin where writes between are missing, so that no counter is used twice', async () => {
    const peer = await createPeer()
    const first = await open()
    await first.replica.write([put('c', 'a', 1)])
    await first.close()
    own = undefined
    await cp(join(folder, 'store'), join(folder, 'old'), { recursive: true })
    const second = await open()
    const origin = originOf(second.replica, 'a')
    await second.replica.write([put('c', 'b', 1)])
    for (let i = 0; i < 2; i++) await syncPair(second.replica, peer)
    await prune(second)
    await second.replica.write([put('c', 'c', 1)])
    const again = await reopenAfter(async () => {
      await loseStore()
      await cp(join(folder, 'old'), join(folder, 'store'), { recursive: true })
    })
    expect(again.comeback).toMatchObject({ kind: 'replayed', redone: 0, rescued: 1 })
    await again.replica.write([put('c', 'd', 1)])
    expect(originOf(again.replica, 'd')).not.toBe(origin)
    for (let i = 0; i < 4; i++) await syncPair(again.replica, peer)
    expect(await contentOf(peer, 'c')).toEqual({ a: '1', b: '1', c: '1', d: '1' })
    expect(digestOf(again.replica, 'c')).toBe(digestOf(peer, 'c'))
  })
})

describe('a database with a damaged table', () => {
  it('P2 P14 gives what is intact in it to the next one, and nothing that is not as it was written; the settings of this node stay', async () => {
    const first = await open()
    await first.replica.createCollection('c', { conflict: 'siblings' })
    await first.replica.setLocalSettings('c', { retention: { recordsMax: 10_000, policy: 'reject' } })
    // Compression leaves as it is what occurs once.
    const mark = 'Qz7#vK~pW9'
    const text = (i: number): string => `${i} ${i === 200 ? mark : 'abc'.repeat(i % 70)}`
    for (let i = 0; i < 400; i += 20) await first.replica.write(Array.from({ length: 20 }, (_, k) => put('c', `key ${i + k}`, text(i + k))))
    // Opening turns the log into a table.
    await open()
    const again = await reopenAfter(async () => {
      await rm(join(folder, 'outage'), { recursive: true })
      // In a payload: the block of records around it cannot be read.
      const places: number[] = []
      for (const { name } of await listTables(join(folder, 'store'))) {
        const path = join(folder, 'store', name)
        const bytes = await readFile(path)
        const at = bytes.indexOf(mark)
        if (at < 0) continue
        bytes[at]! ^= 1
        await writeFile(path, bytes)
        places.push(at)
      }
      expect(places).toHaveLength(1)
    })
    expect(again.comeback).toMatchObject({ kind: 'rebuilt', redone: 0, rescued: 0 })
    expect(again.comeback?.salvaged).toBeGreaterThan(100)
    const content = await contentOf(again.replica, 'c')
    for (const [key, value] of Object.entries(content)) expect(value).toBe(JSON.stringify(text(Number(key.split(' ')[1]))))
    expect(Object.keys(content).length).toBeGreaterThan(100)
    expect(Object.keys(content).length).toBeLessThan(400)
    expect(again.replica.collection('c')).toMatchObject({ conflict: 'siblings', node: { retention: { recordsMax: 10_000 } } })
    expect(await auditOf(again)).toBeUndefined()
    // What nobody may have is issued anew, and reaches a peer.
    const peer = await createPeer()
    for (let i = 0; i < 3; i++) await syncPair(again.replica, peer)
    expect(await contentOf(peer, 'c')).toEqual(content)
  })
})

describe('a recovery that did not end', () => {
  const KEYS = ['a', 'b', 'c']
  const markerOf = async (): Promise<Record<string, unknown>> =>
    JSON.parse(await readFile(join(folder, 'recovery.json'), 'utf8')) as Record<string, unknown>
  const mark = (marker: object): Promise<void> =>
    writeFile(join(folder, 'recovery.json'), JSON.stringify({ reason: 'a reason', ...marker }))
  const writeAll = async (): Promise<void> => {
    const { replica } = await open()
    await replica.write(KEYS.map(key => put('c', key, key)))
  }
  const expectAll = async (one: OwnReplica): Promise<void> =>
    expect(await contentOf(one.replica, 'c')).toEqual(Object.fromEntries(KEYS.map(key => [key, JSON.stringify(key)])))

  it('P2 a repair is begun twice and no more: then the database is kept for a person, and the outage log fills another one', async () => {
    const boot = await readBoot()
    await writeAll()
    const second = await reopenAfter(() => mark({ sources: [], attempts: [boot] }))
    expect(second.comeback).toMatchObject({ kind: 'repaired', reason: 'a reason' })
    const third = await reopenAfter(() => mark({ sources: [], attempts: [boot, boot] }))
    expect(third.comeback).toMatchObject({ kind: 'rebuilt', salvaged: 0, damaged: 0 })
    expect(third.comeback?.reason).toMatch(/^a reason; mending it was begun 2 times and did not end/)
    expect(await readdir(folder)).toEqual(expect.arrayContaining([...(third.comeback?.quarantines ?? ['?'])]))
    await expectAll(third)
    expect((await open()).comeback).toBeUndefined()
  })

  it('P2 taking over what is left is begun twice and no more; the machine going down with it counts less', async () => {
    const boot = await readBoot()
    const source = 'quarantine-20260101T000000Z'
    const moveAside = async (attempts: readonly string[]): Promise<void> => {
      await rm(join(folder, 'outage'), { recursive: true })
      await rm(join(folder, source), { recursive: true, force: true })
      await cp(join(folder, 'store'), join(folder, source), { recursive: true })
      await loseStore()
      await mark({ sources: [source], attempts })
    }
    await writeAll()
    await expectAll(await reopenAfter(() => moveAside([boot])))
    await expectAll(await reopenAfter(() => moveAside(['another', 'another', 'a third', 'a fourth', boot])))
    const skipped = await reopenAfter(() => moveAside([boot, boot]))
    expect(skipped.comeback).toMatchObject({ kind: 'rebuilt', quarantines: [source], salvaged: 0 })
    expect(skipped.comeback?.reason).toContain('is for a person to look at')
    expect(await contentOf(skipped.replica, 'c')).toEqual({})
    expect((await open()).comeback).toBeUndefined()
  })

  it('an attempt is noted before it begins, and one that ends with a reason is none', async () => {
    await writeAll()
    await own?.close()
    own = undefined
    await mark({ sources: [], attempts: [] })
    const { opened, outageLog } = await openDataDirectory(folder, { outageLogBytesMax: 1, digestSalt: NO_SALT, wallMs: 0 })
    expect(await markerOf()).toMatchObject({ attempts: [await readBoot()] })
    await opened.retract()
    expect(await markerOf()).toMatchObject({ attempts: [] })
    await opened.store.close()
    await outageLog?.close()
  })

  it('P2 a table that was being written when the power was cut is no damage', async () => {
    await writeAll()
    await open()
    const again = await reopenAfter(() => writeFile(join(folder, 'store', '000999.ldb'), 'half of a table'))
    expect(again.comeback).toBeUndefined()
    await expectAll(again)
  })
})
