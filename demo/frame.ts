/** One picture of the demo as lines of text, 80 columns wide: a pure function of what is known. */
import { formatBytes } from '../bin/words.ts'
import type { Colour } from '../bin/terminal.ts'
import { CONTESTED, isSameIn, type RobotView } from './observation.ts'
import type { Link, Traffic } from './radio.ts'

/** Whoever was heard within this time is heard now: heartbeats come every 0.2 s. */
export const HEARD_MS = 1500
export const EVENTS_SHOWN = 6
export const FRAME_LINES = 15 + EVENTS_SHOWN
export const FRAME_COLUMNS = 80

export interface Scene {
  readonly elapsedMs: number
  readonly chapters: readonly string[]
  /** Index of the chapter that runs; as many as there are when all are over. */
  readonly chapter: number
  /** What is going on, in a line or two. */
  readonly words: readonly string[]
  readonly links: readonly Link[]
  readonly traffic: Traffic
  readonly robots: readonly RobotView[]
  readonly collections: readonly string[]
  readonly events: readonly string[]
}

export type Paint = (colour: Colour, text: string) => string

export const formatTime = (ms: number): string => `${Math.floor(ms / 60_000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, '0')}`

/** Breaks a sentence into lines that are no wider than the picture. */
export function wrapWords(text: string): string {
  let line = ''
  const lines: string[] = []
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > FRAME_COLUMNS - 2) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join('\n')
}

/** Always FRAME_LINES lines, so that one picture covers the one before. */
export function renderFrame(scene: Scene, paint: Paint): string[] {
  const title = 'hs-agent: three robots on this machine'
  const { gossipBytes, syncBytes } = scene.traffic
  const right = `gossip ${formatBytes(gossipBytes)}, sync ${formatBytes(syncBytes)}   ${formatTime(scene.elapsedMs)}`
  const events = scene.events.slice(-EVENTS_SHOWN)
  return [
    `  ${paint('bold', title)}${paint('dim', right.padStart(FRAME_COLUMNS - 3 - title.length))}`,
    '',
    `  ${scene.chapters.map((chapter, i) => renderChapter(chapter, i - scene.chapter, paint)).join('   ')}`,
    '',
    `  ${scene.words[0] ?? ''}`.trimEnd(),
    `  ${scene.words[1] ?? ''}`.trimEnd(),
    '',
    renderRadio(scene, paint),
    '',
    ...renderTable(scene, paint),
    '',
    ...Array.from({ length: EVENTS_SHOWN }, (_, i) => (events[i] === undefined ? '' : paint('dim', `  ${events[i]}`))),
  ]
}

function renderChapter(chapter: string, distance: number, paint: Paint): string {
  if (distance < 0) return paint('green', `✓ ${chapter}`)
  return distance === 0 ? paint('bold', `▸ ${chapter}`) : paint('dim', `· ${chapter}`)
}

function renderRadio({ links }: Scene, paint: Paint): string {
  const shown = links.map(({ between: [a, b], isUp }) => `${a} ${isUp ? paint('green', '─────') : paint('red', '─ ✗ ─')} ${b}`)
  return `  radio   ${shown.join('      ')}`
}

interface Cell {
  readonly text: string
  readonly colour?: Colour
}

function renderTable({ robots, collections }: Scene, paint: Paint): string[] {
  const names = robots.map(({ name }) => name)
  const head: Cell[] = ['', 'hears', '', ...collections, CONTESTED.key].map(text => ({ text, colour: 'bold' }))
  const rows = robots.map(view => renderRobot(view, names, collections, robots))
  const isHeld = (collection: string): boolean => robots.some(({ heldByCollection }) => heldByCollection.has(collection))
  const verdicts = collections.map((collection): Cell => (isHeld(collection) ? verdictOf(isSameIn(robots, collection)) : NOTHING))
  const contested = new Set(robots.map(view => view.contested))
  const verdict = contested.size === 1 && contested.has(undefined) ? NOTHING : verdictOf(contested.size === 1)
  const same: Cell[] = [{ text: 'same?', colour: 'dim' }, { text: '' }, { text: '' }, ...verdicts, verdict]
  const widths = [7, 13, 13, ...collections.map(() => 12), 9]
  return [head, ...rows, same].map(cells =>
    `  ${cells.map(({ text, colour }, i) => (colour === undefined ? text.padEnd(widths[i] ?? 0) : paint(colour, text.padEnd(widths[i] ?? 0)))).join('')}`.trimEnd(),
  )
}

const NOTHING: Cell = { text: '-', colour: 'dim' }

const verdictOf = (isSame: boolean): Cell => (isSame ? { text: '✓ yes', colour: 'green' } : { text: '✗ no', colour: 'yellow' })

function renderRobot(view: RobotView, names: readonly string[], collections: readonly string[], robots: readonly RobotView[]): Cell[] {
  const { name, pid, heardAgoMsByName, heldByCollection, contested } = view
  if (pid === undefined)
    return [
      { text: name, colour: 'bold' },
      { text: '✗ not running', colour: 'red' },
    ]
  const hears = names.filter(other => other !== name).map((other): Cell => renderHearing(other, heardAgoMsByName.get(other)))
  const holds = collections.map((collection): Cell => {
    const held = heldByCollection.get(collection)
    if (held === undefined) return NOTHING
    const text = `${String(held.count).padStart(4)} ${held.digest.slice(0, 6)}`
    return { text, colour: isSameIn(robots, collection) ? 'green' : 'yellow' }
  })
  return [{ text: name, colour: 'bold' }, ...hears, ...holds, contested === undefined ? NOTHING : { text: contested }]
}

function renderHearing(other: string, agoMs: number | undefined): Cell {
  if (agoMs === undefined) return { text: `· ${other}`, colour: 'dim' }
  if (agoMs <= HEARD_MS) return { text: `● ${other}`, colour: 'green' }
  return { text: `○ ${other} ${Math.floor(agoMs / 1000)} s`, colour: 'yellow' }
}
