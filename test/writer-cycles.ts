/** A writer is ended at a random moment, its directory is opened again, and all it had acknowledged is looked for: again and again. */
import { createSeededRandom } from './seeded-random.ts'
import { createLedger, settle, startWriter, type RunningWriter, type WriterSettings } from './writer-ledger.ts'

export interface CyclesOptions extends Omit<WriterSettings, 'seed'> {
  readonly cycles: number
  readonly seed: number
  /** Milliseconds from the moment when it writes to its end. */
  readonly endAfter: { readonly min: number; readonly max: number }
  /** Hears of each writer as it starts, for tests that fail. */
  readonly onWriter: (writer: RunningWriter) => void
  /** Ends it, in its way. */
  readonly end: (writer: RunningWriter, cycle: number) => Promise<void>
}

export interface Tally {
  readonly cycles: number
  /** Writes that were acknowledged. */
  readonly acknowledged: number
  readonly lost: readonly string[]
  readonly faults: readonly string[]
  /** How the openings went: `fine`, or what came back. */
  readonly kinds: ReadonlySet<string>
}

export async function endAgainAndAgain(options: CyclesOptions): Promise<Tally> {
  const { cycles, seed, folder, endAfter, onWriter, end } = options
  const random = createSeededRandom(seed)
  const ledger = createLedger()
  const lost: string[] = []
  const faults: string[] = []
  const kinds = new Set<string>()
  for (let cycle = 1; cycle <= cycles; cycle++) {
    const writer = startWriter(ledger, { ...options, seed: seed + cycle })
    onWriter(writer)
    await writer.ready
    const moment = Promise.withResolvers<void>()
    setTimeout(() => moment.resolve(), endAfter.min + random.fraction() * (endAfter.max - endAfter.min))
    await moment.promise
    await end(writer, cycle)
    const settled = await settle(folder, ledger)
    lost.push(...settled.lost.map(what => `cycle ${cycle}: ${what}`))
    faults.push(...settled.faults.map(what => `cycle ${cycle}: ${what}`))
    kinds.add(settled.kind)
  }
  return { cycles, acknowledged: ledger.acknowledged, lost, faults, kinds }
}

export const killAndWait = async ({ child, ended }: RunningWriter): Promise<void> => {
  child.kill('SIGKILL')
  await ended
}
