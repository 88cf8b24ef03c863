import { defineConfig } from 'vitest/config'

// Projects by what they need: `unit` and `sim` need nothing but Node and are part of `npm run check`; so does `long`, which shows that the
// simulators can fail, and that large swarms work, turns over every bit, and takes minutes; the others start real agents, sockets, namespaces.
const project = (name: string, include: string[], testTimeout: number, extra: object = {}) => ({
  test: { name, include, testTimeout, hookTimeout: testTimeout, ...extra },
})

const LONG = [
  'test/sim/*mutation*.test.ts',
  'test/sim/simulator.test.ts',
  'test/unit/**/large-*.test.ts',
  'test/unit/agent/megabyte-messages.test.ts',
  'test/unit/agent/table-mending.test.ts',
  'test/contract/damaged-store.test.ts',
]

export default defineConfig({
  test: {
    reporters: ['default', './test/closing-line.ts'],
    // Suites on real hosts mostly wait: others have the processor meanwhile.
    maxWorkers: 4,
    projects: [
      project('unit', ['test/unit/**/*.test.ts', 'test/contract/**/*.test.ts'], 120_000, { exclude: LONG }),
      project('sim', ['test/sim/*.test.ts'], 120_000, { exclude: LONG }),
      project('long', LONG, 300_000),
      project('integration', ['test/integration/**/*.test.ts'], 300_000, { fileParallelism: false }),
      // Each file has a network of its own.
      project('host', ['test/host/**/*.test.ts'], 300_000),
    ],
  },
})
