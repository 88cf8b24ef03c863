import { describe, expect, it } from 'vitest'
import { FRAME_COLUMNS, FRAME_LINES, formatTime, renderFrame, wrapWords, type Scene } from '../../../demo/frame.ts'
import type { RobotView } from '../../../demo/observation.ts'
import { openScreen } from '../../../demo/screen.ts'

const names = ['wren', 'otter', 'newt']
const plain = (_colour: string, text: string): string => text

const viewOf = (name: string, digest: string, agoMs: number): RobotView => ({
  name,
  pid: 1,
  heardAgoMsByName: new Map(names.filter(other => other !== name).map(other => [other, agoMs])),
  heldByCollection: new Map([['log', { count: 9999, digest }]]),
  contested: '"locked"',
  peerAddresses: [],
})

const sceneOf = (robots: readonly RobotView[]): Scene => ({
  elapsedMs: 61_000,
  chapters: ['meet', 'write', 'radio off', 'kill -9', 'radio on', 'check'],
  chapter: 2,
  words: ['w'.repeat(78), 'w'.repeat(78)],
  links: [
    { between: ['wren', 'otter'], isUp: true },
    { between: ['wren', 'newt'], isUp: false },
    { between: ['otter', 'newt'], isUp: false },
  ],
  traffic: { gossipBytes: 999_999, syncBytes: 999_999, lostBytes: 0 },
  robots,
  collections: ['log', 'map', 'notes'],
  events: Array.from({ length: 40 }, (_, i) => `event ${i}`),
})

describe('a picture', () => {
  it('has always the same number of lines, and fits into its width', () => {
    for (const robots of [names.map(name => viewOf(name, 'abcdef12', 25_000)), []]) {
      const lines = renderFrame(sceneOf(robots), plain)
      expect(Math.max(...lines.map(line => line.length))).toBeLessThanOrEqual(FRAME_COLUMNS)
      expect(lines.length - robots.length).toBe(FRAME_LINES - 3)
    }
  })

  it('says "same" only when every robot runs and holds the same', () => {
    const same = names.map(name => viewOf(name, 'abcdef12', 0))
    const verdict = (robots: readonly RobotView[]): string =>
      renderFrame(sceneOf(robots), plain).find(line => line.startsWith('  same?')) ?? ''
    expect(verdict(same)).toMatch(/same\? +✓ yes +- +- +✓ yes$/)
    expect(verdict(same.with(1, viewOf('otter', '00000000', 0)))).toMatch(/✗ no +- +- +✓ yes$/)
    expect(
      verdict(same.with(2, { ...viewOf('newt', 'abcdef12', 0), pid: undefined, heldByCollection: new Map(), contested: undefined })),
    ).toMatch(/✗ no +- +- +✗ no$/)
  })

  it('tells whom a robot hears now, whom no longer, and whom it has never heard', () => {
    const [wren, otter, newt] = names.map(name => viewOf(name, 'abcdef12', 200))
    const deaf = { ...viewOf('otter', 'abcdef12', 12_300), heardAgoMsByName: new Map([['wren', 12_300]]) }
    const text = renderFrame(sceneOf([wren, deaf, newt].filter(view => view !== undefined)), plain).join('\n')
    expect(otter).toBeDefined()
    expect(text).toMatch(/wren +● otter +● newt/)
    expect(text).toMatch(/otter +○ wren 12 s +· newt/)
    expect(text).toContain('event 39')
    expect(text).not.toContain('event 33')
  })

  it('units for people', () => {
    expect([0, 9_999, 61_000].map(formatTime)).toEqual(['0:00', '0:09', '1:01'])
    expect(
      wrapWords('word '.repeat(40).trim())
        .split('\n')
        .map(line => line.length),
    ).toEqual([74, 74, 49])
  })
})

describe('a screen', () => {
  const terminal = (columns: number, rows: number, written: string[]): NodeJS.WriteStream =>
    ({ isTTY: true, columns, rows, write: (text: string) => written.push(text) > 0 }) as unknown as NodeJS.WriteStream

  it('a picture covers the one before, and the cursor comes back', () => {
    const written: string[] = []
    const screen = openScreen(terminal(80, 24, written))
    const scene = sceneOf(names.map(name => viewOf(name, 'abcdef12', 0)))
    expect(screen.isLive).toBe(true)
    screen.show(scene)
    screen.show(scene)
    screen.leave()
    screen.leave()
    expect(written[0]?.startsWith('\u001b[?25l\r')).toBe(true)
    expect(written[1]?.startsWith(`\u001b[${FRAME_LINES}A\r`)).toBe(true)
    expect(written.slice(2)).toEqual(['\u001b[?25h'])
  })

  it('what is too small, or no terminal, gets plain text', () => {
    expect(openScreen(terminal(79, 24, [])).isLive).toBe(false)
    expect(openScreen(terminal(80, FRAME_LINES, [])).isLive).toBe(false)
    expect(openScreen({ isTTY: false, columns: 200, rows: 80 } as unknown as NodeJS.WriteStream).isLive).toBe(false)
  })
})
