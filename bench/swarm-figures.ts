/**
 * `npm run bench:swarm [-- nodes:runs:seconds:loss ...]`: the figures of the simulated swarm as a Markdown table, median and greatest of the runs.
 * Deterministic: nothing here depends on the machine.
 */
import { print, printError } from '../bin/terminal.ts'
import { quantile } from './statistics.ts'
import { playScenes } from './swarm-scenes.ts'

interface Column {
  readonly nodes: number
  readonly runs: number
  readonly seconds: number
  readonly loss: number
}

const defaults = ['10:40:120:0.2', '100:4:60:0.2', '1000:1:60:0.1']

function parseColumn(text: string): Column {
  const [nodes, runs, seconds, loss] = text.split(':').map(Number)
  return { nodes: nodes ?? 10, runs: runs ?? 1, seconds: seconds ?? 60, loss: loss ?? 0.1 }
}

const format = (value: number): string =>
  value === Infinity ? 'never' : new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 }).format(value)

function main(): void {
  const given = process.argv.slice(2)
  const columns = (given.length > 0 ? given : defaults).map(parseColumn)
  const valuesByName = new Map<string, Map<Column, number[]>>()
  for (const column of columns) {
    for (let seed = 1; seed <= column.runs; seed++) {
      const say = (text: string): void => printError(`N = ${column.nodes}, run ${seed}: ${text}`)
      const samples = playScenes({ nodes: column.nodes, seed, stretchSeconds: column.seconds, loss: column.loss, say })
      for (const [name, values] of samples) {
        const row = valuesByName.get(name) ?? new Map<Column, number[]>()
        valuesByName.set(name, row)
        row.set(column, [...(row.get(column) ?? []), ...values])
      }
    }
  }
  print(`| | ${columns.map(({ nodes, runs }) => `N = ${nodes}, ${runs} ${runs === 1 ? 'run' : 'runs'}`).join(' | ')} |`)
  print(`| --- | ${columns.map(() => '--:').join(' | ')} |`)
  for (const [name, row] of valuesByName) {
    const cells = columns.map(column => {
      const values = row.get(column)
      if (values === undefined) return ''
      const greatest = Math.max(...values)
      return values.length === 1 ? format(greatest) : `${format(quantile(values, 0.5))} / ${format(greatest)}`
    })
    print(`| ${name} | ${cells.join(' | ')} |`)
  }
}

main()
