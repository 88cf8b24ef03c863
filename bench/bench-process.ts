/**
 * Runs one bench: started by run.ts, which gets the measures as a message. Removes what the bench has left, processes and folders, however
 * it ended.
 */
import { printError } from '../bin/terminal.ts'
import { stopEverything } from '../test/agent-process.ts'
import { NotRunError } from './bench.ts'
import { benchByName } from './benches.ts'

const [name = '', rounds = '', records = ''] = process.argv.slice(2)

async function runBench(): Promise<void> {
  const bench = benchByName.get(name)
  if (bench === undefined) throw new Error(`there is no bench ${name}`)
  const say = (text: string): void => printError(`${name}: ${text}`)
  try {
    const measures = await bench.run({ rounds: Number(rounds), ...(records !== '' && { records: Number(records) }), say })
    process.send?.({ name, question: bench.question, measures })
  } catch (error) {
    if (!(error instanceof NotRunError)) throw error
    process.send?.({ name, question: bench.question, measures: [], notRun: error.message })
  } finally {
    await stopEverything()
  }
}

const breakOff = (): void => void stopEverything().finally(() => process.exit(130))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, breakOff)
// The process that asked for it is gone.
process.once('disconnect', breakOff)
await runBench()
process.off('disconnect', breakOff)
process.disconnect()
