/** The unit file, as systemd itself judges it. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EXIT } from '../../agent/errors.ts'
import { makeFolder, stopEverything } from '../agent-process.ts'
import { obtain } from './packages.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const UNIT = readFileSync(join(ROOT, 'systemd/hs-agent.service'), 'utf8')
/** Of 100: 0 is a service that may do nothing, 96 one that may do everything. */
const EXPOSURE_MAX = 20

const reason = await obtain('systemd-analyze', 'systemd')

async function analyze(...words: string[]): Promise<{ status: number; output: string }> {
  try {
    const { stdout, stderr } = await promisify(execFile)('systemd-analyze', words)
    return { status: 0, output: stdout + stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { status: code, output: stdout + stderr }
  }
}

describe.skipIf(reason !== undefined)(`systemd/hs-agent.service${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let folder: string
  beforeAll(async () => {
    folder = await makeFolder('hs-unit-')
  })
  afterAll(stopEverything)

  /** Checks a unit of this text, with the program where it is on this machine. */
  async function verify(text: string): Promise<string> {
    const path = join(folder, 'hs-agent.service')
    await writeFile(path, text.replaceAll('/opt/hs-agent/', ROOT))
    return (await analyze('verify', '--man=no', path)).output
  }

  it('systemd-analyze verify has nothing to say of it', async () => {
    expect(await verify(UNIT)).toBe('')
  })

  it('and would say so of a key that does not exist, and of a program that is not there', async () => {
    expect(await verify(UNIT.replace('[Install]', 'RestartSometimes=yes\n\n[Install]'))).toMatch(/RestartSometimes/)
    expect(await verify(UNIT.replace('bin/hs-agent run', 'bin/hs-agent-gone run'))).toMatch(/hs-agent-gone/)
  })

  it(`its exposure is at most ${EXPOSURE_MAX} of 100`, async () => {
    const path = join(folder, 'hs-agent.service')
    await writeFile(path, UNIT)
    const judged = await analyze('security', '--offline=true', `--threshold=${EXPOSURE_MAX}`, '--no-pager', path)
    expect(judged).toMatchObject({ status: 0 })
  })
})

describe('systemd/hs-agent.service, as text', () => {
  const lines = UNIT.split('\n')

  it('P18 allows what Node needs: memory protection keys, code written at run time, netlink', () => {
    expect(UNIT).toMatch(/^SystemCallFilter=@system-service @pkey$/m)
    expect(UNIT).not.toMatch(/^MemoryDenyWriteExecute=/m)
    expect(UNIT).toMatch(/^RestrictAddressFamilies=.*\bAF_NETLINK\b/m)
  })

  it('P2 never gives up, except on a configuration that is not valid', () => {
    expect(UNIT).toMatch(/^Restart=always$/m)
    expect(UNIT).toMatch(/^StartLimitIntervalSec=0$/m)
    expect(UNIT).toContain(`\nRestartPreventExitStatus=${EXIT.badConfiguration}\n`)
  })

  it('explains every line, by a comment above it or above the lines that go with it', () => {
    const unexplained = lines.filter((line, i) => {
      if (!/^[A-Z]\w+=/.test(line)) return false
      // Back over the settings of its own paragraph to what is said of them.
      let above = i - 1
      while (above >= 0 && /^[A-Z]\w+=/.test(lines[above] ?? '')) above -= 1
      return !(lines[above] ?? '').startsWith('#')
    })
    // What these are needs no words.
    expect(unexplained).toEqual([
      'Description=hs-agent: records that survive power cuts, and peers that agree',
      'Documentation=file:///opt/hs-agent/docs/operating.md',
      'WantedBy=multi-user.target',
    ])
  })
})
