/** Runs seeds on all processors: a thread each, which gets a block of seeds whenever it has done one. */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { SCENARIO_KINDS, type ScenarioKind } from './scenario-kinds.ts'
import { joinResults, NO_SEEDS, runSeeds, type SeedsOptions, type SeedsResult } from './seeds.ts'
import type { SeedsBlock } from './seeds-worker.ts'

export interface SpreadOptions extends Pick<SeedsOptions, 'from' | 'count' | 'failuresMax'> {
  /** Of which scenarios; `full` when it is left out. */
  readonly kind?: ScenarioKind
  /** Threads; as many as there are processors when it is left out. */
  readonly jobs?: number
  /** Called with what has come in so far whenever a block is done. */
  readonly onProgress?: (soFar: SeedsResult) => void
}

/** Small, so that all threads end at about the same time and progress shows; one of 8 takes some seconds. */
const SEEDS_PER_BLOCK = 8

/** Below this starting threads takes longer than they save. */
const SEEDS_FOR_THREADS = 32

/** As `runSeeds`. Failures are told in the order of their seeds; which ones come first before it stops depends on the threads. */
export async function spreadSeeds(options: SpreadOptions): Promise<SeedsResult> {
  const { from, count, kind = 'full', failuresMax = 1, jobs = count < SEEDS_FOR_THREADS ? 1 : availableParallelism() } = options
  const end = from + count
  let next = from
  let total = NO_SEEDS
  const takeBlock = (): SeedsBlock | undefined => {
    if (next >= end || total.failures.length >= failuresMax) return undefined
    const block = { kind, from: next, count: Math.min(SEEDS_PER_BLOCK, end - next), failuresMax: failuresMax - total.failures.length }
    next += block.count
    return block
  }
  const runBlocks = async (run: (block: SeedsBlock) => Promise<SeedsResult>): Promise<void> => {
    for (let block = takeBlock(); block !== undefined; block = takeBlock()) {
      const result = await run(block)
      total = joinResults(total, result)
      options.onProgress?.(total)
    }
  }
  if (jobs <= 1) await runBlocks(block => runSeeds({ ...block, make: SCENARIO_KINDS[kind] }))
  else await Promise.all(Array.from({ length: jobs }, () => withThread(runBlocks)))
  return total
}

async function withThread(use: (run: (block: SeedsBlock) => Promise<SeedsResult>) => Promise<void>): Promise<void> {
  // Plain Node, whatever this process was started with: a test runner's hooks are not for the threads.
  const worker = new Worker(new URL('./seeds-worker.ts', import.meta.url), { execArgv: [] })
  const failed = new Promise<never>((_, reject) => void worker.once('error', reject))
  const run = (block: SeedsBlock): Promise<SeedsResult> => {
    const answered = new Promise<SeedsResult>(resolve => void worker.once('message', resolve))
    worker.postMessage(block)
    return Promise.race([answered, failed])
  }
  try {
    await use(run)
  } finally {
    await worker.terminate()
  }
}
