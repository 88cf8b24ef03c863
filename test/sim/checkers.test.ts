/** Every checker can fail: robots whose stores are broken on purpose, seen as the simulator sees them. And none fails where it must not. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { OpenReplica } from '../../sync/open-replica.ts'
import { logRow, recordRow } from '../../sync/rows.ts'
import type { Version } from '../../sync/version.ts'
import { keyBytes } from '../../sync/write-batch.ts'
import { changeRows, createMemoryStore, type MemoryStore } from '../memory-store.ts'
import { openTestReplica, put, remove, syncPair } from '../replica-pair.ts'
import { findUnequal } from './checkers/equal-knowledge.ts'
import { collectionId, readDurableState, type DurableCollection, type DurableState } from './durable-state.ts'
import { createHistory, type History } from './history.ts'
import { accountsFor } from './merge-rule.ts'
import { createWatch, type Watch, type WatchedRobot } from './watch.ts'

interface Bench extends WatchedRobot {
  store: MemoryStore
  replica: OpenReplica
  changes: number
  openSnapshots: number
  members: number
  disksLost: number
}

let history: History
let robots: [Bench, Bench]
let watch: Watch

async function createBench(index: number): Promise<Bench> {
  const store = createMemoryStore()
  const bench: Bench = {
    index,
    store,
    replica: await openTestReplica(store, index + 1),
    changes: 0,
    openSnapshots: 0,
    members: 1,
    disksLost: 0,
    starts: 1,
    disk: {
      durable: () => bench.store.crash(),
      get changes() {
        return bench.changes
      },
      get openSnapshots() {
        return bench.openSnapshots
      },
    },
  }
  return bench
}

beforeEach(async () => {
  history = createHistory(() => 'lww')
  robots = [await createBench(0), await createBench(1)]
  watch = await createWatch(robots, history)
})

/** One step of the simulator: what do the checkers say? */
async function look(): Promise<string | undefined> {
  for (const robot of robots) robot.changes += 1
  return watch.look()
}

const ID = collectionId('c', 1)
const heldBy = (robot: Bench): DurableCollection => watch.state(robot.index).collections.get('c')!

/** Writes `value` to the key, or deletes it, and tells the history that it was acknowledged. */
async function acknowledge(robot: Bench, value?: unknown, key = 'k'): Promise<void> {
  const [done] = await robot.replica.write([value === undefined ? remove('c', key) : put('c', key, value)])
  if (!done?.ok || done.version === undefined) throw new Error('the write was refused')
  const { timeMs, tick, origin, counter } = done.version
  const write = { origin, counter, stamp: { ms: timeMs, tick } }
  const isDelete = value === undefined
  const { index, disksLost } = robot
  history.acknowledge({ robot: index, disk: disksLost, collection: 'c', generation: 1, key, write, isDelete, isForgiven: false })
}

const exchange = (): Promise<unknown> => syncPair(robots[0].replica, robots[1].replica)

/** c/k goes from the robot without a trace. */
async function lose(robot: Bench): Promise<void> {
  const items = heldBy(robot)
    .entries.get('k')!
    .map(dot => ({ key: 'k', dot }))
  expect(await robot.replica.dropItems('c', 1, items)).toBe(items.length)
}

/** Collects the tombstone of c/k, as if a peer that knows the same had told that it has done so. */
async function collect(robot: Bench): Promise<void> {
  const { entries, vector } = heldBy(robot)
  const { origin, counter, stamp } = entries.get('k')![0]!
  await robot.replica.adoptCollected('c', 1, { vector, collected: new Map([[origin, counter]]), collectedStampMax: stamp })
}

describe('healthy robots', () => {
  it('pass every checker while they write, sync, delete, collect and lose what was damaged on purpose', async () => {
    await acknowledge(robots[0], 1)
    expect(await look()).toBeUndefined()
    await exchange()
    expect(await look()).toBeUndefined()
    await acknowledge(robots[1], 2)
    expect(await look()).toBeUndefined()
    await exchange()
    expect(await look()).toBeUndefined()

    history.damage(0, ID, 'k', heldBy(robots[0]).entries.get('k')!)
    await lose(robots[0])
    expect(await look()).toBeUndefined()
    expect(history.hasDamage(0, ID, 'k')).toBe(true)
    await exchange()
    expect(await look()).toBeUndefined()
    expect(history.hasDamage(0, ID, 'k')).toBe(false)

    await acknowledge(robots[0])
    expect(await look()).toBeUndefined()
    for (let i = 0; i < 3; i++) {
      await exchange()
      expect(await look()).toBeUndefined()
    }
    // Both have acknowledged it, so it has been collected.
    expect(heldBy(robots[0]).entries.size).toBe(0)
    expect(watch.lookAtEnd()).toBeUndefined()
    expect(watch.disagreement()).toBeUndefined()
  })

  it('may delete a collection with what was acknowledged in it', async () => {
    await acknowledge(robots[0], 1)
    expect(await look()).toBeUndefined()
    await robots[0].replica.deleteCollection('c')
    expect(await look()).toBeUndefined()
    await exchange()
    expect(await look()).toBeUndefined()
    expect(watch.lookAtEnd()).toBeUndefined()
  })
})

describe('no acknowledged write is lost', () => {
  it('caught: it was acknowledged before it was on the disk', async () => {
    await robots[0].replica.createCollection('c', {})
    await look()
    const memory = robots[0].store
    const before = memory.crash()
    robots[0].store = { ...memory, crash: () => before }
    await acknowledge(robots[0], 1)
    expect(await watch.look()).toMatch(/^robot 0's acknowledged write of c\/k \(.*\) is forgotten on robot 0$/)
  })

  it('caught: its key vanished from the robot that acknowledged it', async () => {
    await acknowledge(robots[0], 1)
    await look()
    await lose(robots[0])
    // From an empty history of this robot, or what it gave up would be noticed first.
    watch = await createWatch(robots, history)
    expect(await look()).toMatch(/write of c\/k .* is lost on robot 0$/)
  })

  it('caught: a robot whose vector covers it does not hold it', async () => {
    await acknowledge(robots[0], 1)
    await exchange()
    await look()
    await lose(robots[1])
    watch = await createWatch(robots, history)
    expect(await look()).toMatch(/robot 0's acknowledged write of c\/k .* is lost on robot 1$/)
  })

  it('caught at the end only: a robot has never heard of it', async () => {
    await acknowledge(robots[0], 1)
    expect(await look()).toBeUndefined()
    expect(watch.lookAtEnd()).toMatch(/is lost on robot 1$/)
  })

  it('what it had seen does not account for it, whatever the stamps say (R1)', () => {
    const seen = { ...version('a', 1), stamp: { ms: 9, tick: 0 } }
    expect(accountsFor(seen, { ...version('b', 1, [seen]), stamp: { ms: 1, tick: 0 } }, 'lww')).toBe(false)
    expect(accountsFor(seen, { ...version('b', 1), stamp: { ms: 1, tick: 0 } }, 'lww')).toBe(true)
    expect(accountsFor(seen, { ...version('b', 1), stamp: { ms: 1, tick: 0 } }, 'siblings')).toBe(false)
  })

  it('of a lost disk, what another vector covers is still owed, and the rest is forgiven', async () => {
    await acknowledge(robots[0], 1)
    await exchange()
    await acknowledge(robots[0], 2, 'other')
    expect(await look()).toBeUndefined()
    watch.forgive(0)
    expect(history.acknowledged.map(({ isForgiven }) => isForgiven)).toEqual([false, true])
    Object.assign(robots[0], { store: createMemoryStore(), disksLost: 1, replica: undefined })
    expect(await look()).toBeUndefined()
    await lose(robots[1])
    watch = await createWatch(robots, history)
    expect(await look()).toMatch(/is lost on robot 1$/)
  })
})

describe('what is held is given up for nothing but what beats it', () => {
  it('caught: a record vanishes', async () => {
    await robots[0].replica.write([put('c', 'k')])
    await look()
    await lose(robots[0])
    expect(await look()).toMatch(/^robot 0 gave up c\/k \(.*\) for nothing that beats it$/)
  })

  it('caught: a tombstone vanishes that nobody collected', async () => {
    await robots[0].replica.write([put('c', 'k'), remove('c', 'k')])
    await look()
    await lose(robots[0])
    expect(await look()).toMatch(/gave up c\/k/)
  })

  it('caught: a vector sinks, as after a power cut that took what was told', async () => {
    await robots[0].replica.write([put('c', 'k', 1)])
    const before = robots[0].store.crash()
    await robots[0].replica.write([put('c', 'other', 1)])
    await look()
    robots[0].store = before
    expect(await look()).toBe("robot 0's vector of c sank")
  })

  it('caught: a collection goes that nobody deleted', async () => {
    const before = robots[0].store.crash()
    await robots[0].replica.write([put('c', 'k', 1)])
    await look()
    robots[0].store = before
    expect(await look()).toMatch(/gave up (c|_system), which nobody deleted/)
  })
})

describe('no delete comes undone', () => {
  it.each([false, true])('caught: the record is back, its tombstone collected: %s', async isCollected => {
    await robots[0].replica.write([put('c', 'k', 1)])
    await look()
    const [old] = heldBy(robots[0]).entries.get('k')!
    await acknowledge(robots[0])
    await look()
    if (isCollected) await collect(robots[0])
    else await lose(robots[0])
    const items = [{ key: 'k', version: old! }]
    await robots[0].replica.applyItems({ collection: 'c', generation: 1, items, logicalClock: 0, skipCovered: false })
    watch = await createWatch(robots, createHistoryWithout(history))
    expect(await look()).toMatch(/^c\/k \(.*\) came back on robot 0 after its delete/)
  })
})

/** The same history, but nobody was told that a write is safe: that checker looks first. */
const createHistoryWithout = (full: History): History => ({ ...full, acknowledged: [] })

describe('a tombstone is collected when all have acknowledged it', () => {
  it('caught: one robot collects what the other has never heard of', async () => {
    await acknowledge(robots[0], 1)
    await exchange()
    expect(await look()).toBeUndefined()
    await acknowledge(robots[0])
    expect(await look()).toBeUndefined()
    await collect(robots[0])
    expect(await look()).toMatch(/^robot 0 collected c\/k \(.*\), which robot 1 has not acknowledged$/)
  })
})

describe('equal knowledge means equal roots', () => {
  it('caught: one of two that know the same lacks a record', async () => {
    await robots[0].replica.write([put('c', 'k', 1)])
    await exchange()
    await look()
    await lose(robots[1])
    watch = await createWatch(robots, history)
    expect(await look()).toMatch(/^robots 0 and 1 know the same of c and hold different things of k: /)
  })

  // o:1 is covered by the vector, p:1 and q:1 are above it.
  const old = version('o', 1)
  const over = version('p', 1, [old])
  const beside = { ...version('q', 1), stamp: { ms: 1, tick: 0 } }
  const late = { ...version('q', 1), stamp: { ms: 9, tick: 0 } }
  const cases: [string, 'lww' | 'siblings', Version[], Version[], Version[], boolean][] = [
    ['both hold the covered one', 'lww', [old], [old], [], true],
    ['one lacks the covered one', 'lww', [], [old], [], false],
    ['one holds another covered one', 'lww', [version('o', 2)], [old], [], false],
    ['one holds what was written over it', 'lww', [over], [old], [over], true],
    ['one lacks it, though what was written over it is somewhere', 'lww', [], [old], [over], true],
    ['one holds a concurrent greater one above the vector', 'lww', [late], [old], [late], true],
    ['one lacks it, and what is above the vector does not beat it', 'lww', [], [old], [beside], false],
    ['one has got one more above the vector', 'siblings', [old, beside], [old], [beside], true],
    ['one has got one above the vector in the place of the covered one', 'siblings', [beside], [old], [beside], false],
    ['one holds what was written over it, the other a sibling', 'siblings', [over], [old, beside], [over, beside], true],
    ['two covered siblings, one on each side', 'siblings', [version('o', 2)], [old], [], false],
  ]
  it.each(cases)('%s (%s)', async (_what, rule, mine, theirs, all, isFine) => {
    const full = createHistory(() => rule)
    const vector = new Map([['o'.repeat(32), 2]])
    const sides = [mine, theirs].map((entry, robot) => ({ robot, state: stateOf(vector, entry) }))
    for (const entry of [mine, theirs, all]) full.see({ ...stateOf(vector, []).collections.get('c')!, entries: new Map([['k', entry]]) })
    expect(findUnequal(sides[0]!, sides[1]!, full) === undefined).toBe(isFine)
    expect(findUnequal(sides[1]!, sides[0]!, full) === undefined).toBe(isFine)
  })

  it.each([
    ['lww', 9, true],
    ['lww', 1, false],
    ['siblings', 9, false],
  ] as const)('one met a tombstone that was collected, the other did not (%s, tombstone of %d ms)', (rule, ms, isFine) => {
    const tombstone = { ...version('p', 1), flags: 5, stamp: { ms, tick: 0 } }
    const full = createHistory(() => rule)
    const vector = new Map(['o', 'p'].map(letter => [letter.repeat(32), 2]))
    const sides = [[], [old]].map((entry, robot) => ({ robot, state: stateOf(vector, entry, new Map([[tombstone.origin, 1]])) }))
    full.see({ ...stateOf(vector, []).collections.get('c')!, entries: new Map([['k', [old, tombstone]]]) })
    expect(findUnequal(sides[0]!, sides[1]!, full) === undefined).toBe(isFine)
  })

  it('passes over a damaged key until it is mended, and what is known differently', () => {
    const sides = [[], [old]].map((entry, robot) => ({ robot, state: stateOf(new Map([['o'.repeat(32), 2]]), entry) }))
    history.damage(0, ID, 'k', [old])
    expect(findUnequal(sides[0]!, sides[1]!, history)).toBeDefined()
    history.judgeDamage(0, sides[0]!.state.collections.get('c')!)
    expect(findUnequal(sides[0]!, sides[1]!, history)).toBeUndefined()
    const further = { robot: 1, state: stateOf(new Map([['o'.repeat(32), 3]]), [old]) }
    expect(findUnequal({ robot: 2, state: sides[0]!.state }, further, history)).toBeUndefined()
  })
})

describe('what is kept and told', () => {
  it('caught: the digest is not that of the records', async () => {
    await robots[0].replica.write([put('c', 'k', 1), put('c', 'other', 1)])
    const [cid] = await findRow(robots[0], 'other')
    await changeRows(robots[0].store, [], [recordRow(cid, keyBytes('other'))])
    expect(await look()).toBe('robot 0: the kept digest of c is not the digest of what is held')
  })

  it('caught: a digest is told before it is durable', async () => {
    await robots[0].replica.write([put('c', 'k', 1)])
    await look()
    const before = robots[0].store.crash()
    robots[0].store = { ...robots[0].store, crash: () => before }
    await robots[0].replica.write([put('c', 'k', 2)])
    expect(await look()).toBe('robot 0 tells a digest of c that is not durable')
  })

  it('caught: one dot names two versions', async () => {
    const a = stateOf(new Map(), [version('o', 1)]).collections.get('c')!
    const b = stateOf(new Map(), [{ ...version('o', 1), body: Uint8Array.of(1) }]).collections.get('c')!
    expect(history.see(a)).toBeUndefined()
    expect(history.see(b)).toMatch(/^c#1\/k: .* names two versions$/)
  })
})

describe('tables stay bounded', () => {
  it('caught: more members than there are robots', async () => {
    robots[1].members = 2
    expect(await look()).toBe('robot 1 lists 2 peers of 1')
  })

  it('caught: snapshots that nobody closes', async () => {
    robots[0].openSnapshots = 7
    expect(await look()).toBe('robot 0 has 7 snapshots open')
  })

  it('caught: rows that belong to nothing', async () => {
    await robots[0].replica.write([put('c', 'k', 1)])
    const [cid, [held]] = await findRow(robots[0], 'k')
    await changeRows(robots[0].store, [[logRow(cid, { ...held!, counter: 9 }), keyBytes('k')]])
    expect(await look()).toMatch(/^robot 0 keeps \d rows "l", and there is reason for \d$/)
  })
})

describe('all agree in the end', () => {
  it('caught: digests differ, somebody is off, or is not listed', async () => {
    await exchange()
    expect(watch.disagreement()).toBeUndefined()
    robots[1].members = 0
    expect(watch.disagreement()).toMatch(/1 lists 0/)
    robots[1].members = 1
    await robots[0].replica.write([put('c', 'k', 1)])
    expect(watch.disagreement()).toMatch(/c 1 .* \| 1 lists 1: _system 2 /)
    watch = await createWatch([robots[0], { ...robots[1], members: 0, replica: undefined }], history)
    expect(watch.disagreement()).toMatch(/1 lists 0: off/)
  })
})

function version(letter: string, counter: number, seen: readonly Version[] = []): Version {
  const context = seen.map(({ origin, counter }) => ({ origin, counter }))
  return { flags: 4, origin: letter.repeat(32), counter, stamp: { ms: 5, tick: seen.length }, context, body: new Uint8Array(0) }
}

/** A state made by hand, with one collection and one key. */
function stateOf(
  vector: ReadonlyMap<string, number>,
  entry: readonly Version[],
  collected: ReadonlyMap<string, number> = new Map(),
): DurableState {
  const root = entry.map(({ origin, counter }) => `${origin}${counter}`).join()
  const collection: DurableCollection = {
    name: 'c',
    id: ID,
    generation: 1,
    vector,
    collected,
    knowledge: JSON.stringify([...vector]),
    entries: new Map(entry.length === 0 ? [] : [['k', entry]]),
    root,
    recordCount: 0,
    countedRoot: root,
    countedRecords: 0,
  }
  const collections = new Map([['c', collection]])
  return { storeId: undefined, enrolled: [], names: 1, collections, deletedGeneration: () => 0, rows: new Map(), dropped: 0 }
}

/** The local number of collection c, and what it holds of a key. */
async function findRow(robot: Bench, key: string): Promise<[number, readonly Version[]]> {
  for (let cid = 1; cid < 10; cid++) {
    if (robot.store.get(recordRow(cid, keyBytes(key))) === undefined) continue
    return [cid, (await readDurableState(robot.store.crash())).collections.get('c')!.entries.get(key)!]
  }
  throw new Error(`nothing is held of ${key}`)
}
