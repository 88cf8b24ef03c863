/** One run: a seed becomes a list of actions, the list is carried out on simulated robots, and the checkers look on. */
import { createSeededRandom } from '../seeded-random.ts'
import { json } from '../replica-pair.ts'
import { compareStamps } from '../../sync/hlc.ts'
import type { LocalSettingsChange } from '../../sync/replica.ts'
import type { OpenReplica } from '../../sync/open-replica.ts'
import { SYSTEM_COLLECTION } from '../../sync/settings.ts'
import { horizonStepMs } from '../../sync/retention.ts'
import type { Version } from '../../sync/version.ts'
import { collectionId, type DurableCollection } from './durable-state.ts'
import { createHistory } from './history.ts'
import { dotName, isSameDot } from './merge-rule.ts'
import { createNetwork } from './network.ts'
import { createRobot, WALL_START_MS, type Mutation, type Robot } from './robot.ts'
import { createWatch } from './watch.ts'
import { createWorld } from './world.ts'

export type Action = { readonly atMs: number } & (
  | { readonly kind: 'write'; readonly robot: number; readonly collection: string; readonly key: string; readonly value: number }
  | { readonly kind: 'delete'; readonly robot: number; readonly collection: string; readonly key: string }
  | { readonly kind: 'crash'; readonly robot: number; readonly downMs: number }
  /** A robot comes back with an empty disk. */
  | { readonly kind: 'lose-disk'; readonly robot: number; readonly downMs: number }
  | { readonly kind: 'cut'; readonly from: number; readonly to: number }
  | { readonly kind: 'heal' }
  | { readonly kind: 'clock'; readonly robot: number; readonly offsetMs: number; readonly driftRate: number; readonly isTrusted?: boolean }
  /** A robot deletes a collection; the next write to it makes the next generation. */
  | { readonly kind: 'drop'; readonly robot: number; readonly collection: string }
  /** A record vanishes behind the store's back, on a robot whose peers hold it. */
  | { readonly kind: 'damage'; readonly robot: number; readonly collection: string }
  /** A robot looks for stable tombstones (R7) in the middle of whatever it does, and not only at the end of a session. */
  | { readonly kind: 'collect'; readonly robot: number; readonly collection: string }
  /** At one robot an operator evicts the store that another one has. */
  | { readonly kind: 'evict'; readonly robot: number; readonly evicted: number }
)

export interface Scenario {
  readonly seed: number
  readonly robots: number
  readonly loss: number
  readonly duplicates: number
  readonly delayMaxMs: number
  readonly linkBytesPerSecond: number
  /** `mixed`: one robot sets `siblings`, the others begin with `lww` and learn of it. */
  readonly policy: 'lww' | 'siblings' | 'mixed'
  readonly isLyingDisk: boolean
  readonly mutation: Mutation
  /** Links that a robot keeps open behind the first round; 0: sessions of one round. */
  readonly liveLinksMax: number
  /** Versions per frame: small, so that sessions are cut between frames. */
  readonly frameItemsMax: number
  readonly actions: readonly Action[]
  /** What each robot keeps to itself of every collection. */
  readonly local?: readonly LocalSettingsChange[]
}

export interface Outcome {
  readonly failure: string | undefined
  readonly traceDigest: string
  readonly trace: readonly string[]
  readonly events: number
  readonly acknowledged: number
  /** Tombstones that were collected somewhere. */
  readonly collected: number
  /** Virtual time from the last fault's end until all agreed and no session was under way. */
  readonly agreedAfterMs: number
}

const ACTIVE_MS = 20_000
/** After the last fault has healed, all agree within this virtual time. */
export const AGREE_MS = 60_000
/** Longer than anybody waits before it dials again. */
const REST_MS = 5_000
const REST_WINDOWS_MAX = 4
/** No repair takes longer, over the slowest link. */
const REPAIR_MS = 5_000
const COLLECTIONS = ['imu', 'map'] as const
const DAY_MS = 24 * 3600 * 1000

export function makeScenario(seed: number, settings: Partial<Scenario> = {}): Scenario {
  const random = createSeededRandom(seed ^ 0x5eed)
  const below = (max: number): number => Math.floor(random.fraction() * max)
  const pick = <T>(items: readonly T[]): T => items[below(items.length)]!
  const robots = 2 + below(4)
  const policy = pick(['lww', 'lww', 'siblings', 'mixed'] as const)
  /**
   * Not in one run with damage: a new disk takes over the vectors of a damaged robot and with them its hole, and an evicted robot that comes
   * back takes what a damaged one lacks for deleted and collected. Nothing can tell the two apart.
   */
  const losesDisks = below(5) === 0
  const evicts = below(5) === 0
  /** The next generation begins with `lww` wherever it is made. */
  const dropsCollections = policy === 'lww' && below(3) === 0
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
    } else if (dropsCollections && dice < 95) actions.push({ atMs, kind: 'drop', robot, collection })
    else if (losesDisks && dice < 98) actions.push({ atMs, kind: 'lose-disk', robot, downMs: 100 + below(4_000) })
    else if (evicts && dice < 98) actions.push({ atMs, kind: 'evict', robot, evicted: (robot + 1 + below(robots - 1)) % robots })
    else if (dice < 96 && !losesDisks && !evicts) actions.push({ atMs, kind: 'damage', robot, collection })
    else actions.push({ atMs, kind: 'collect', robot, collection })
  }
  // As an agent would that looks for stable tombstones all the time: in the middle of whatever else goes on.
  if (below(8) === 0) {
    for (let atMs = below(500); atMs < ACTIVE_MS; atMs += 100 + below(500))
      actions.push({ atMs, kind: 'collect', robot: below(robots), collection: pick(COLLECTIONS) })
  }
  actions.sort((a, b) => a.atMs - b.atMs)
  return {
    seed,
    robots,
    loss: pick([0, 0, 0.05, 0.2]),
    duplicates: pick([0, 0.05]),
    delayMaxMs: pick([2, 20, 200]),
    linkBytesPerSecond: pick([1e7, 1e5, 2e4, 2e3]),
    policy,
    isLyingDisk: false,
    mutation: 'none',
    frameItemsMax: pick([1, 2, 5, 1_000]),
    liveLinksMax: pick([0, 1, 2, 8, 8]),
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
  /** Settings that a robot has before anybody writes to it: who learns of a policy later has let go of siblings until then. */
  const prepare = async (index: number, replica: OpenReplica): Promise<void> => {
    const local = scenario.local?.[index]
    for (const name of local === undefined ? [] : COLLECTIONS) {
      if (replica.collection(name) === undefined)
        await replica.createCollection(name, scenario.policy === 'siblings' ? { conflict: 'siblings' } : {})
      await replica.setLocalSettings(name, local ?? {})
    }
    if (scenario.policy === 'lww' || (scenario.policy === 'mixed' && index !== 0)) return
    for (const name of COLLECTIONS)
      if (replica.collection(name) === undefined) await replica.createCollection(name, { conflict: 'siblings' })
  }
  const damagedMsByName = new Map<string, number>()
  /** When the robots were last seen to go by different policies. */
  const dividedMsByName = new Map<string, number>()
  const robots = Array.from({ length: scenario.robots }, (_, i) =>
    createRobot(world, network, i, {
      liveLinksMax: scenario.liveLinksMax,
      frames: { itemsMax: scenario.frameItemsMax, bytesMax: 256 * 1024 },
      mutation: scenario.mutation,
      prepare: replica => prepare(i, replica),
      // Repair mends whatever is done to robots here: a word of more is a false alarm (R4), but for damage that is done while it is under way, and
      // for two of which one learns of another policy in the middle of it: what both merge is not the same then.
      onDiverged(name) {
        const sinceMs = Math.max(...[damagedMsByName, dividedMsByName].map(times => times.get(name) ?? Number.NEGATIVE_INFINITY))
        if (world.nowMs() - sinceMs >= REPAIR_MS) fail(`robot ${i} takes ${name} for damaged beyond repair`)
      },
    }),
  )
  const isSystem = (id: string): boolean => id.startsWith(`${SYSTEM_COLLECTION}#`)
  const history = createHistory(id => (scenario.policy === 'siblings' || isSystem(id) ? 'siblings' : 'lww'))
  const watch = await createWatch(robots, history)
  let failure: string | undefined
  const fail = (what: string | undefined): void => {
    if (what === undefined || failure !== undefined) return
    failure = what
    world.note(`FAILED ${what}`)
  }
  const done = (agreedAfterMs: number): Outcome => {
    const { lines, digest } = world.trace()
    const acknowledged = history.acknowledged.length
    return {
      failure,
      traceDigest: digest,
      trace: lines,
      events: world.events,
      acknowledged,
      collected: history.collectedCount(),
      agreedAfterMs,
    }
  }

  for (const robot of robots) {
    robot.disk.isLying = scenario.isLyingDisk
    robot.start()
  }
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
        history.forgetPendingDamage(robot.index)
        world.after(action.downMs, () => robot.start())
        return
      }
      case 'lose-disk': {
        const robot = robots[action.robot]!
        watch.forgive(robot.index)
        robot.loseDisk()
        world.after(action.downMs, () => robot.start())
        return
      }
      case 'cut':
        return network.cut(robots[action.from]!.host, robots[action.to]!.host)
      case 'heal':
        return network.heal()
      case 'clock':
        Object.assign(robots[action.robot]!.clock, {
          offsetMs: action.offsetMs,
          driftRate: action.driftRate,
          isTrusted: action.isTrusted,
        })
        return
      case 'drop':
        await robots[action.robot]!.replica?.deleteCollection(action.collection)
        return
      case 'damage':
        return damage(robots[action.robot]!, action.collection)
      case 'collect':
        return collect(robots[action.robot]!, action.collection)
      case 'evict': {
        // Operators read store ids from what the robots list, also of those that are off.
        const { storeId } = watch.state(action.evicted)
        if (storeId !== undefined) await robots[action.robot]!.replica?.evict(storeId)
        return
      }
    }
  }

  async function write(robot: Robot, action: Extract<Action, { kind: 'write' | 'delete' }>): Promise<void> {
    const { replica } = robot
    if (replica === undefined) return
    const { collection, key } = action
    const generationBefore = replica.collection(collection)?.generation
    const payload =
      scenario.local === undefined ? action.kind === 'write' && action.value : { priority: action.kind === 'write' ? action.value % 3 : 0 }
    const content = action.kind === 'write' ? { payload: json(payload) } : undefined
    const [result] = await replica.write([{ collection, key, content }])
    if (result === undefined || !result.ok || result.version === undefined) return
    const { origin, counter, timeMs, tick } = result.version
    world.note(`robot ${robot.index} acknowledged ${dotName(result.version)}`)
    const stamp = { ms: timeMs, tick }
    const versionIn = (generation: number): Version | undefined =>
      history
        .key(collectionId(collection, generation), key)
        .versions.find(version => isSameDot(version, { origin, counter }) && compareStamps(version.stamp, stamp) === 0)
    // Deleted and made again meanwhile: what nobody ever saw went with the former generation.
    const generationAfter = replica.collection(collection)?.generation ?? 0
    const isAfter = generationBefore === undefined || versionIn(generationAfter) !== undefined
    const generation = isAfter ? generationAfter : generationBefore
    history.acknowledge({
      robot: robot.index,
      disk: robot.disksLost,
      collection,
      generation,
      key,
      write: versionIn(generation) ?? { origin, counter, stamp },
      isDelete: content === undefined,
      isForgiven: false,
    })
  }

  /** The collection as every robot's disk has it; undefined unless all are up and have the same generation. */
  function everywhere(name: string): DurableCollection[] | undefined {
    const held = robots.map(({ index, replica }) => (replica === undefined ? undefined : watch.state(index).collections.get(name)))
    const isSame = held.every(collection => collection !== undefined && collection.generation === held[0]?.generation)
    return isSame ? held.filter(collection => collection !== undefined) : undefined
  }

  /** Only what every other robot holds as well: damage to the last copy is not repaired by anybody. */
  async function damage(robot: Robot, name: string): Promise<void> {
    const held = everywhere(name)
    const mine = held?.[robot.index]
    if (held === undefined || mine === undefined) return
    const victim = [...mine.entries].find(([key, entry]) =>
      entry.every(version => held.every(({ entries }) => entries.get(key)?.some(other => isSameDot(other, version)) === true)),
    )
    if (victim === undefined) return
    const [key, entry] = victim
    world.note(`robot ${robot.index} loses ${name}/${key}`)
    damagedMsByName.set(name, world.nowMs())
    if (scenario.mutation !== 'silent-damage') history.damage(robot.index, mine.id, key, entry)
    const items = entry.map(({ origin, counter }) => ({ key, dot: { origin, counter } }))
    await robot.replica?.dropItems(name, mine.generation, items)
  }

  async function collect({ index, replica }: Robot, name: string): Promise<void> {
    const generation = replica?.collection(name)?.generation
    const removed = generation === undefined ? 0 : await replica?.collectStable(name, generation)
    if (removed !== undefined && removed > 0) world.note(`robot ${index} collects ${removed} keys of ${name}`)
  }

  /** Nobody fetches again what it gave up: when all have told all, which the last news may take a moment for, no version is sent (R8). */
  async function rest(): Promise<void> {
    const sent = (): number => robots.reduce((sum, { versionsSent }) => sum + versionsSent, 0)
    let versions = 0
    for (let window = 0; window < REST_WINDOWS_MAX; window++) {
      const before = sent()
      await world.run(world.nowMs() + REST_MS, look)
      versions = sent() - before
      if (versions === 0) return
    }
    fail(`${versions} versions were sent at rest`)
  }

  /** Where nothing expires there is rest in the end. */
  const isExpiring = scenario.local?.some(({ retention }) => retention?.ttlMs !== undefined) === true
  const isAtRest = scenario.local !== undefined && !isExpiring

  const isOver = (found: string | undefined): boolean => {
    fail(found)
    return failure !== undefined
  }
  const notePolicies = (): void => {
    for (const name of COLLECTIONS) {
      const policies = new Set(robots.flatMap(({ replica }) => (replica === undefined ? [] : [replica.keepsSiblings(name)])))
      if (policies.size > 1) dividedMsByName.set(name, world.nowMs())
    }
  }
  const look = (): boolean | Promise<boolean> => {
    if (scenario.policy === 'mixed') notePolicies()
    const found = watch.look()
    return found instanceof Promise ? found.then(isOver) : isOver(found)
  }

  await world.run(ACTIVE_MS, look)
  if (failure !== undefined) return done(0)

  // The last fault heals: everybody is up, everything gets through.
  network.heal()
  network.faults = { ...network.faults, loss: 0, duplicates: 0 }
  for (const robot of robots) {
    robot.disk.isLying = false
    if (scenario.local !== undefined) Object.assign(robot.clock, { offsetMs: 0, driftRate: 0, isTrusted: undefined })
    if (robot.replica === undefined) robot.start()
  }
  world.note('everything heals')
  const healedMs = world.nowMs()
  const ttlMs = Math.min(...(scenario.local ?? []).map(({ retention }) => retention?.ttlMs ?? Number.POSITIVE_INFINITY))
  const lookAtEnd = (): string | undefined => watch.lookAtEnd(isExpiring ? WALL_START_MS + world.nowMs() - ttlMs + horizonStepMs(ttlMs) : 0)
  // Who keeps everything among robots that do not is compared with nobody: it is given time to get what the others have, but, where things
  // expire and sessions never end, not so much that this expires.
  const isComing = (): boolean => scenario.local !== undefined && world.nowMs() - healedMs < ttlMs / 2 && lookAtEnd() !== undefined
  // In the middle of a session all may agree for a moment: its mark is still to come, and with it tombstones may go.
  const unrest = (): string | undefined =>
    watch.disagreement() ?? (isComing() || (!isExpiring && robots.some(({ isBusy }) => isBusy)) ? 'sessions go on' : undefined)
  for (let isDone = false; !isDone && world.nowMs() - healedMs <= AGREE_MS;) {
    await world.run(world.nowMs() + 500, look)
    isDone = failure !== undefined || unrest() === undefined
  }
  const disagreement = unrest()
  if (disagreement !== undefined) fail(`no agreement within ${AGREE_MS} ms: ${disagreement}`)
  fail(lookAtEnd())
  if (failure === undefined && isAtRest) await rest()
  return done(world.nowMs() - healedMs)
}

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
