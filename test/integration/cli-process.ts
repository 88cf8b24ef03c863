/** Starts the real command line as users do, in an environment without any `HS_*` of ours. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'

export const PROGRAM = fileURLToPath(new URL('../../bin/hs-agent', import.meta.url))

export interface CliSurroundings {
  readonly env?: Readonly<Record<string, string>>
  readonly workingDirectory: string
  /** Standard input; ended behind it. */
  readonly input?: string
}

export interface CliResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export function startCli(words: readonly string[], { env = {}, workingDirectory }: CliSurroundings): ChildProcessWithoutNullStreams {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HS_')))
  return spawn(PROGRAM, words, { cwd: workingDirectory, env: { ...inherited, ...env } })
}

/** Runs a command to its end. */
export async function runCli(words: readonly string[], surroundings: CliSurroundings): Promise<CliResult> {
  const child = startCli(words, surroundings)
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  // A command that ends before it has read its input is no failure of the test.
  child.stdin.on('error', () => {})
  child.stdin.end(surroundings.input ?? '')
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { status, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }
}
