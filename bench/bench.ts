/**
 * What a bench is: one question, answered by ratios. The machine, its disk and what else runs on it make absolute figures incomparable,
 * so every figure stands beside a baseline that was measured in the same run, in turns with it.
 */

/** A ratio that is asked for; the ratio is always candidate / baseline. Or the most that every sample of the candidate may be. */
export type Target = { readonly ratioMin: number } | { readonly ratioMax: number } | { readonly candidateMax: number }

export interface Measure {
  readonly name: string
  /** Unit of the samples on both sides: `records/s`, `ms`, `MB` ... */
  readonly unit: string
  readonly baseline: Arm
  readonly candidate: Arm
  readonly target?: Target
  /** The greatest sample of either side is what counts, instead of the median. */
  readonly isWorst?: boolean
}

/** One side of a comparison: a sample a round. */
export interface Arm {
  readonly label: string
  readonly samples: readonly number[]
}

export interface BenchContext {
  /** Rounds that count; one more runs before them to warm up. */
  readonly rounds: number
  /** How many records the data has, where a bench leaves that open; unless said, its own number. */
  readonly records?: number
  /** Says what is going on. */
  readonly say: (text: string) => void
}

/** Why a bench cannot run on this machine, as a sentence without its full stop. */
export class NotRunError extends Error {}

export interface Bench {
  /** Runs only when it is named, and has a results file and a table of its own: it takes long, or asks for more than others do. */
  readonly isSeparate?: boolean
  /** The question, as docs/benchmarks.md asks it. */
  readonly question: string
  readonly run: (context: BenchContext) => Promise<readonly Measure[]>
}

/**
 * Runs every arm once a round, in turns, so that whatever else the machine does meets all of them alike. The first round warms up and does
 * not count. `round` counts from 0, the warm-up, so that arms can give things fresh names. Returns the samples by arm.
 */
export async function interleave<Name extends string>(
  { rounds, say }: BenchContext,
  arms: Readonly<Record<Name, (round: number) => Promise<number>>>,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(arms) as Name[]
  const samples = Object.fromEntries(names.map(name => [name, [] as number[]])) as Record<Name, number[]>
  for (let round = 0; round <= rounds; round++) {
    say(round === 0 ? 'warm-up' : `round ${round} of ${rounds}`)
    for (const name of names) {
      const sample = await arms[name](round)
      if (round > 0) samples[name].push(sample)
    }
  }
  return samples
}

/** Times per second: `count` things done by `action`. */
export async function measureRate(count: number, action: () => Promise<void>): Promise<number> {
  const startMs = performance.now()
  await action()
  return (count * 1000) / (performance.now() - startMs)
}

/** Milliseconds that `action` takes. */
export async function measureMs(action: () => Promise<void>): Promise<number> {
  const startMs = performance.now()
  await action()
  return performance.now() - startMs
}
