/** A thread that runs the seeds it is sent, one block after another. */
import { parentPort } from 'node:worker_threads'
import { SCENARIO_KINDS, type ScenarioKind } from './scenario-kinds.ts'
import { runSeeds, type SeedsOptions } from './seeds.ts'

export type SeedsBlock = Pick<SeedsOptions, 'from' | 'count' | 'failuresMax'> & { readonly kind: ScenarioKind }

parentPort?.on('message', (block: SeedsBlock) => {
  // What throws ends the thread, and that is told with it.
  void runSeeds({ ...block, make: SCENARIO_KINDS[block.kind] }).then(result => parentPort?.postMessage(result))
})
