/** One run: a seed becomes a list of actions, the list is carried out on simulated robots, and the checkers look on. */
import { createSeededRandom } from '../seeded-random.ts'
import { json } from '../replica-pair.ts'
import { toHex } from '../../base/bytes.ts'
import { coversDot, coversVector, type VersionVector } from '../../sync/dot.ts'
import type { OpenReplica } from '../../sync/open-replica.ts'
import { isTombstone, type Version } from '../../sync/version.ts'
import {
  dotName,
  findDrift,
  findForgottenDot,
  findLostWrite,
  findOverflow,
  findResurrection,
  readEntries,
  type AcknowledgedWrite,
} from './checkers.ts'
import { createNetwork } from './network.ts'
import { createRobot, type Mutation, type Robot } from './robot.ts'
import { createWorld } from './world.ts'

export type Action = { readonly atMs: number } & (
  | { readonly kind: 'write'; readonly robot: number; readonly collection: string; readonly key: string; readonly value: number }
  | { readonly kind: 'delete'; readonly robot: number; readonly collection: string; readonly key: string }
  | { readonly kind: 'crash'; readonly robot: number; readonly downMs: number }
  | { readonly kind: 'cut'; readonly from: number; readonly to: number }
  | { readonly kind: 'heal' }
  | { readonly kind: 'clock'; readonly robot: number; readonly offsetMs: number; readonly driftRate: number }
  /** A record vanishes behind the store's back, on a robot whose peers hold it. */
  | { readonly kind: 'damage'; readonly robot: number; readonly collection: string }
  /** A robot collects the tombstones that all robots' vectors cover (R7, judged by somebody who sees them all). */
  | { readonly kind: 'collect'; readonly robot: number; readonly collection: string }
)

export interface Scenario {
  readonly seed: number
  readonly robots: number
  readonly loss: number
  readonly duplicates: number
  readonly delayMaxMs: number
  readonly linkBytesPerSecond: number
  readonly policy: 'lww' | 'siblings'
  readonly isLyingDisk: boolean
  readonly mutation: Mutation
  /** Versions per frame: small, so that sessions are cut between frames. */
  readonly frameItemsMax: number
  readonly actions: readonly Action[]
}

export interface Outcome {
  readonly failure: string | undefined
  readonly traceDigest: string
  readonly trace: readonly string[]
  readonly events: number
  readonly acknowledged: number
  /** Virtual time from the last action to agreement. */
  readonly agreedAfterMs: number
}

const ACTIVE_MS = 20_000
/** After the last fault has healed, all agree within this virtual time. */
export const AGREE_MS = 60_000
const COLLECTIONS = ['imu', 'map'] as const
/** An audit reads every entry of every robot. */
const EVENTS_BETWEEN_AUDITS = 200
const DAY_MS = 24 * 3600 * 1000

export function makeScenario(seed: number, settings: Partial<Scenario> = {}): Scenario {
  const random = createSeededRandom(seed ^ 0x5eed)
  const below = (max: number): number => Math.floor(random.fraction() * max)
  const pick = <T>(items: readonly T[]): T => items[below(items.length)]!
  const robots = 2 + below(4)
  const actions: Action[] = []
  const keys = 3 + below(12)
  for (let i = 20 + below(60); i > 0; i--) {
    const atMs = below(ACTIVE_MS)
    const robot = below(robots)
    const collection = pick(COLLECTIONS)
    const key = `k${below(keys)}`
    const dice = below(100)
    if (dice < 52) actions.push({ atMs, kind: 'write', robot, collection, key, value: below(1e6) })
    else if (dice < 70) actions.push({ atMs, kind: 'delete', robot, collection, key })
    else if (dice < 77) actions.push({ atMs, kind: 'crash', robot, downMs: 100 + below(4_000) })
    else if (dice < 85) actions.push({ atMs, kind: 'cut', from: robot, to: (robot + 1 + below(robots - 1)) % robots })
    else if (dice < 89) actions.push({ atMs, kind: 'heal' })
    else if (dice < 93) {
      const offsetMs = pick([-1.7e12, -DAY_MS, -3_600_000, 0, 45_000, 3_600_000, 365 * DAY_MS])
      actions.push({ atMs, kind: 'clock', robot, offsetMs, driftRate: pick([0, 0, 0.01, -0.01]) })
    } else actions.push({ atMs, kind: dice < 95 ? 'damage' : 'collect', robot, collection })
  }
  actions.sort((a, b) => a.atMs - b.atMs)
  return {
    seed,
    robots,
    loss: pick([0, 0, 0.05, 0.2]),
    duplicates: pick([0, 0.05]),
    delayMaxMs: pick([2, 20, 200]),
    linkBytesPerSecond: pick([1e7, 1e5, 2e4]),
    policy: pick(['lww', 'lww', 'siblings']),
    isLyingDisk: false,
    mutation: 'none',
    frameItemsMax: pick([1, 2, 5, 1_000]),
    actions,
    ...settings,
  }
}

export async function runScenario(scenario: Scenario): Promise<Outcome> {
  const world = createWorld(scenario.seed)
  const network = createNetwork(world, {
    loss: scenario.loss,
    duplicates: scenario.duplicates,
    delayMinMs: 0.5,
    delayMaxMs: scenario.delayMaxMs,
    linkBytesPerSecond: scenario.linkBytesPerSecond,
  })
  const robots = Array.from({ length: scenario.robots }, (_, i) =>
    createRobot(world, network, i, { itemsMax: scenario.frameItemsMax, bytesMax: 256 * 1024 }, scenario.mutation),
  )
  const acknowledged: AcknowledgedWrite[] = []
  const tombstones: { key: string; collection: string; by: number; version: Version }[] = []
  /** Tombstones that were collected somewhere: an absent key then stands for them. */
  const collected = new Map<string, Version[]>()
  let failure: string | undefined
  const fail = (what: string | undefined): void => {
    if (what === undefined || failure !== undefined) return
    failure = what
    world.note(`FAILED ${what}`)
  }
  const done = (agreedAfterMs: number): Outcome => {
    const { lines, digest } = world.trace()
    return { failure, traceDigest: digest, trace: lines, events: world.events, acknowledged: acknowledged.length, agreedAfterMs }
  }

  for (const robot of robots) {
    robot.disk.isLying = scenario.isLyingDisk
    robot.start()
  }
  for (const name of COLLECTIONS)
    world.after(1, () => void (scenario.policy === 'siblings' && robots[0]?.replica?.createCollection(name, { conflict: 'siblings' })))
  for (const action of scenario.actions) {
    world.after(action.atMs, () => {
      void carryOut(action).catch((error: unknown) => fail(`an action threw: ${error instanceof Error ? error.stack : String(error)}`))
    })
  }

  async function carryOut(action: Action): Promise<void> {
    if (action.kind !== 'heal' && action.kind !== 'cut') world.note(`robot ${action.robot} ${JSON.stringify(action)}`)
    else world.note(JSON.stringify(action))
    switch (action.kind) {
      case 'write':
      case 'delete':
        return write(robots[action.robot]!, action)
      case 'crash': {
        const robot = robots[action.robot]!
        robot.crash()
        world.after(action.downMs, () => robot.start())
        return
      }
      case 'cut':
        return network.cut(robots[action.from]!.host, robots[action.to]!.host)
      case 'heal':
        return network.heal()
      case 'clock':
        Object.assign(robots[action.robot]!.clock, { offsetMs: action.offsetMs, driftRate: action.driftRate })
        return
      case 'damage':
        return damage(robots[action.robot]!, action.collection)
      case 'collect':
        return collect(robots[action.robot]!, action.collection)
    }
  }

  async function write(robot: Robot, action: Extract<Action, { kind: 'write' | 'delete' }>): Promise<void> {
    const { replica } = robot
    if (replica === undefined) return
    const { collection, key } = action
    const content = action.kind === 'write' ? { payload: json(action.value) } : undefined
    const [result] = await replica.write([{ collection, key, content }])
    if (result === undefined || !result.ok || result.version === undefined) return
    const dot = { origin: result.version.origin, counter: result.version.counter }
    world.note(`robot ${robot.index} acknowledged ${dotName(dot)}`)
    const stamp = { ms: result.version.timeMs, tick: result.version.tick }
    acknowledged.push({ robot: robot.index, collection, key, dot, stamp, isDelete: content === undefined })
    if (content !== undefined) return
    const version = (await readEntries(replica, collection))
      .get(key)
      ?.find(held => held.origin === dot.origin && held.counter === dot.counter)
    if (version !== undefined) tombstones.push({ key, collection, by: robot.index, version })
  }

  /** Only what every other robot that is up holds as well: damage to the last copy is not repaired by anybody. */
  async function damage(robot: Robot, name: string): Promise<void> {
    const others = robots.filter(other => other !== robot)
    if (robot.replica === undefined || others.some(({ replica }) => replica === undefined)) return
    const mine = await readEntries(robot.replica, name)
    const theirs = await Promise.all(others.map(other => readEntries(other.replica!, name)))
    // Not a tombstone: who lost one does not collect it later, and its G would stay behind (the rest of R7 is not in this version).
    const victim = [...mine].find(
      ([key, [version]]) =>
        !isTombstone(version!) &&
        theirs.every(entries => entries.get(key)?.some(held => held.origin === version!.origin && held.counter === version!.counter)),
    )
    const generation = robot.replica.collection(name)?.generation
    if (victim === undefined || generation === undefined) return
    const [key, entry] = victim
    world.note(`robot ${robot.index} loses ${name}/${key}`)
    await robot.replica.dropItems(
      name,
      generation,
      entry.map(({ origin, counter }) => ({ key, dot: { origin, counter } })),
    )
  }

  async function collect(robot: Robot, name: string): Promise<void> {
    const replicas = robots.map(({ replica }) => replica)
    const own = robot.replica
    if (own === undefined || replicas.some(replica => replica === undefined)) return
    const vectors = await Promise.all(replicas.map(replica => vectorOf(replica!, name)))
    const mine = vectors[robot.index]!
    if (!vectors.every(vector => coversVector(mine, vector))) return
    const stable = [...(await readEntries(own, name))].flatMap(([key, entry]) => {
      const [only] = entry
      if (entry.length !== 1 || only === undefined || !isTombstone(only) || !vectors.every(vector => coversDot(vector, only))) return []
      return [{ key, dot: { origin: only.origin, counter: only.counter }, stamp: only.stamp, version: only }]
    })
    const generation = own.collection(name)?.generation
    if (generation === undefined || stable.length === 0) return
    for (const { key, version } of stable) collected.set(`${name}/${key}`, [...(collected.get(`${name}/${key}`) ?? []), version])
    world.note(`robot ${robot.index} collects ${stable.map(({ key }) => key).join(' ')}`)
    await own.collectTombstones(name, generation, stable)
  }

  /** R7, second half: whoever learns what was collected collects the same. Here everybody learns it when all has healed. */
  async function collectEverywhere(): Promise<void> {
    for (const [place, versions] of collected) {
      const [name, key] = place.split('/')
      for (const { replica } of robots) {
        const generation = name === undefined ? undefined : replica?.collection(name)?.generation
        if (replica === undefined || name === undefined || key === undefined || generation === undefined) continue
        const tombstones = versions.map(version => ({ key, dot: version, stamp: version.stamp }))
        void replica.collectTombstones(name, generation, tombstones)
      }
    }
  }

  /** After every event what is cheap to look at, and now and then everything that must hold at any time. */
  const look = async (): Promise<void> => {
    fail(findOverflow(robots, world.nowMs()))
    if (world.events % EVENTS_BETWEEN_AUDITS === 0) for (const robot of robots) await audit(robot)
  }

  async function audit(robot: Robot): Promise<void> {
    const { replica } = robot
    if (replica === undefined) return
    for (const name of COLLECTIONS) {
      fail(await findDrift(replica, name))
      const own = tombstones.filter(({ collection, by }) => collection === name && by === robot.index)
      fail(findResurrection(await readEntries(replica, name), own))
    }
    fail(await findForgottenDot(robot, acknowledged))
  }

  await world.run(ACTIVE_MS, look)
  if (failure !== undefined) return done(0)

  // The last fault heals: everybody is up, everything gets through.
  network.heal()
  network.faults = { ...network.faults, loss: 0, duplicates: 0 }
  for (const robot of robots) {
    robot.disk.isLying = false
    if (robot.replica === undefined) robot.start()
  }
  world.note('everything heals')
  const healedMs = world.nowMs()
  for (let isAgreed = false; !isAgreed && world.nowMs() - healedMs <= AGREE_MS;) {
    await collectEverywhere()
    await world.run(world.nowMs() + 500, look)
    isAgreed = await allAgree(robots)
  }
  if (!(await allAgree(robots))) fail(`no agreement within ${AGREE_MS} ms: ${describe(robots)}`)
  const agreedAfterMs = world.nowMs() - healedMs
  for (const robot of robots) {
    for (const name of COLLECTIONS) {
      if (robot.replica === undefined) continue
      const entries = await readEntries(robot.replica, name)
      fail(
        findLostWrite(
          entries,
          acknowledged.filter(({ collection }) => collection === name),
          key => collected.get(`${name}/${key}`) ?? [],
        ),
      )
      fail(
        findResurrection(
          entries,
          tombstones.filter(({ collection }) => collection === name),
        ),
      )
      fail(await findDrift(robot.replica, name))
    }
    fail(await findForgottenDot(robot, acknowledged))
  }
  world.note(describe(robots))
  return done(agreedAfterMs)
}

async function vectorOf(replica: OpenReplica, name: string): Promise<VersionVector> {
  const snapshot = await replica.snapshot()
  const collection = await snapshot.collection(name)
  await snapshot.close()
  return collection?.counters ?? new Map()
}

/** Equal digests everywhere, and every robot lists every other one. */
async function allAgree(robots: readonly Robot[]): Promise<boolean> {
  const states = new Set<string>()
  for (const { replica } of robots) {
    if (replica === undefined) return false
    states.add(digestsOf(replica))
  }
  return states.size === 1
}

function digestsOf(replica: NonNullable<Robot['replica']>): string {
  return [replica.systemCollection(), ...replica.collections()]
    .map(view => (view === undefined ? '-' : `${view.name} ${view.recordCount} ${toHex(view.digest).slice(0, 8)}`))
    .join(', ')
}

const describe = (robots: readonly Robot[]): string =>
  robots.map(({ index, replica }) => `${index}: ${replica === undefined ? 'off' : digestsOf(replica)}`).join(' | ')

/** Leaves out what is not needed for the failure: halves, quarters, single actions. */
export async function shorten(scenario: Scenario, runsMax = 200): Promise<Scenario> {
  let best = scenario
  let runs = 0
  for (let size = Math.ceil(best.actions.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.actions.length && runs < runsMax;) {
      const shorter = { ...best, actions: [...best.actions.slice(0, at), ...best.actions.slice(at + size)] }
      runs += 1
      if ((await runScenario(shorter)).failure === undefined) at += size
      else best = shorter
    }
  }
  return best
}
