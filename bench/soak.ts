/**
 * `npm run bench:soak [-- minutes]`: does anything grow? A robot takes 2,000 writes a second and some deletes, with room for a tenth of them; a second robot
 * like it and an archive that keeps everything sync with it over links that are cut again and again. Memory, file descriptors and disk of all
 * three are looked at all the time; at the end the archive must hold what was acknowledged. The table of docs/benchmarks.md is written by it.
 */
import { readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { print, printError } from '../bin/terminal.ts'
import { atStop, findFreePort, startAgentProcess, stopEverything, until, type AgentProcess } from '../test/agent-process.ts'
import { createSeededRandom } from '../test/seeded-random.ts'
import { createAgentClient } from './agent-client.ts'
import { startCountingRelay } from './counting-relay.ts'
import { detourText } from './link-detour.ts'
import { residentOf } from './process-cost.ts'
import { writeTable } from './table-place.ts'

const WRITES_PER_SECOND = 2_000
const BATCH_MS = 100
const DELETES_PER_BATCH = 2
const KEYS = 300_000
const RETAINED = 30_000
const CUT_EVERY_MS = 12_000
const CUT_FOR_MS = 4_000
const SAMPLE_MS = 5_000
const AGREE_DEADLINE_MS = 600_000
const SEED = 1

const NAMES = ['robot', 'second robot', 'archive'] as const
type Name = (typeof NAMES)[number]

interface Sample {
  readonly atMs: number
  readonly anonymousMb: number
  readonly descriptors: number
  readonly diskMb: number
}

const pathOf = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))

async function bytesUnder(folder: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    // Tables come and go while it is looked at.
    if (entry.isFile())
      bytes += await stat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      )
  }
  return bytes
}

async function sampleOf({ pid, dataDir }: AgentProcess, startMs: number): Promise<Sample> {
  const [{ anonymous }, descriptors, bytes] = await Promise.all([residentOf(pid), readdir(`/proc/${pid}/fd`), bytesUnder(dataDir)])
  return { atMs: performance.now() - startMs, anonymousMb: anonymous, descriptors: descriptors.length, diskMb: bytes / 1e6 }
}

async function soak(minutes: number): Promise<void> {
  const ports = await Promise.all(NAMES.map(() => findFreePort()))
  const relays = await Promise.all(ports.map(startCountingRelay))
  for (const relay of relays) atStop(() => relay.close())
  const detour = detourText(new Map(ports.map((port, i) => [port, relays[i]!.port])))
  const agents = new Map<Name, AgentProcess>()
  for (const [i, name] of NAMES.entries()) {
    const peers = ports.filter((_, k) => k !== i).map(port => `127.0.0.1:${port}`)
    const agent = await startAgentProcess({
      env: {
        HS_LOG_LEVEL: 'warn',
        HS_GOSSIP_PORT: String(ports[i]),
        HS_GOSSIP_HOST: '127.0.0.1',
        HS_GOSSIP_MULTICAST: 'off',
        HS_GOSSIP_PEERS: peers.join(','),
        LINK_DETOUR: detour,
        NODE_OPTIONS: `--import=${pathOf('link-detour.ts')}`,
      },
    })
    agents.set(name, agent)
  }
  const robot = agents.get('robot')!
  const archive = agents.get('archive')!
  const client = createAgentClient(robot.url)
  atStop(async () => client.close())
  await client.post('/api/collections/log/records', [Buffer.from('{"key":"first","payload":0}\n')])
  for (const name of ['robot', 'second robot'] as const) {
    const agent = agents.get(name)!
    await until('the collection is there', 60_000, async () => {
      const answer = await fetch(`${agent.url}/api/collections/log`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ retention: { max_records: RETAINED } }),
      })
      return answer.ok ? undefined : `PATCH answers ${answer.status}`
    })
  }

  // Writing.

  const random = createSeededRandom(SEED)
  /** What was acknowledged last of each key; undefined: deleted. */
  const expected = new Map<string, number | undefined>()
  const startMs = performance.now()
  const endMs = startMs + minutes * 60_000
  let writes = 0
  let deletes = 0
  let cuts = 0

  async function write(): Promise<void> {
    const perBatch = (WRITES_PER_SECOND * BATCH_MS) / 1_000
    for (let dueMs = startMs; performance.now() < endMs; dueMs += BATCH_MS) {
      await delay(Math.max(0, dueMs - performance.now()))
      const batch = Array.from({ length: perBatch }, () => {
        writes += 1
        return [`k${String(writes % KEYS).padStart(6, '0')}`, writes] as const
      })
      const lines = batch.map(
        ([key, n]) => `{"key":"${key}","payload":{"n":${n},"range":${random.fraction()},"pose":[${n / 7},${n / 13},0.5]}}\n`,
      )
      await client.post('/api/collections/log/records', [Buffer.from(lines.join(''))])
      for (const [key, n] of batch) expected.set(key, n)
      for (let i = 0; i < DELETES_PER_BATCH; i++) {
        const [key] = batch[Math.floor(random.fraction() * batch.length)]!
        await client.send('DELETE', `/api/collections/log/records/${key}`)
        expected.set(key, undefined)
        deletes += 1
      }
    }
  }

  async function flap(): Promise<void> {
    while (performance.now() < endMs) {
      await delay(CUT_EVERY_MS - CUT_FOR_MS)
      for (const relay of relays) relay.cut(true)
      cuts += 1
      await delay(CUT_FOR_MS)
      for (const relay of relays) relay.cut(false)
    }
  }

  const samples = new Map<Name, Sample[]>(NAMES.map(name => [name, []]))
  async function watch(): Promise<void> {
    while (performance.now() < endMs) {
      await delay(SAMPLE_MS)
      for (const name of NAMES) samples.get(name)!.push(await sampleOf(agents.get(name)!, startMs))
      if (samples.get('robot')!.length % 12 === 0) {
        const said = NAMES.map(name => samples.get(name)!.at(-1)!).map(
          ({ anonymousMb, descriptors, diskMb }) => `${Math.round(anonymousMb)} MB, ${descriptors} fds, ${Math.round(diskMb)} MB on disk`,
        )
        printError(`${Math.round((performance.now() - startMs) / 60_000)} min, ${writes} writes: ${said.join(' | ')}`)
      }
    }
  }

  await Promise.all([write(), flap(), watch()])

  // What became of it.

  /** Keys of which the archive does not hold what was acknowledged last. */
  async function countWrong(): Promise<number> {
    const answer = await fetch(`${archive.url}/api/collections/log/records`, { headers: { accept: 'application/x-ndjson' } })
    const held = new Map<string, number>()
    for (const line of (await answer.text()).trimEnd().split('\n')) {
      const { key, payload } = JSON.parse(line) as { key: string; payload: { n: number } }
      held.set(key, payload.n)
    }
    return [...expected].filter(([key, n]) => held.get(key) !== n).length
  }

  let lost = await countWrong()
  for (const deadlineMs = performance.now() + AGREE_DEADLINE_MS; lost > 0 && performance.now() < deadlineMs; lost = await countWrong()) {
    await delay(SAMPLE_MS)
  }

  const numbers = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 })
  const rows = NAMES.flatMap(name => {
    const of = samples.get(name)!
    const quarter = (i: number): Sample[] => of.slice(Math.floor((of.length * i) / 4), Math.floor((of.length * (i + 1)) / 4))
    const row = (what: string, pick: (sample: Sample) => number, unit: string) => {
      const peaks = [0, 1, 2, 3].map(i => Math.max(...quarter(i).map(pick)))
      return { agent: name, what, unit, peaks, growth: peaks[3]! / peaks[1]! }
    }
    return [
      row('memory of its own (RssAnon)', ({ anonymousMb }) => anonymousMb, 'MB'),
      row('file descriptors', ({ descriptors }) => descriptors, ''),
      row('data directory', ({ diskMb }) => diskMb, 'MB'),
    ]
  })
  const summary = { minutes, writes, deletes, cuts, keys: expected.size, lost, retained: RETAINED }
  await writeFile(pathOf('results/soak.json'), `${JSON.stringify({ ...summary, rows, samples: Object.fromEntries(samples) })}\n`)
  const titles = ['agent', 'peak of each quarter', '1', '2', '3', '4', '4 / 2']
  const cells = rows.map(({ agent, what, unit, peaks, growth }) => [
    agent,
    what,
    ...peaks.map(peak => `${numbers.format(peak)} ${unit}`.trimEnd()),
    numbers.format(growth),
  ])
  const count = (n: number): string => n.toLocaleString('en-US')
  const table = [titles, ['---', '---', '--:', '--:', '--:', '--:', '--:'], ...cells].map(row => `| ${row.join(' | ')} |`).join('\n')
  const text = `${minutes} minutes: ${count(writes)} writes and ${count(deletes)} deletes acknowledged, all links cut ${cuts} times; of ${count(expected.size)} keys the archive holds what was acknowledged last of all but ${count(lost)}.\n\n${table}`
  await writeTable('npm run bench:soak', text)
  print(text)
}

// However it ends, nothing is left of it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stopEverything().finally(() => process.exit(130)))
try {
  await soak(Number(process.argv[2] ?? 60))
} finally {
  await stopEverything()
}
