/** What happens, chapter by chapter, and what is said of it. */
import { setTimeout as delay } from 'node:timers/promises'
import { formatBytes } from '../bin/words.ts'
import { HEARD_MS, wrapWords, type Scene } from './frame.ts'
import { createLedger } from './ledger.ts'
import { isSame, observe, CONTESTED, type RobotView } from './observation.ts'
import type { Radio } from './radio.ts'
import type { Robot } from './robot.ts'
import type { Screen } from './screen.ts'

const CHAPTERS = ['meet', 'write', 'radio off', 'kill -9', 'radio on', 'check'] as const
/** `log` is each robot's own; `map` takes the later word where two write one key; `notes` keeps both. */
const COLLECTIONS = ['log', 'map', 'notes'] as const
const LOG_LINES = 120
/** Each step of the story must come about in this time. */
const STEP_MS = 25_000
const LOOK_INTERVAL_MS = 150
/** For the eyes: how long a chapter's picture stays. Half of it where nobody watches. */
const PAUSE_MS = 2500

export interface Ending {
  /** What was seen, in two sentences; or what went wrong. */
  readonly text: string
  readonly isGood: boolean
}

export interface Stage {
  readonly robots: readonly [Robot, Robot, Robot]
  readonly radio: Radio
  readonly screen: Screen
  /** Aborts when the demo is to end early. */
  readonly signal: AbortSignal
}

export interface Story {
  play(): Promise<Ending>
}

export function createStory({ robots, radio, screen, signal }: Stage): Story {
  const [wren, otter, newt] = robots
  const startedMs = performance.now()
  const ledger = createLedger(new Set(['notes']))
  const events: string[] = []
  let chapter = -1
  let words: readonly string[] = []
  let views: readonly RobotView[] = robots.map(({ name }) => emptyView(name))

  const scene = (): Scene => ({
    elapsedMs: performance.now() - startedMs,
    chapters: CHAPTERS,
    chapter,
    words,
    links: radio.links(),
    traffic: radio.traffic(),
    robots: views,
    collections: COLLECTIONS,
    events,
  })

  const look = async (): Promise<void> => {
    views = await Promise.all(robots.map(observe))
    screen.show(scene())
  }

  const say = (text: string): void => {
    const { elapsedMs } = scene()
    events.push(`${(elapsedMs / 1000).toFixed(1).padStart(5)} s  ${text}`)
    screen.event(elapsedMs, text)
  }

  /** Looks again and again until `condition` holds. */
  const until = async (what: string, condition: () => boolean): Promise<void> => {
    const deadlineMs = performance.now() + STEP_MS
    for (;;) {
      await look()
      if (condition()) return
      if (performance.now() > deadlineMs) throw new Error(`${what}: not within ${STEP_MS / 1000} s`)
      await delay(LOOK_INTERVAL_MS, undefined, { signal })
    }
  }

  const pause = async (): Promise<void> => {
    const untilMs = performance.now() + (screen.isLive ? PAUSE_MS : PAUSE_MS / 2)
    while (performance.now() < untilMs) {
      await look()
      await delay(LOOK_INTERVAL_MS, undefined, { signal })
    }
  }

  /** Shows what goes on while something is under way. */
  const watch = async (work: Promise<unknown>): Promise<void> => {
    const lookOnce = async (): Promise<false> => {
      await look()
      return delay(LOOK_INTERVAL_MS, false as const, { signal })
    }
    while (!(await Promise.race([work.then(() => true), lookOnce()])));
  }

  const begin = (...text: readonly string[]): void => {
    chapter += 1
    words = text
  }
  const end = async (): Promise<void> => {
    await look()
    screen.chapterEnd(scene())
    await pause()
  }

  const logLines = (robot: Robot, from: number): Record<string, unknown> =>
    Object.fromEntries(
      Array.from({ length: LOG_LINES }, (_, i) => [
        `${robot.name}/${String(from + i).padStart(6, '0')}`,
        { x: (from + i) / 8, battery: 100 - (i % 40) },
      ]),
    )

  const meet = async (): Promise<void> => {
    begin('Three agents start, each with a data folder of its own. All they know of one', 'another is an address in the air; they meet.')
    await watch(Promise.all(robots.map(robot => robot.start())))
    for (const { name, running } of robots) say(`${name} is up: pid ${running?.pid}, ${running?.url}`)
    await until('each robot sees the two others', () => views.every(({ heardAgoMsByName }) => heardAgoMsByName.size === 2))
    const strays = views.flatMap(({ peerAddresses }) => peerAddresses).filter(address => !radio.owns(address))
    if (strays.length > 0) throw new Error(`a robot found a way past the radio: ${strays.join(', ')}`)
    say('each sees the two others')
    await end()
  }

  const write = async (): Promise<void> => {
    begin('Each writes its own log, and they share a map. What differs is exchanged by', 'itself; the digests turn equal.')
    await wren.running?.client.createCollection({ body: { name: 'notes', conflict: 'siblings' } })
    for (const robot of robots) await ledger.write(robot, 'log', logLines(robot, 0))
    await ledger.write(wren, 'map', { 'dock/1': 'free', [CONTESTED.key]: 'shut' })
    await ledger.write(otter, 'notes', { 'dock/1': 'the ramp is steep' })
    say(`${ledger.count()} records written and acknowledged`)
    await until('all hold the same', () => isSame(views, COLLECTIONS))
    say('all three hold the same')
    await end()
  }

  const part = async (): Promise<void> => {
    begin(
      'The radio goes. Each robot is alone, and goes on writing - two of them to the',
      'same keys. The digests drift apart, and nobody waits for anybody.',
    )
    radio.setAll(false)
    say('the radio is cut, every link')
    for (const robot of robots) await ledger.write(robot, 'log', logLines(robot, LOG_LINES))
    await ledger.write(wren, CONTESTED.name, { [CONTESTED.key]: 'open' })
    say(`wren  writes ${CONTESTED.name} ${CONTESTED.key}: "open"`)
    await ledger.write(otter, CONTESTED.name, { [CONTESTED.key]: 'locked' })
    say(`otter writes ${CONTESTED.name} ${CONTESTED.key}: "locked"`)
    await ledger.write(wren, 'notes', { 'door/7': 'wren: it squeaks' })
    await ledger.write(otter, 'notes', { 'door/7': 'otter: it is stuck' })
    say('both write notes door/7')
    const differs = (collection: string): boolean => new Set(views.map(view => view.heldByCollection.get(collection)?.digest)).size > 1
    await until('the digests differ', () => COLLECTIONS.every(differs))
    const isDeaf = ({ heardAgoMsByName }: RobotView): boolean => [...heardAgoMsByName.values()].every(agoMs => agoMs > HEARD_MS)
    await until('nobody hears anybody', () => views.every(isDeaf))
    say('nobody hears anybody, and the digests differ')
    await end()
  }

  const kill = async (): Promise<void> => {
    begin('newt writes its last words and is killed with -9 the moment they are', 'acknowledged. Nobody else has heard them.')
    await ledger.write(newt, 'notes', { 'newt/last-words': 'tell them I was here' })
    await newt.kill()
    say('newt acknowledged its last words, and was killed with -9')
    await ledger.write(wren, 'log', logLines(wren, 2 * LOG_LINES))
    say('wren and otter go on')
    await end()
    await watch(newt.start())
    words = ['newt starts again in its old folder, still alone. What it had acknowledged is', 'there, its last words too.']
    say(`newt is back: pid ${newt.running?.pid}, and still alone`)
    await until('newt answers', () => views.every(({ pid }) => pid !== undefined))
    await end()
  }

  /** Returns how long agreeing took, and how many bytes it cost. */
  const reunite = async (): Promise<{ tookMs: number; bytes: number }> => {
    begin('The radio is back. They hear one another, see that their digests differ, and', 'exchange what the other lacks.')
    const bytesBefore = radio.traffic().syncBytes
    radio.setAll(true)
    const onMs = performance.now()
    say(`the radio is back; ${formatBytes(radio.traffic().lostBytes)} of gossip were lost meanwhile`)
    await until('all hold the same again', () => isSame(views, COLLECTIONS))
    const tookMs = performance.now() - onMs
    const bytes = radio.traffic().syncBytes - bytesBefore
    say(`the same digests everywhere, ${(tookMs / 1000).toFixed(1)} s later, for ${formatBytes(bytes)}`)
    await end()
    return { tookMs, bytes }
  }

  const check = async (): Promise<string[]> => {
    begin('Every record that was acknowledged is read back from every robot.', '')
    const faults = await ledger.check(robots, COLLECTIONS)
    if (faults.length === 0) say(`${ledger.count()} writes were acknowledged; every robot has them all`)
    for (const fault of faults.slice(0, 5)) say(fault)
    chapter += 1
    words = faults.length === 0 ? ['What was acknowledged anywhere is everywhere.', ''] : ['Something is missing.', '']
    await look()
    screen.chapterEnd(scene())
    return faults
  }

  return {
    async play() {
      await meet()
      await write()
      await part()
      await kill()
      const { tookMs, bytes } = await reunite()
      const faults = await check()
      if (faults.length > 0) return { isGood: false, text: faults.join('\n') }
      const winner = views[0]?.contested ?? ''
      return {
        isGood: true,
        text: wrapWords(
          `Three robots that could not hear one another went on writing, two of them to the same keys, and one was killed with -9 in the middle. ` +
            `${(tookMs / 1000).toFixed(1)} s after the radio came back, and for ${formatBytes(bytes)}, all three held the same ${ledger.count()} acknowledged writes, ` +
            `newt's last words among them: map ${CONTESTED.key} is ${winner} everywhere, the later word, and notes door/7 has kept both.`,
        ),
      }
    },
  }
}

const emptyView = (name: string): RobotView => ({
  name,
  pid: undefined,
  heardAgoMsByName: new Map(),
  heldByCollection: new Map(),
  contested: undefined,
  peerAddresses: [],
})
