/** The programs of other packages that suites for real hosts need. */
import { execFile } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }

/** Whether a shell finds the program. */
export const has = (program: string): Promise<boolean> =>
  run('sh', ['-c', `command -v ${program}`]).then(
    () => true,
    () => false,
  )

/** apt-get works for one at a time, and suites run side by side. */
const installAlone = (...words: readonly string[]): Promise<unknown> =>
  run('flock', [join(tmpdir(), 'hs-agent-apt.lock'), 'apt-get', ...words], { env })

/**
 * Where the tests run as root, as in continuous integration, a program that is missing is installed from its package. Returns why it is
 * not there, for the suite's name, or undefined.
 */
export async function obtain(program: string, packageName = program): Promise<string | undefined> {
  if (await has(program)) return undefined
  if (process.getuid?.() !== 0 || !(await has('apt-get'))) return `${program} is missing here, and installing it takes root on Debian`
  try {
    await installAlone('update', '-qq')
    await installAlone('install', '--yes', '-qq', '--no-install-recommends', packageName)
  } catch (error) {
    return `${program} is missing here, and could not be installed: ${String(error)}`
  }
  return (await has(program)) ? undefined : `${packageName} was installed without ${program}`
}

/** As `obtain`, of several, each with its package: why the first is not there that is missing. */
export async function obtainAll(programs: Readonly<Record<string, string>>): Promise<string | undefined> {
  for (const [program, packageName] of Object.entries(programs)) {
    const missing = await obtain(program, packageName)
    if (missing !== undefined) return missing
  }
  return undefined
}
