/** Proofs from the hands of one agent into those of somebody who has nothing but the file. */
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, makeFolder, startAgentProcess, stopEverything, type AgentProcess } from '../agent-process.ts'
import { runCli, type CliResult } from './cli-process.ts'

const KEY = 'robot1/ünï 🤖'

let folder: string
let file: string
let agent: AgentProcess
let status: { node_id: string; public_key: string }
/** Verifies where no agent runs: the settings name one that is not there. */
const verify = (...words: string[]): Promise<CliResult> =>
  runCli(['verify-proof', ...words], { workingDirectory: folder, env: { HS_URL: 'http://127.0.0.1:1' } })

/** Runs a command that must succeed with the running agent; gives what it prints. */
async function askAgent(...words: string[]): Promise<string> {
  const { status, stdout, stderr } = await runCli(words, { workingDirectory: folder, env: { HS_URL: agent.url } })
  if (status !== 0) throw new Error(`${words.join(' ')}: ${status}\n${stderr}`)
  return stdout
}

beforeAll(async () => {
  folder = await makeFolder()
  file = join(folder, 'proof.json')
  await mkdir(join(folder, 'data'))
  agent = await startAgentProcess({ env: { HS_DATA_DIR: join(folder, 'data'), HS_DIGEST_SALT: '5a'.repeat(16) } })
  await askAgent('put', 'imu', KEY, '{"yaw": 0.25}')
  await writeFile(file, await askAgent('proof', 'imu', KEY))
  status = (await ask(agent, '/api/cluster/status')) as typeof status
  await agent.kill()
})
afterAll(stopEverything)

describe('hs-agent verify-proof', () => {
  it('says in two lines what is proven, with no agent running, and that the key is the one in the file', async () => {
    const { status: exit, stdout, stderr } = await verify('proof.json')
    expect([exit, stderr]).toEqual([0, ''])
    const [what = '', key, ...rest] = stdout.split('\n')
    expect(what).toMatch(
      new RegExp(`^Node ${status.node_id} held record "${KEY}" of collection imu, version [0-9a-f]{32}:1 \\(12 B of payload\\), at 20`),
    )
    expect(what).toMatch(/by its clock \((not )?synchronised\), logical clock \d+\.$/)
    expect(key).toBe(`The key is the one in the file, ${status.public_key}: compare it with that of the node, or give --public-key.`)
    expect(rest).toEqual([''])
  })

  it('holds the file against the public key of the status, in either case of its digits', async () => {
    for (const key of [status.public_key, status.public_key.toUpperCase()]) {
      const { status: exit, stdout } = await verify('proof.json', '--public-key', key)
      expect([exit, stdout.split('\n')[1]]).toEqual([0, `It is signed with the key that was given, ${status.public_key}.`])
    }
    const other = await verify('proof.json', '--public-key', '0'.repeat(64))
    expect([other.status, other.stdout]).toEqual([1, ''])
    expect(other.stderr).toBe('hs-agent: HS_PROOF_INVALID: key: it is signed with another key than the one that was given\n')
  })

  it('gives the record to programs', async () => {
    const { stdout } = await verify('proof.json', '--json')
    expect(JSON.parse(stdout)).toMatchObject({
      proven: true,
      key_given: false,
      public_key: status.public_key,
      key: KEY,
      checkpoint: { node_id: status.node_id, collection: 'imu', record_count: 1, digest_salt: '5a'.repeat(16) },
      versions: [{ payload: '{"yaw":0.25}', version: { counter: 1 } }],
    })
  })

  it('fails with the part that does not hold, also from standard input, and for what is no proof', async () => {
    const text = await readFile(file, 'utf8')
    const cases: [string, RegExp][] = [
      [text.replace('"record_count":1', '"record_count":2'), /HS_PROOF_INVALID: signature: /],
      [text.replace(KEY, 'robot2'), /HS_PROOF_INVALID: item: /],
      [text.replace('"tick"', '"tack"'), /HS_PROOF_INVALID: form: .* \(versions\.0\)/],
      ['{}', /HS_PROOF_INVALID: form: /],
      ['', /HS_PROOF_INVALID: form: /],
    ]
    for (const [input, message] of cases) {
      const { status: exit, stdout, stderr } = await runCli(['verify-proof', '-'], { workingDirectory: folder, input })
      expect([exit, stdout]).toEqual([1, ''])
      expect(stderr).toMatch(message)
      expect(stderr.trim().split('\n')).toHaveLength(1)
    }
    const problem = await runCli(['verify-proof', '-', '--json'], { workingDirectory: folder, input: '{}' })
    expect(JSON.parse(problem.stderr)).toMatchObject({ code: 'HS_PROOF_INVALID' })
  })

  it('tells bad usage from a bad proof', async () => {
    expect(await verify('proof.json', '--public-key', 'abc')).toMatchObject({ status: 2 })
    expect(await verify()).toMatchObject({ status: 2 })
    expect((await verify('none.json')).stderr).toContain('HS_FILE_FAILED: none.json: no such file or directory')
  })

  it('the key lies beside the database for its owner alone, and proofs of a new database are signed with it', async () => {
    const data = join(folder, 'data')
    expect((await stat(join(data, 'signing-key.pem'))).mode & 0o777).toBe(0o600)
    await rm(join(data, 'store'), { recursive: true })
    agent = await startAgentProcess({ env: { HS_DATA_DIR: data } })
    await askAgent('put', 'c', 'k', '1')
    const input = await askAgent('proof', 'c', 'k')
    await expect(askAgent('proof', 'c', 'never')).rejects.toThrow('HS_NOT_FOUND')
    await agent.kill()
    const { status: exit, stdout } = await runCli(['verify-proof', '-', '--public-key', status.public_key], {
      workingDirectory: folder,
      input,
    })
    expect([exit, stdout]).toEqual([0, expect.stringContaining('held record "k" of collection c')])
  })
})
