/** How does the swarm core compare with Serf? The core in the simulator, beside what was measured of Serf. */
import { median } from './statistics.ts'
import type { Bench, Measure, Target } from './bench.ts'
import { playScenes } from './swarm-scenes.ts'

const nodes = 10
const runsPerRound = 4

/** Serf 0.9.4 with its LAN profile, ten agents on loopback; medians unless the name says otherwise. */
const counterparts: readonly {
  readonly name: string
  readonly sample: string
  readonly unit: string
  readonly serf: number
  readonly target: Target
}[] = [
  { name: 'join of nine at once', sample: 'join of all at once', unit: 's', serf: 0.29, target: { ratioMax: 1 } },
  { name: 'kill -9, first detection', sample: 'kill -9, first', unit: 's', serf: 5.97, target: { ratioMax: 5 / 5.97 } },
  { name: 'kill -9, known to all', sample: 'kill -9, all', unit: 's', serf: 6.1, target: { ratioMax: 5.1 / 6.1 } },
  { name: 'restart and rejoin', sample: 'restart and rejoin', unit: 's', serf: 0.46, target: { ratioMax: 1 } },
  {
    name: 'bytes per second and node, quiet',
    sample: 'quiet: bytes/s/node with IP and UDP headers',
    unit: 'B/s',
    serf: 297,
    target: { ratioMax: 1 },
  },
  { name: 'suspicions in 120 s at 20 % loss', sample: '20 % loss: suspicions raised', unit: '', serf: 26, target: { ratioMax: 1 } },
]

export const bench: Bench = {
  question: `The swarm core, ${nodes} simulated nodes, beside what was measured of Serf`,
  run({ rounds, say }) {
    const samplesByName = new Map<string, number[]>()
    for (let round = 1; round <= rounds; round++) {
      say(`round ${round} of ${rounds}`)
      const runs = Array.from({ length: runsPerRound }, (_, i) =>
        playScenes({ nodes, seed: round * runsPerRound + i, stretchSeconds: 120, loss: 0.2, say: () => {} }),
      )
      for (const { sample } of counterparts) {
        const value = median(runs.flatMap(run => run.get(sample) ?? []))
        samplesByName.set(sample, [...(samplesByName.get(sample) ?? []), value])
      }
    }
    const measures = counterparts.map(({ name, sample, unit, serf, target }): Measure => ({
      name,
      unit,
      baseline: { label: 'Serf 0.9.4, measured', samples: Array.from({ length: rounds }, () => serf) },
      candidate: { label: 'core, simulated', samples: samplesByName.get(sample) ?? [] },
      target,
    }))
    return Promise.resolve(measures)
  },
}
