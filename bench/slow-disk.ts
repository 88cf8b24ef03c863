/**
 * What is group commit worth where a sync takes long, as on cards? `durable-writes` on a disk that syncs in a tenth of a millisecond compares processor
 * time. Here each sync takes 5 or 20 ms longer: strace holds the system call up, on both sides alike.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { obtain } from '../test/host/packages.ts'
import { NotRunError, type Bench, type Measure } from './bench.ts'

const DELAYS_MS = [5, 20] as const
const PROGRAM = fileURLToPath(new URL('slow-disk-process.ts', import.meta.url))
/** Of the raw database's synced groups in a second. */
const RATIO_MIN = 0.7

interface Load {
  readonly clients: number
  readonly raw: readonly number[]
  readonly replica: readonly number[]
}

async function measure(delayMs: number, rounds: number): Promise<Load[]> {
  const slow = [
    '-f',
    '--seccomp-bpf',
    '-o',
    '/dev/null',
    '-e',
    'trace=fdatasync,fsync',
    '-e',
    `inject=fdatasync,fsync:delay_enter=${delayMs * 1_000}`,
  ]
  const { stdout } = await promisify(execFile)('strace', [...slow, process.execPath, PROGRAM, String(rounds)])
  return JSON.parse(stdout) as Load[]
}

export const bench: Bench = {
  isSeparate: true,
  question: 'Synced groups a second by 1, 16 and 256 clients that each wait for their write, on a disk whose syncs take 5 or 20 ms longer',
  async run({ rounds, say }) {
    const missing = await obtain('strace')
    if (missing !== undefined) throw new NotRunError(missing)
    const measures: Measure[] = []
    for (const delayMs of DELAYS_MS) {
      say(`${delayMs} ms a sync`)
      for (const { clients, raw, replica } of await measure(delayMs, rounds)) {
        measures.push({
          name: `syncs of ${delayMs} ms, ${clients === 1 ? '1 client' : `${clients} clients`}`,
          unit: 'groups/s',
          baseline: { label: 'LevelDB', samples: raw },
          candidate: { label: 'replica', samples: replica },
          target: { ratioMin: RATIO_MIN },
        })
      }
    }
    return measures
  },
}
