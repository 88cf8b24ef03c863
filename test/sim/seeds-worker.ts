/** A thread that runs the seeds it is sent, one block after another. */
import { parentPort } from 'node:worker_threads'
import { makeScenario } from './scenario.ts'
import { runSeeds, type SeedsOptions } from './seeds.ts'

export type SeedsBlock = Pick<SeedsOptions, 'from' | 'count' | 'failuresMax'>

parentPort?.on('message', (block: SeedsBlock) => {
  // What throws ends the thread, and that is told with it.
  void runSeeds({ ...block, make: seed => makeScenario(seed) }).then(result => parentPort?.postMessage(result))
})
