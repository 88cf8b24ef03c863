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
    const { stdout, stderr } = await promisify(execFile)(join(ROOT, 'node_modules/.bin', command), words, { cwd: copy })
    return stdout + stderr
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    return `failed\n${stdout}${stderr}`
  }
}

/** What a tool says of the tree with one more file in it. */
async function withFile(path: string, source: string, command: string, ...words: string[]): Promise<string> {
  const file = join(copy, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, source)
  try {
    return await outputOf(command, ...words)
  } finally {
    await rm(file)
  }
}

const lint = ['oxlint', '--type-aware', '--deny-warnings'] as const
const compileCores = ['tsc', '-p', 'tsconfig.core.json'] as const
const compileAll = ['tsc', '-p', 'tsconfig.json'] as const

describe('the compiler keeps the cores pure', () => {
  const impure: [string, string][] = [
    ['a node module', "import { readFileSync } from 'node:fs'\nexport const x = readFileSync\n"],
    ['a timer', 'export const x = (f: () => void): unknown => setTimeout(f, 1)\n'],
    ['the process', 'export const x = process.env\n'],
    ['a Buffer', "export const x = Buffer.from('a')\n"],
    ['the console', "console.log('a')\nexport const x = 1\n"],
    ['a TextEncoder', 'export const x = new TextEncoder()\n'],
  ]
  it.each(impure)('%s does not compile in them', async (_what, source) => {
    for (const folder of ['base', 'swarm', 'sync']) {
      expect(await withFile(`${folder}/broken.ts`, source, ...compileCores)).toMatch(new RegExp(`failed[^]*${folder}/broken\\.ts`))
    }
  })

  it('the sentinel sees a package whose types switch the check off', async () => {
    const listed = await withFile(
      'sync/broken.ts',
      "import { MerkleTree } from 'pino'\nexport const x: unknown = MerkleTree\n",
      ...compileCores,
      '--listFilesOnly',
    )
    expect(listed.split('\n').filter(line => line.includes('node_modules') && !line.includes('/lib/lib.'))).not.toEqual([])
    const clean = await outputOf(...compileCores, '--listFilesOnly')
    expect(clean.split('\n').filter(line => line.includes('node_modules') && !line.includes('/lib/lib.'))).toEqual([])
  })
})

describe('the linter keeps the layers and the habits', () => {
  const broken: [string, string, string, RegExp][] = [
    [
      'base imports swarm',
      'base/broken.ts',
      "import { LIMITS } from '../swarm/options.ts'\nexport const x = LIMITS\n",
      /no-restricted-imports/,
    ],
    [
      'swarm imports sync',
      'swarm/broken.ts',
      "import { FORMAT } from '../sync/rows.ts'\nexport const x = FORMAT\n",
      /no-restricted-imports/,
    ],
    [
      'sync imports swarm, types only',
      'sync/broken.ts',
      "import type { Address } from '../swarm/address.ts'\nexport type X = Address\n",
      /no-restricted-imports/,
    ],
    ['sync imports agent', 'sync/broken.ts', "export { createCodec } from '../agent/codec.ts'\n", /no-restricted-imports/],
    [
      'sync imports a package, dynamically',
      'sync/broken.ts',
      "export const x = (): Promise<unknown> => import('level')\n",
      /no-restricted-imports/,
    ],
    ['agent imports tests', 'agent/broken.ts', "import { x as y } from '../test/broken.ts'\nexport const x = y\n", /no-restricted-imports/],
    ['a core reads the clock', 'sync/broken.ts', 'export const x = (): number => Date.now()\n', /no-restricted-globals/],
    ['a core draws at random', 'swarm/broken.ts', "export const x = (): number => Math['random']()\n", /no-restricted-properties/],
    ['a promise floats', 'agent/broken.ts', 'export function x(f: () => Promise<void>): void {\n  f()\n}\n', /no-floating-promises/],
    [
      'a case is missing',
      'agent/broken.ts',
      "export function x(kind: 'a' | 'b'): void {\n  switch (kind) {\n    case 'a':\n      return\n  }\n}\n",
      /switch-exhaustiveness-check/,
    ],
    ['any', 'agent/broken.ts', 'export const x = (y: any): unknown => y\n', /no-explicit-any/],
    ['a default export', 'agent/broken.ts', 'const x = 1\nexport default x\n', /no-default-export/],
  ]
  it.each(broken)('%s: refused', async (_what, path, source, rule) => {
    expect(await withFile(path, source, ...lint)).toMatch(rule)
  })

  it('an import cycle: refused', async () => {
    await writeFile(join(copy, 'agent/broken-a.ts'), "import { b } from './broken-b.ts'\nexport const a = (): unknown => b\n")
    const said = await withFile('agent/broken-b.ts', "import { a } from './broken-a.ts'\nexport const b = (): unknown => a\n", ...lint)
    await rm(join(copy, 'agent/broken-a.ts'))
    expect(said).toMatch(/no-cycle/)
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
  it.each(loose)('%s does not compile', async (_what, source) => {
    expect(await withFile('agent/broken.ts', source, ...compileAll)).toMatch(/failed[^]*agent\/broken\.ts/)
  })
})
