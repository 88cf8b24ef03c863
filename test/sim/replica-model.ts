/**
 * Several replicas on slow memory disks, one seed a run: writes, deletes, collections made and deleted, sessions cut at any message,
 * power cuts, failing disks, restored copies, skewed clocks. No timers and no I/O: time is turns of the microtask queue, so a seed
 * replays exactly, and whatever is still pending when the queue is empty hangs.
 *
 * At the end every pair syncs until nothing differs; then the checkers of replica-checks.ts must find nothing.
 */
import { systemHash } from '../../agent/ports.ts'
import type { Random } from '../../base/ports.ts'
import { loadCollections } from '../../sync/collection-state.ts'
import { type Dot, type VersionVector } from '../../sync/dot.ts'
import { openReplica, type OpenReplica } from '../../sync/open-replica.ts'
import type { ConflictPolicy, LocalWrite } from '../../sync/replica.ts'
import { createCommonGrounds, type CommonGrounds } from '../../sync/common-ground.ts'
import { runSession, type SessionResult } from '../../sync/session.ts'
import { countersOf } from '../../sync/replica-snapshot.ts'
import { createMemoryStore, type MemoryStore } from '../memory-store.ts'
import { codec, createTestClock, helloOf, json, type TestClock } from '../replica-pair.ts'
import { createSeededRandom } from '../seeded-random.ts'
import { createDeletionNotes, type DeletionNotes } from './deletion-notes.ts'
import { createSimLink, type SimLink } from './sim-link.ts'
import { createSlowStore, pause } from './sim-store.ts'

export const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

export const SALT = new Uint8Array(16)
const STEPS = 60
const ROUNDS_MAX = 12
const NO_ROOM = 'the disk is full'

export interface Faults {
  readonly crashes: boolean
  readonly failingDisks: boolean
  /** Disks take no more for a while. */
  readonly fullDisks: boolean
  /** Share of the steps in which a backup is taken or put back. */
  readonly restores: number
  readonly skewedClocks: boolean
  /** Collections "tmp" come and go. */
  readonly deletions: boolean
  /** Operators evict replicas, which come back. */
  readonly evictions: boolean
  /** Robots make "sib" and "log" with different policies. */
  readonly mixedPolicies: boolean
  readonly durability: 'fsync' | 'deferred'
}

interface Room {
  isFull: boolean
}

export interface Robot {
  readonly index: number
  store: MemoryStore
  replica: OpenReplica
  readonly clock: TestClock
  readonly room: Room
  /** Grows with each power cut: what was asked before one is not answered after it. */
  life: number
  isDown: boolean
  backup: MemoryStore | undefined
  /** The greatest generation of "tmp" that its views have shown: no later write goes into an earlier one. */
  generationShown: number
}

/** One write that was asked for; `version` when it was acknowledged. */
export interface Wish {
  readonly robot: number
  readonly life: number
  readonly collection: string
  /** The generations that it may have gone into: views lag behind what is being written. */
  readonly generations: number[]
  key: string
  readonly isDelete: boolean
  readonly id: number
  dot?: Dot & { readonly timeMs: number; readonly tick: number }
  /** Of a delete: what its robot certainly had seen of the collection. */
  seen: VersionVector
  /** A restore put its robot back before it, and nobody else had it. */
  isForgiven: boolean
}

export interface Sim {
  readonly random: Random
  readonly faults: Faults
  readonly robots: Robot[]
  readonly wishes: Wish[]
  readonly deletions: DeletionNotes
  readonly running: Set<Promise<void>>
  readonly sessions: Map<string, SimLink>
  readonly problems: string[]
  readonly trace: string[]
}

const KEYS = ['a', 'b', 'c', 'd', 'e', 'é', '\uffff', '😀']
export const POLICY: Record<string, ConflictPolicy> = { kv: 'lww', sib: 'siblings', log: 'append', tmp: 'lww' }

const pick = <T>(random: Random, values: readonly T[]): T => values[Math.floor(random.fraction() * values.length)]!
const chance = (random: Random, probability: number): boolean => random.fraction() < probability

function openOn(sim: Pick<Sim, 'random' | 'faults'>, store: MemoryStore, clock: TestClock, room: Room): Promise<OpenReplica> {
  return openReplica({
    store,
    hash: systemHash,
    random: sim.random,
    clock,
    digestSalt: SALT,
    clockDriftMaxMs: 60_000,
    durability: sim.faults.durability,
    noRoom: () => (room.isFull ? NO_ROOM : undefined),
  })
}

/** Fails when `promise` is still pending although nothing is left to happen. */
async function settled<T>(promise: Promise<T>, what: string): Promise<T> {
  const state = { isDone: false }
  const end = (): void => void (state.isDone = true)
  void promise.then(end, end)
  for (let turn = 0; turn < 3 && !state.isDone; turn++) await new Promise(resolve => void setImmediate(resolve))
  if (!state.isDone) throw new Error(`hangs: ${what}`)
  return promise
}

async function startSim(seed: number, faults: Faults): Promise<Sim> {
  const random = createSeededRandom(seed)
  const sim: Sim = {
    random,
    faults,
    robots: [],
    wishes: [],
    deletions: createDeletionNotes('tmp'),
    running: new Set(),
    sessions: new Map(),
    problems: [],
    trace: [],
  }
  const count = 2 + Math.floor(random.fraction() * 3)
  for (let index = 0; index < count; index++) {
    const clock = createTestClock(faults.skewedClocks ? pick(random, [0, 5_000, 1.7e12, 1.7e12 + 3e10, 1.7e12 - 3e7]) : 1.7e12)
    const store = createSlowStore(createMemoryStore(), random, sim.deletions.look)
    const room: Room = { isFull: false }
    const replica = await openOn(sim, store, clock, room)
    sim.robots.push({ index, store, replica, clock, room, life: 0, isDown: false, backup: undefined, generationShown: 0 })
    if (faults.mixedPolicies && index > 0) continue
    await replica.createCollection('sib', { conflict: 'siblings' })
    await replica.createCollection('log', { conflict: 'append' })
  }
  return sim
}

/** Runs beside everything else; an exception is a problem of the run. */
function spawn(sim: Sim, what: string, action: () => Promise<void>): void {
  const task: Promise<void> = action()
    .catch(
      (error: unknown) =>
        void sim.problems.push(`${what} threw: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
    )
    .finally(() => sim.running.delete(task))
  sim.running.add(task)
}

let nextId = 1

/** The generation that a robot shows; where it shows none, the first one that a write could make. */
function generationNow(robot: Robot, name: string): number {
  const shown = robot.replica.collection(name)?.generation
  if (name !== 'tmp') return shown ?? 1
  robot.generationShown = Math.max(robot.generationShown, shown ?? 0)
  return shown ?? robot.generationShown + 1
}

function write(sim: Sim, robot: Robot): void {
  const { random } = sim
  const { replica, life } = robot
  const names = ['kv', 'kv', 'sib', 'log', ...(sim.faults.deletions ? ['tmp', 'tmp'] : [])]
  const wishes: Wish[] = []
  const writes: LocalWrite[] = []
  for (let left = 1 + Math.floor(random.fraction() * 3); left > 0; left--) {
    const collection = pick(random, names)
    const isMade = collection === 'log'
    const isDelete = !isMade && chance(random, 0.25)
    const id = nextId++
    const key = isMade ? undefined : pick(random, KEYS)
    const vector = chance(random, 0.2) ? { vector: [1, id] } : {}
    writes.push({ collection, key, content: isDelete ? undefined : { payload: json(id), ...vector } })
    const generation = generationNow(robot, collection)
    wishes.push({
      robot: robot.index,
      life,
      collection,
      generations: [generation],
      key: key ?? '',
      isDelete,
      id,
      seen: new Map(),
      isForgiven: false,
    })
  }
  sim.wishes.push(...wishes)
  spawn(sim, 'a write', async () => {
    if (wishes.some(({ isDelete }) => isDelete)) {
      for (const { name, generation, vector } of await loadCollections(robot.store)) {
        for (const wish of wishes) if (wish.collection === name && wish.generations[0] === generation) wish.seen = countersOf(vector)
      }
    }
    const results = await replica.write(writes)
    if (robot.life !== life || sim.faults.durability !== 'fsync') return
    for (const [i, result] of results.entries()) {
      const wish = wishes[i]!
      if (!result.ok) {
        const isExpected = result.code === 'HS_STORE_WRITE_FAILED' || (result.code === 'HS_DISK_FULL' && sim.faults.fullDisks)
        if (!isExpected && !sim.faults.mixedPolicies) sim.problems.push(`refused: ${result.code} ${result.detail}`)
        continue
      }
      const after = generationNow(robot, wish.collection)
      for (let generation = wish.generations[0]! + 1; generation <= after; generation++) wish.generations.push(generation)
      wish.key = result.key
      if (result.version !== undefined) wish.dot = result.version
      sim.trace.push(
        `acked ${wish.isDelete ? 'del' : 'put'} ${wish.id} ${wish.collection}@${wish.generations.join('|')}/${wish.key} ${result.version?.origin.slice(0, 6)}:${result.version?.counter} by ${robot.index}`,
      )
    }
  })
}

function deleteOrMake(sim: Sim, robot: Robot): void {
  const { replica } = robot
  const isDelete = chance(sim.random, 0.6)
  sim.trace.push(`${isDelete ? 'delete' : 'create'} tmp at ${robot.index}`)
  spawn(sim, 'a change of collections', async () => {
    if (isDelete) await replica.deleteCollection('tmp')
    else await replica.createCollection('tmp', {})
  })
}

/** In memory, so gone with the power; kept however few origins there are. */
const groundsByReplica = new WeakMap<OpenReplica, CommonGrounds>()
function groundsOf(replica: OpenReplica): CommonGrounds {
  const grounds = groundsByReplica.get(replica) ?? createCommonGrounds(systemHash, 0)
  groundsByReplica.set(replica, grounds)
  return grounds
}

/** With `liveTurns` the link stays open so long, unless it is cut before. */
async function session(
  sim: Sim,
  a: Robot,
  b: Robot,
  cutAfter: number,
  liveTurns = 0,
): Promise<readonly [SessionResult, SessionResult] | undefined> {
  const pair = a.index < b.index ? `${a.index}-${b.index}` : `${b.index}-${a.index}`
  if (sim.sessions.has(pair) || a.isDown || b.isDown) return undefined
  const link = createSimLink(sim.random, cutAfter)
  sim.sessions.set(pair, link)
  const isLive = liveTurns > 0
  const run = (replica: OpenReplica, isInitiator: boolean): Promise<SessionResult> =>
    runSession({
      link: link.ends[isInitiator ? 0 : 1],
      replica,
      codec,
      hash: systemHash,
      commonGrounds: groundsOf(replica),
      isInitiator,
      hello: () => ({ ...helloOf(replica), isLive }),
      refusal: () => undefined,
      live: { after: (delayMs, action) => laterTurn(sim.random, delayMs, action) },
    })
  if (isLive) void pause(sim.random, liveTurns).then(() => link.ends[0].close())
  const results = await Promise.all([run(a.replica, true), run(b.replica, false)])
  if (sim.sessions.get(pair) === link) sim.sessions.delete(pair)
  for (const { fault } of results) {
    const isOfDisk = fault?.kind === 'store' && (sim.faults.failingDisks || (sim.faults.fullDisks && fault.detail === NO_ROOM))
    if (fault !== undefined && fault.kind !== 'closed' && !isOfDisk && !isEviction(fault)) {
      sim.problems.push(`a session failed: ${fault.kind}: ${fault.detail}`)
    }
  }
  return results
}

/** Turns in the place of time. */
function laterTurn(random: Random, delayMs: number, action: () => void): () => void {
  const state = { isCancelled: false }
  void pause(random, delayMs / 10).then(() => {
    if (!state.isCancelled) action()
  })
  return () => void (state.isCancelled = true)
}

const isEviction = (fault: { readonly kind: string; readonly detail: string }): boolean =>
  (fault.kind === 'refused' && fault.detail.includes('evicted')) || fault.kind === 'closed'

/** Cuts a robot's power, and starts it again on what its disk - or an older copy of it - holds. */
function restart(sim: Sim, robot: Robot, from: MemoryStore | undefined): void {
  const disk = (from ?? robot.store).crash()
  if (from !== undefined) for (const wish of sim.wishes) if (wish.robot === robot.index) wish.isForgiven = true
  robot.life += 1
  robot.isDown = true
  for (const [pair, link] of sim.sessions) {
    if (!pair.split('-').includes(String(robot.index))) continue
    link.cut()
    sim.sessions.delete(pair)
  }
  robot.store = createSlowStore(disk, sim.random, sim.deletions.look)
  spawn(sim, 'an opening', async () => {
    await pause(sim.random, 200)
    robot.replica = await openOn(sim, robot.store, robot.clock, robot.room)
    robot.isDown = false
  })
}

/** A scrub beside everything else: nothing is damaged, so it must find nothing (B3). */
function scrub(sim: Sim, robot: Robot): void {
  const { replica, life } = robot
  spawn(sim, 'a scrub', async () => {
    const { scrubber } = replica
    try {
      await scrubber.run({ pace: () => Promise.resolve(robot.life === life && !robot.isDown), isResumed: true })
    } catch (error) {
      if (!sim.faults.failingDisks) throw error
    }
    const { mended, strays, sums, damaged, lost } = scrubber.counters
    // Copies put back may give one dot to two versions, of which the log can name one.
    if (sim.faults.restores === 0 && mended + strays + sums + damaged + lost > 0)
      sim.problems.push(`a scrub of robot ${robot.index} found ${JSON.stringify(scrubber.counters)}`)
  })
}

async function step(sim: Sim): Promise<void> {
  const { random, faults } = sim
  const robot = pick(random, sim.robots)
  const other = pick(random, sim.robots)
  const dice = random.fraction()
  if (robot.isDown) {
    await pause(random, 50)
  } else if (dice < 0.5) {
    write(sim, robot)
  } else if (dice < 0.75 && other !== robot) {
    const cutAfter = chance(random, 0.4) ? Number.POSITIVE_INFINITY : Math.floor(random.fraction() * 40)
    const liveTurns = chance(random, 0.5) ? 200 + random.fraction() * 4_000 : 0
    spawn(sim, 'a session', async () => void (await session(sim, robot, other, cutAfter, liveTurns)))
  } else if (dice < 0.77) {
    scrub(sim, robot)
  } else if (dice < 0.83 && faults.deletions) {
    deleteOrMake(sim, robot)
  } else if (dice < 0.87 && faults.crashes) {
    sim.trace.push(`crash ${robot.index}`)
    restart(sim, robot, undefined)
  } else if (faults.restores > 0 && dice < 0.87 + faults.restores) {
    if (robot.backup === undefined) robot.backup = robot.store.crash()
    else restart(sim, robot, robot.backup)
  } else if (dice < 0.94 && faults.failingDisks) {
    sim.trace.push(`disk fails ${robot.index}`)
    robot.store.failWrites(1 + Math.floor(random.fraction() * 2))
  } else if (dice < 0.94 && faults.fullDisks) {
    robot.room.isFull = !robot.room.isFull
    sim.trace.push(`disk of ${robot.index} ${robot.room.isFull ? 'is full' : 'has room'}`)
    const { replica } = robot
    spawn(sim, 'word of room', () => replica.roomChanged())
  } else if (dice < 0.96 && faults.evictions && other !== robot && !other.isDown) {
    const { storeId } = other.replica
    sim.trace.push(`${robot.index} evicts ${other.index}`)
    spawn(sim, 'an eviction', async () => void (await robot.replica.evict(storeId)))
  } else if (dice < 0.97 && faults.skewedClocks) {
    robot.clock.wall = Math.max(0, robot.clock.wall + pick(random, [-1e9, -1, 1, 1e5, 1e9]))
  } else if (faults.durability === 'deferred') {
    const { replica } = robot
    spawn(sim, 'a flush', () => replica.flush())
  }
  robot.clock.wall += Math.floor(random.fraction() * 3)
  await pause(random, 120)
}

/** Syncs all pairs, round after round, until a round moves nothing. */
async function syncUntilQuiet(sim: Sim): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    let isQuiet = true
    for (const a of sim.robots) {
      for (const b of sim.robots) {
        if (a.index >= b.index) continue
        const before = [await stateOf(a), await stateOf(b)]
        const results = await settled(session(sim, a, b, Number.POSITIVE_INFINITY), `a session of ${a.index} and ${b.index}`)
        for (const { diverged, fault } of results ?? []) {
          if (diverged.length > 0) sim.problems.push(`repair did not mend ${diverged.join()}`)
          if (fault !== undefined && !isEviction(fault)) sim.problems.push(`round ${round}: ${fault.kind} ${fault.detail}`)
          // What has ended a session early - a fork that was found, an eviction - may have changed nothing else.
          if (fault !== undefined) isQuiet = false
        }
        if (before.join() !== [await stateOf(a), await stateOf(b)].join()) isQuiet = false
      }
    }
    if (isQuiet) return
  }
  sim.problems.push(`not quiet after ${ROUNDS_MAX} rounds`)
}

/** Roots and vectors of everything a robot holds. */
async function stateOf(robot: Robot): Promise<string> {
  const collections = await loadCollections(robot.store)
  return JSON.stringify(
    collections
      .filter(({ dropped }) => !dropped)
      .map(({ name, generation, total, vector }) => [
        name,
        generation,
        [...total.lanes],
        total.count,
        [...vector].map(entry => JSON.stringify(entry)).sort(byText),
      ])
      .sort((a, b) => byText(JSON.stringify(a), JSON.stringify(b))),
  )
}

/** Plays one seed to its end, when all have synced and were opened anew. */
export async function playSeed(seed: number, faults: Faults): Promise<Sim> {
  const sim = await settled(startSim(seed, faults), 'the start')
  const act = async (): Promise<void> => {
    for (let i = 0; i < STEPS; i++) await step(sim)
    while (sim.running.size > 0) await Promise.all(sim.running)
  }
  await settled(act(), `the run (${sim.running.size} tasks)`)
  for (const robot of sim.robots) {
    robot.store.failWrites(0)
    robot.room.isFull = false
    if (faults.fullDisks) await settled(robot.replica.roomChanged(), 'word of room')
    if (faults.durability === 'deferred') await settled(robot.replica.flush(), 'a flush')
  }
  await syncUntilQuiet(sim)
  await new Promise(resolve => void setImmediate(resolve))
  // What a purge left undone goes with the next opening.
  for (const robot of sim.robots) {
    await robot.replica.close()
    robot.store = createSlowStore(robot.store.crash(), sim.random, sim.deletions.look)
    robot.replica = await openOn(sim, robot.store, robot.clock, robot.room)
    await new Promise(resolve => void setImmediate(resolve))
  }
  return sim
}

const CALM: Faults = {
  crashes: false,
  failingDisks: false,
  fullDisks: false,
  restores: 0,
  skewedClocks: false,
  deletions: false,
  evictions: false,
  mixedPolicies: false,
  durability: 'fsync',
}
export const SCENARIOS: Record<string, Faults> = {
  'cut links': CALM,
  'cut links, skewed clocks and power cuts': { ...CALM, skewedClocks: true, crashes: true },
  'collections that come and go': { ...CALM, deletions: true, crashes: true },
  'disks that fail': { ...CALM, failingDisks: true, crashes: true },
  'disks that fail and collections that come and go': { ...CALM, failingDisks: true, deletions: true },
  'disks that fill up': { ...CALM, fullDisks: true, deletions: true, crashes: true, evictions: true },
  'disks that fill up and restored copies': { ...CALM, fullDisks: true, crashes: true, restores: 0.02 },
  'robots that disagree on policies': { ...CALM, mixedPolicies: true, crashes: true },
  'deferred durability': { ...CALM, durability: 'deferred', crashes: true, deletions: true },
  'replicas that are evicted and come back': { ...CALM, evictions: true, crashes: true, skewedClocks: true },
  'restored copies': { ...CALM, restores: 0.03, crashes: true, skewedClocks: true },
}
