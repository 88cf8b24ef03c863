/**
 * `npm run bench [-- name ...] [--rounds N] [--records N] [--profile] [--reference DESCRIPTION]`
 *
 * Runs benches one after the other, each in a process of its own, so that none inherits another one's heap and compiled code; without names
 * all but those that are separate. Prints a table and writes bench/results/latest.json. With `--reference` also
 * bench/results/reference.json and the table in docs/benchmarks.md; DESCRIPTION says in plain words what kind of machine it was. A separate
 * bench has a reference and a table of its own: name it. `--profile` leaves CPU profiles in bench/results.
 */
import { fork } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { print, printError } from '../bin/terminal.ts'
import { benchByName } from './benches.ts'
import { describeMachine, renderMarkdown, renderResults, toResultsText, type BenchResult } from './report.ts'
import { writeTable } from './table-place.ts'

const pathOf = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))

const resultsFolder = pathOf('results/')

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    records: { type: 'string', default: '' },
    profile: { type: 'boolean', default: false },
    reference: { type: 'string' },
  },
})

function runInProcess(name: string): Promise<BenchResult> {
  const execArgv = values.profile ? ['--cpu-prof', `--cpu-prof-dir=${resultsFolder}`] : []
  const child = fork(pathOf('bench-process.ts'), [name, values.rounds, values.records], { execArgv })
  return new Promise((resolve, reject) => {
    let result: BenchResult | undefined
    child.once('message', message => (result = message as BenchResult))
    child.once('error', reject)
    child.once('exit', code => {
      if (result !== undefined && code === 0) resolve(result)
      else reject(new Error(`the bench ${name} failed`))
    })
  })
}

const writeDocumentTable = (results: readonly BenchResult[], description: string, words: string): Promise<void> =>
  writeTable(words, `Measured on ${description}, Node ${process.version}.\n\n${renderMarkdown(results)}`)

function findFault(names: readonly string[]): string | undefined {
  const unknown = names.filter(name => !benchByName.has(name))
  if (unknown.length > 0) return `no such bench: ${unknown.join(', ')}`
  if (!/^[1-9]\d?$/.test(values.rounds)) return 'the number of rounds is from 1 to 99'
  if (!/^([1-9]\d{3,7})?$/.test(values.records)) return 'the number of records is from 1000 to 99999999'
  const isSeparate = (name: string): boolean => benchByName.get(name)?.isSeparate === true
  const isOfOne = positionals.length === 1 && positionals.every(isSeparate)
  if (values.reference !== undefined && positionals.length > 0 && !isOfOne)
    return 'a reference is made of all benches, or of one that is separate'
  return undefined
}

async function main(): Promise<number> {
  const together = [...benchByName].filter(([, { isSeparate = false }]) => !isSeparate).map(([name]) => name)
  const names = positionals.length === 0 ? together : positionals
  const fault = findFault(names)
  if (fault !== undefined) {
    printError(fault)
    printError(`benches: ${[...benchByName.keys()].join(', ')}`)
    return 2
  }
  const results: BenchResult[] = []
  for (const name of names) results.push(await runInProcess(name))
  print(renderResults(results))

  const { reference } = values
  const text = toResultsText({
    machine: describeMachine(reference ?? 'not described'),
    rounds: Number(values.rounds),
    results,
  })
  await writeFile(`${resultsFolder}latest.json`, text)
  if (reference !== undefined) {
    const [separate] = positionals
    await writeFile(`${resultsFolder}${separate ?? 'reference'}.json`, text)
    await writeDocumentTable(results, reference, separate === undefined ? 'npm run bench' : `npm run bench -- ${separate}`)
  }
  return 0
}

process.exitCode = await main()
