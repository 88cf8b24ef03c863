/** Results as a table for a terminal, as a table for docs/benchmarks.md, and as JSON. */
import { availableParallelism, totalmem } from 'node:os'
import { renderTable, type Column } from '../bin/table.ts'
import { paint, terminalWidth } from '../bin/terminal.ts'
import type { Measure } from './bench.ts'
import { isMet, ratioOf, sideOf, type Ratio } from './statistics.ts'

export interface BenchResult {
  readonly name: string
  readonly question: string
  readonly measures: readonly Measure[]
  /** Why there are no measures. */
  readonly notRun?: string
}

/** What the figures were measured on, in words that fit any machine of its kind. */
export interface Machine {
  readonly description: string
  readonly platform: string
  readonly cores: number
  readonly memoryGib: number
  readonly node: string
}

export const describeMachine = (description: string): Machine => ({
  description,
  platform: `${process.platform}-${process.arch}`,
  cores: availableParallelism(),
  memoryGib: Math.round(totalmem() / 2 ** 30),
  node: process.version,
})

interface Line {
  readonly bench: string
  readonly measure: Measure
  readonly ratio: Ratio
}

const linesOf = (results: readonly BenchResult[]): Line[] =>
  results.flatMap(({ name, measures }) => measures.map(measure => ({ bench: name, measure, ratio: ratioOf(measure) })))

const numbers = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 })

function formatTarget({ target, unit }: Measure): string {
  if (target === undefined) return ''
  if ('candidateMax' in target) return `<= ${numbers.format(target.candidateMax)} ${unit}`
  return 'ratioMin' in target ? `>= ${target.ratioMin}` : `<= ${target.ratioMax}`
}

const formatVerdict = ({ measure, ratio }: Line): string =>
  measure.target === undefined ? '' : isMet(ratio, measure, measure.target) ? 'met' : 'missed'

const formatSpread = ({ ratio }: Line): string => `${numbers.format(ratio.min)} - ${numbers.format(ratio.max)}`

const formatSide = (side: 'baseline' | 'candidate', { measure }: Line): string =>
  `${measure[side].label}: ${numbers.format(sideOf(measure, measure[side]))} ${measure.unit}`

const columns: readonly (Column<Line> & { readonly title: string })[] = [
  { title: 'bench', cell: ({ bench }) => bench },
  { title: 'measure', cell: ({ measure }) => measure.name },
  { title: 'baseline', cell: line => formatSide('baseline', line) },
  { title: 'candidate', cell: line => formatSide('candidate', line) },
  { title: 'ratio', align: 'right', cell: ({ ratio }) => numbers.format(ratio.value) },
  { title: 'spread', cell: formatSpread },
  { title: 'target', cell: ({ measure }) => formatTarget(measure) },
  {
    title: '',
    cell: line => {
      const text = formatVerdict(line)
      return text === '' ? text : { text, colour: text === 'met' ? 'green' : 'red' }
    },
  },
]

export function renderResults(results: readonly BenchResult[]): string {
  const lines = linesOf(results)
  const tables = lines.length === 0 ? [] : [renderTable(lines, columns, { paint, widthMax: terminalWidth() })]
  const sentences = results.flatMap(({ name, notRun }) => (notRun === undefined ? [] : [`${name} was not run: ${notRun}.`]))
  return [...tables, ...sentences].join('\n')
}

/** A Markdown table. */
export function renderMarkdown(results: readonly BenchResult[]): string {
  const rows = linesOf(results).map(line =>
    columns.map(({ cell }) => {
      const made = cell(line)
      return typeof made === 'string' ? made : made.text
    }),
  )
  const lines = [columns.map(({ title }) => title), columns.map(({ align }) => (align === 'right' ? '--:' : '---')), ...rows]
  return lines.map(cells => `| ${cells.join(' | ')} |`).join('\n')
}

/** What the results file holds: everything that the tables are made from. */
export interface ResultsFile {
  readonly machine: Machine
  readonly rounds: number
  readonly results: readonly BenchResult[]
}

export function toResultsText({ machine, rounds, results }: ResultsFile): string {
  const rounded = (samples: readonly number[]): number[] => samples.map(sample => Number(sample.toPrecision(4)))
  const benches = results.map(({ name, question, notRun, measures }) => ({
    name,
    question,
    notRun,
    measures: measures.map(measure => ({
      ...measure,
      baseline: { ...measure.baseline, samples: rounded(measure.baseline.samples) },
      candidate: { ...measure.candidate, samples: rounded(measure.candidate.samples) },
    })),
  }))
  return `${JSON.stringify({ machine, rounds, results: benches }, null, 2)}\n`
}
