/** Results as a table for a terminal, as a table for docs/benchmarks.md, and as JSON. */
import { availableParallelism, totalmem } from 'node:os'
import { renderTable, type Column } from '../bin/table.ts'
import { paint, terminalWidth } from '../bin/terminal.ts'
import type { Measure } from './bench.ts'
import { isMet, median, ratioOf, type Ratio } from './statistics.ts'

export interface BenchResult {
  readonly name: string
  readonly question: string
  readonly measures: readonly Measure[]
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

const formatTarget = ({ target }: Measure): string =>
  target === undefined ? '' : 'ratioMin' in target ? `>= ${target.ratioMin}` : `<= ${target.ratioMax}`

const formatVerdict = ({ measure: { target }, ratio }: Line): string =>
  target === undefined ? '' : isMet(ratio.median, target) ? 'met' : 'missed'

const formatSpread = ({ ratio }: Line): string => `${numbers.format(ratio.min)} - ${numbers.format(ratio.max)}`

const formatSide = (side: 'baseline' | 'candidate', { measure }: Line): string =>
  `${measure[side].label}: ${numbers.format(median(measure[side].samples))} ${measure.unit}`

const columns: readonly (Column<Line> & { readonly title: string })[] = [
  { title: 'bench', cell: ({ bench }) => bench },
  { title: 'measure', cell: ({ measure }) => measure.name },
  { title: 'baseline', cell: line => formatSide('baseline', line) },
  { title: 'candidate', cell: line => formatSide('candidate', line) },
  { title: 'ratio', align: 'right', cell: ({ ratio }) => numbers.format(ratio.median) },
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

export const renderResults = (results: readonly BenchResult[]): string =>
  renderTable(linesOf(results), columns, { paint, widthMax: terminalWidth() })

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
  const benches = results.map(({ name, question, measures }) => ({
    name,
    question,
    measures: measures.map(measure => ({
      ...measure,
      baseline: { ...measure.baseline, samples: rounded(measure.baseline.samples) },
      candidate: { ...measure.candidate, samples: rounded(measure.candidate.samples) },
    })),
  }))
  return `${JSON.stringify({ machine, rounds, results: benches }, null, 2)}\n`
}
