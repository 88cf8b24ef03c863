/**
 * `npm run bench:swarm-hour [-- nodes:seconds:loss ...]`: an hour of the simulated swarm, or another time, at one size after the other. Deterministic:
 * nothing here depends on the machine, so what was found of one size stays in bench/results/swarm-hour.json beside the others, and the table of
 * docs/benchmarks.md is made from all of them.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { print, printError } from '../bin/terminal.ts'
import { CLEAN } from '../test/sim/swarm-network.ts'
import { createSwarmMeter } from './swarm-meter.ts'
import type { StretchFigures } from './swarm-meter.ts'
import { writeTable } from './table-place.ts'

const DEFAULTS = ['10:3600:0', '10:3600:0.1', '100:3600:0', '100:3600:0.1', '1000:3600:0']
const SEED = 1
const JOIN_LIMIT_MS = 120_000

const pathOf = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))
const resultsPath = pathOf('results/swarm-hour.json')

interface Row extends StretchFigures {
  readonly nodes: number
  readonly seconds: number
  readonly loss: number
  /** From the start of all at once until all lists are complete, without loss. */
  readonly joinSeconds: number
}

function measureRow([nodes, seconds, loss]: readonly [number, number, number]): Row {
  const fromMs = performance.now()
  const say = (text: string): void =>
    printError(`N = ${nodes}, loss ${loss}: ${text} (${Math.round((performance.now() - fromMs) / 1_000)} s, ${megabytes()} MB)`)
  const meter = createSwarmMeter({ nodes, seed: SEED })
  for (let index = 0; index < nodes; index++) meter.start(index)
  const joinSeconds = meter.until(meter.isComplete, JOIN_LIMIT_MS)
  say('joined')
  meter.world.network.quality = { ...CLEAN, loss }
  return { nodes, seconds, loss, joinSeconds, ...meter.measure(seconds, say) }
}

const megabytes = (): number => Math.round(process.memoryUsage.rss() / 1e6)

const numbers = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 })

function renderTable(rows: readonly Row[]): string {
  const titles = [
    'N',
    'time',
    'loss',
    'join',
    'B/s/node',
    'with headers',
    'multicast/s',
    'suspicions',
    'false deaths',
    'age p99',
    'age max',
  ]
  const lines = rows.map(row => [
    numbers.format(row.nodes),
    `${numbers.format(row.seconds)} s`,
    `${row.loss * 100} %`,
    `${numbers.format(row.joinSeconds)} s`,
    ...[row.bytes, row.bytesWithHeaders, row.multicast, row.suspicionsRaised, row.falseDeaths].map(value => numbers.format(value)),
    `${numbers.format(row.ageP99)} s`,
    `${numbers.format(row.ageMax)} s`,
  ])
  return [titles, titles.map(() => '--:'), ...lines].map(cells => `| ${cells.join(' | ')} |`).join('\n')
}

async function readRows(): Promise<Row[]> {
  try {
    return (JSON.parse(await readFile(resultsPath, 'utf8')) as { readonly rows: Row[] }).rows
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

async function record(row: Row): Promise<void> {
  const isOther = (one: Row): boolean => one.nodes !== row.nodes || one.loss !== row.loss
  const rows = [...(await readRows()).filter(isOther), row].sort((a, b) => a.loss - b.loss || a.nodes - b.nodes)
  await writeFile(resultsPath, `${JSON.stringify({ seed: SEED, rows }, null, 2)}\n`)
  await writeTable('npm run bench:swarm-hour', renderTable(rows))
}

const given = process.argv.slice(2)
for (const text of given.length > 0 ? given : DEFAULTS) {
  const [nodes, seconds, loss] = text.split(':').map(Number)
  const row = measureRow([nodes ?? 10, seconds ?? 3_600, loss ?? 0])
  await record(row)
  print(renderTable([row]))
}
