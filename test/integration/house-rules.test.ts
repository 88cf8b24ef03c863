/** The rules of the house bite: each is broken on purpose in a copy of the sources, and its tool must say so. */
import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm, symlink, writeFile, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const COPIED = ['base', 'swarm', 'sync', 'agent', 'tsconfig.json', 'tsconfig.core.json', '.oxlintrc.json', 'package.json']

let copy: string
beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), 'hs-house-'))
  for (const name of COPIED) await cp(join(ROOT, name), join(copy, name), { recursive: true })
  await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
})
afterAll(() => rm(copy, { recursive: true }))

async function outputOf(command: string, ...words: string[]): Promise<string> {
  try {
    const { stdout, stderr } = await promisify(execFile)(join(ROOT, 'node_modules/.bin', command), words, { cwd: copy, maxBuffer: 2 ** 26 })
    return stdout + stderr
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    return `failed\n${stdout}${stderr}`
  }
}

/** What a tool says of the tree with some more files in it, by path. */
async function withFiles(sources: Readonly<Record<string, string>>, command: string, ...words: string[]): Promise<string> {
  for (const [path, source] of Object.entries(sources)) {
    await mkdir(dirname(join(copy, path)), { recursive: true })
    await writeFile(join(copy, path), source)
  }
  try {
    return await outputOf(command, ...words)
  } finally {
    for (const path of Object.keys(sources)) await rm(join(copy, path))
  }
}

const lint = ['oxlint', '--type-aware', '--deny-warnings'] as const
const compileCores = ['tsc', '--pretty', 'false', '-p', 'tsconfig.core.json'] as const
const compileAll = ['tsc', '--pretty', 'false', '-p', 'tsconfig.json'] as const

describe('the compiler keeps the cores pure', () => {
  const impure: [string, string][] = [
    ['a node module', "import { readFileSync } from 'node:fs'\nexport const x = readFileSync\n"],
    ['a timer', 'export const x = (f: () => void): unknown => setTimeout(f, 1)\n'],
    ['the process', 'export const x = process.env\n'],
    ['a Buffer', "export const x = Buffer.from('a')\n"],
    ['the console', "console.log('a')\nexport const x = 1\n"],
    ['a TextEncoder', 'export const x = new TextEncoder()\n'],
  ]
  let said: string
  const pathOf = (folder: string, what: string): string => `${folder}/broken-${what.replaceAll(' ', '-')}.ts`
  beforeAll(async () => {
    const everywhere = ['base', 'swarm', 'sync'].flatMap(folder => impure.map(([what, source]) => [pathOf(folder, what), source]))
    said = await withFiles(Object.fromEntries(everywhere) as Record<string, string>, ...compileCores)
  })
  it.each(impure)('%s does not compile in them', what => {
    for (const folder of ['base', 'swarm', 'sync']) expect(said).toContain(`${pathOf(folder, what)}(`)
  })

  it('the sentinel sees a package whose types switch the check off', async () => {
    const listed = await withFiles(
      { 'sync/broken.ts': "import { MerkleTree } from 'pino'\nexport const x: unknown = MerkleTree\n" },
      ...compileCores,
      '--listFilesOnly',
    )
    expect(listed.split('\n').filter(line => line.includes('node_modules') && !line.includes('/lib/lib.'))).not.toEqual([])
    const clean = await outputOf(...compileCores, '--listFilesOnly')
    expect(clean.split('\n').filter(line => line.includes('node_modules') && !line.includes('/lib/lib.'))).toEqual([])
  })
})

describe('the linter keeps the layers and the habits', () => {
  const broken: [string, string, string, string][] = [
    ['base imports swarm', 'base', "import { LIMITS } from '../swarm/options.ts'\nexport const x = LIMITS\n", 'no-restricted-imports'],
    ['swarm imports sync', 'swarm', "import { FORMAT } from '../sync/rows.ts'\nexport const x = FORMAT\n", 'no-restricted-imports'],
    [
      'sync imports swarm, types only',
      'sync',
      "import type { Address } from '../swarm/address.ts'\nexport type X = Address\n",
      'no-restricted-imports',
    ],
    ['sync imports agent', 'sync', "export { createCodec } from '../agent/codec.ts'\n", 'no-restricted-imports'],
    ['sync imports a package, dynamically', 'sync', "export const x = (): Promise<unknown> => import('level')\n", 'no-restricted-imports'],
    ['agent imports tests', 'agent', "import { x as y } from '../test/broken.ts'\nexport const x = y\n", 'no-restricted-imports'],
    ['a core reads the clock', 'sync', 'export const x = (): number => Date.now()\n', 'no-restricted-globals'],
    ['a core draws at random', 'swarm', "export const x = (): number => Math['random']()\n", 'no-restricted-properties'],
    ['a promise floats', 'agent', 'export function x(f: () => Promise<void>): void {\n  f()\n}\n', 'no-floating-promises'],
    [
      'a case is missing',
      'agent',
      "export function x(kind: 'a' | 'b'): void {\n  switch (kind) {\n    case 'a':\n      return\n  }\n}\n",
      'switch-exhaustiveness-check',
    ],
    ['any', 'agent', 'export const x = (y: any): unknown => y\n', 'no-explicit-any'],
    ['a default export', 'agent', 'const x = 1\nexport default x\n', 'no-default-export'],
  ]
  const cycle = {
    'agent/broken-a.ts': "import { b } from './broken-b.ts'\nexport const a = (): unknown => b\n",
    'agent/broken-b.ts': "import { a } from './broken-a.ts'\nexport const b = (): unknown => a\n",
  }
  const pathOf = (folder: string, what: string): string => `${folder}/broken-${what.replaceAll(/[^a-z]+/g, '-')}.ts`

  /** The rules that each file breaks. */
  let rulesByPath: Map<string, string>
  beforeAll(async () => {
    const files = { ...Object.fromEntries(broken.map(([what, folder, source]) => [pathOf(folder, what), source])), ...cycle }
    const said = await withFiles(files, ...lint, '--format', 'json')
    const { diagnostics } = JSON.parse(said.slice(said.indexOf('{'), said.lastIndexOf('}') + 1)) as {
      diagnostics: { code: string; filename: string }[]
    }
    rulesByPath = new Map()
    for (const { code, filename } of diagnostics) rulesByPath.set(filename, `${rulesByPath.get(filename) ?? ''} ${code}`)
  })
  it.each(broken)('%s: refused', (what, folder, _source, rule) => {
    expect(rulesByPath.get(pathOf(folder, what))).toContain(rule)
  })

  it('an import cycle: refused', () => {
    expect(rulesByPath.get('agent/broken-a.ts')).toContain('no-cycle')
  })

  it('the untouched tree passes', async () => {
    expect(await outputOf(...lint)).toMatch(/Found 0 warnings and 0 errors/)
  })
})

describe('the compiler is strict', () => {
  const loose: [string, string][] = [
    ['an unchecked index', 'export const x = (list: number[]): number => list[0]\n'],
    ['an enum', 'export enum X {\n  a,\n}\n'],
    ['an unused local', 'export function x(): void {\n  const y = 1\n}\n'],
    ['undefined for an optional property', 'export const x: { y?: number } = { y: undefined }\n'],
    ['a missing return', 'export function x(y: boolean): number | undefined {\n  if (y) return 1\n}\n'],
  ]
  let said: string
  const pathOf = (what: string): string => `agent/broken-${what.replaceAll(' ', '-')}.ts`
  beforeAll(async () => {
    said = await withFiles(Object.fromEntries(loose.map(([what, source]) => [pathOf(what), source])), ...compileAll)
  })
  it.each(loose)('%s does not compile', what => {
    expect(said).toContain(`${pathOf(what)}(`)
  })
})
