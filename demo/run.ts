/**
 * `npm run demo [-- --keep]`: three robots on this machine meet, are parted, write, lose one to kill -9, meet again and agree.
 * Everything it makes - processes, ports, a folder - is gone when it ends, however it ends.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { paint, print, printError } from '../bin/terminal.ts'
import { formatTime } from './frame.ts'
import { openRadio } from './radio.ts'
import { createRobot, type Robot } from './robot.ts'
import { openScreen } from './screen.ts'
import { createStory } from './story.ts'

const NAMES = ['wren', 'otter', 'newt'] as const
/** The story is over by then, or has failed. */
const STORY_MS = 55_000
const USAGE = `npm run demo [-- --keep]

Three robots on this machine meet, are parted, write, lose one to kill -9, meet again and agree. Takes half a minute.
  --keep   leave them running afterwards, to play with; Ctrl-C stops them`

const isKept = process.argv.includes('--keep')
const unknown = process.argv.slice(2).find(word => word !== '--keep')
if (unknown !== undefined) {
  print(USAGE)
  process.exit(unknown === '--help' ? 0 : 2)
}

const folder = mkdtempSync(join(tmpdir(), 'hs-demo-'))
const swarmName = `demo-${randomBytes(4).toString('hex')}`
const radio = await openRadio(NAMES)
const robotOf = (name: string): Robot =>
  createRobot({ name, folder: join(folder, name), swarmName, peers: radio.peersOf(name), onPort: port => radio.attach(name, port) })
const robots = [robotOf(NAMES[0]), robotOf(NAMES[1]), robotOf(NAMES[2])] as const
const screen = openScreen(process.stdout)

// Whatever happens to this process, short of kill -9: nothing stays behind.
process.on('exit', () => {
  screen.leave()
  for (const robot of robots) robot.killNow()
  rmSync(folder, { recursive: true, force: true })
})
const told = new AbortController()
for (const kind of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(kind, () => {
    // At the second time at once.
    if (told.signal.aborted) process.exit(128 + constants.signals[kind])
    process.exitCode = 128 + constants.signals[kind]
    told.abort()
  })
}
process.stdout.on('error', () => process.exit(1))

const signal = AbortSignal.any([told.signal, AbortSignal.timeout(STORY_MS)])
const story = createStory({ robots, radio, screen, signal })
try {
  const { text, isGood } = await story.play()
  screen.leave()
  print(isGood ? `\n${text}` : paint('red', text))
  if (!isGood) process.exitCode = 1
  else if (isKept) await playOn()
} catch (error) {
  screen.leave()
  if (!told.signal.aborted) {
    printError(
      `the demo failed: ${signal.aborted ? `it was not over after ${STORY_MS / 1000} s` : error instanceof Error ? error.message : String(error)}`,
    )
    process.exitCode = 1
  }
}
await Promise.all(robots.map(robot => robot.stop()))
await radio.close()
process.stdin.destroy()

/** Until Ctrl-C: the robots are the person's. */
async function playOn(): Promise<void> {
  const urlOf = (robot: Robot): string => robot.running?.url ?? '(it does not run)'
  const [wren, otter, newt] = robots
  print(`
They go on, until you press Ctrl-C. Try this in another terminal:

  curl -X PUT ${urlOf(wren)}/api/collections/map/records/door/9 -H 'content-type: application/json' -d '{"payload": "ajar"}'
  curl ${urlOf(otter)}/api/collections/map/records/door/9
  curl ${urlOf(newt)}/api/collections/notes/records/door/7
  curl ${urlOf(wren)}/api/swarm/peers
  curl ${urlOf(wren)}/api/sync
  HS_URL=${urlOf(otter)} ./bin/hs-agent peers

Or type here, and press Enter: "cut" takes the radio away, "heal" gives it back, "kill newt" and "start newt" do what they say.`)
  const input = createInterface({ input: process.stdin })
  input.on(
    'line',
    line => void obey(line.trim()).catch((error: unknown) => printError(error instanceof Error ? error.message : String(error))),
  )
  await new Promise<void>(resolve => told.signal.addEventListener('abort', () => resolve(), { once: true }))
  input.close()
  process.exitCode = 0
  print('\nStopping them.')
}

async function obey(line: string): Promise<void> {
  const [verb, name] = line.split(/\s+/)
  const robot = robots.find(candidate => candidate.name === name)
  if (verb === 'cut' || verb === 'heal') radio.setAll(verb === 'heal')
  else if (verb === 'kill' && robot !== undefined) await robot.kill()
  else if (verb === 'start' && robot !== undefined && robot.running === undefined) await robot.start()
  else if (verb !== '') return print('cut, heal, kill NAME, start NAME; Ctrl-C ends')
  print(`${formatTime(performance.now())}  ${line}: done`)
}
