/** Is an agent that holds a million records up as soon as LevelDB is? It must not read them all. */
import { join } from 'node:path'
import { Level } from 'level'
import { makeFolder, startAgentProcess } from '../test/agent-process.ts'
import { interleave, measureMs, type Bench } from './bench.ts'
import { openBenchStore } from './bench-replica.ts'
import { buildDataDirectory } from './built-store.ts'

const recordCount = 1_000_000

export const bench: Bench = {
  question: 'Time to ready with 1,000,000 records, against opening the same database, and against an agent that holds nothing',
  async run(context) {
    const folder = await buildDataDirectory(recordCount, context.say)
    const empty = await makeFolder('hs-bench-')
    const path = join(folder, 'store')
    const timeToReady = async (dataDir: string): Promise<number> => {
      let stop = (): Promise<void> => Promise.resolve()
      const ms = await measureMs(async () => {
        const agent = await startAgentProcess({ env: { HS_LOG_LEVEL: 'warn', HS_DATA_DIR: dataDir } })
        stop = () => agent.kill()
      })
      await stop()
      return ms
    }
    const { database, replica, fullAgent, emptyAgent } = await interleave(context, {
      async database() {
        const level = new Level<Uint8Array, Uint8Array>(path, { keyEncoding: 'view', valueEncoding: 'view' })
        const ms = await measureMs(() => level.open())
        await level.close()
        return ms
      },
      async replica() {
        let close = (): Promise<void> => Promise.resolve()
        const ms = await measureMs(async () => {
          const opened = await openBenchStore(path)
          close = () => opened.replica.close()
        })
        await close()
        return ms
      },
      fullAgent: () => timeToReady(folder),
      emptyAgent: () => timeToReady(empty),
    })
    return [
      {
        name: 'opening the replica',
        unit: 'ms',
        baseline: { label: 'LevelDB', samples: database },
        candidate: { label: 'replica', samples: replica },
        target: { ratioMax: 3 },
      },
      {
        name: 'starting the process',
        unit: 'ms',
        baseline: { label: 'empty agent', samples: emptyAgent },
        candidate: { label: 'agent', samples: fullAgent },
      },
    ]
  },
}
