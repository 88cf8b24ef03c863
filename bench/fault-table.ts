/**
 * `npm run faults`: runs the tests that break things, and writes what they found into the table of docs/faults.md. The power cuts need root and what
 * test/host/power-cut.test.ts says; what cannot run here is missing in the table.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { print, printError } from '../bin/terminal.ts'
import type { FaultRow } from '../test/fault-report.ts'
import { writeTable } from './table-place.ts'

const FILES = [
  'test/integration/killed-writer.test.ts',
  'test/host/power-cut.test.ts',
  'test/host/torn-blocks.test.ts',
  'test/integration/damaged-directory.test.ts',
  'test/integration/aborting-store.test.ts',
  'test/integration/full-disk.test.ts',
  'test/integration/comeback.test.ts',
]
const root = fileURLToPath(new URL('..', import.meta.url))

const folder = await mkdtemp(join(tmpdir(), 'hs-faults-'))
const report = join(folder, 'report')
await writeFile(report, '')
const runner = join(root, 'node_modules', '.bin', 'vitest')
const projects = ['--project', 'integration', '--project', 'host']
const child = spawn(runner, ['run', ...projects, ...FILES], { cwd: root, env: { ...process.env, FAULT_REPORT: report }, stdio: 'inherit' })
const [code] = (await once(child, 'exit')) as [number | null]
const rows = (await readFile(report, 'utf8'))
  .split('\n')
  .filter(line => line !== '')
  .map(line => JSON.parse(line) as FaultRow)
await rm(folder, { recursive: true })

const count = (n: number): string => n.toLocaleString('en-US')
const line = ({ fault, cycles, checked, lost, isControl = false }: FaultRow): string =>
  `| ${isControl ? 'control: ' : ''}${fault} | ${count(cycles)} | ${count(checked)} | ${count(lost)} |`
const isAfter = (row: FaultRow): number => (row.isControl === true ? 1 : 0)
const sorted = rows.toSorted((a, b) => isAfter(a) - isAfter(b) || b.checked - a.checked)
const table = ['| fault | cycles | acknowledged writes checked | lost |', '|---|--:|--:|--:|', ...sorted.map(line)].join('\n')
print(table)
await writeTable('npm run faults', table, 'faults.md')
if (code !== 0) printError('tests failed: see above')
process.exitCode = code ?? 1
