/** From a deletion that had not seen everything to the records' return, with agents and the command line. */
import { afterEach, expect, it } from 'vitest'
import { ask, findFreePort, makeFolder, startAgentProcess, stopEverything, until, type AgentProcess } from '../agent-process.ts'
import { runCli } from './cli-process.ts'

const DEADLINE_MS = 60_000
afterEach(stopEverything)

const settings = (port: number, dataDir: string, peer?: number): Record<string, string> => ({
  HS_DATA_DIR: dataDir,
  HS_GOSSIP_PORT: String(port),
  HS_GOSSIP_HOST: '127.0.0.1',
  HS_GOSSIP_MULTICAST: 'off',
  HS_GOSSIP_PROFILE: 'local',
  ...(peer === undefined ? {} : { HS_GOSSIP_PEERS: `127.0.0.1:${peer}` }),
})
const write = (agent: AgentProcess, key: string): Promise<unknown> =>
  ask(agent, `/api/collections/notes/records/${key}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload: key }),
  })
const namesOf = async (agent: AgentProcess): Promise<string> =>
  ((await ask(agent, '/api/collections')) as { name: string }[]).map(({ name }) => name).join()

it('what a robot wrote while another one deleted the collection is listed, imported, and comes to all', async () => {
  const [port, otherPort] = [await findFreePort(), await findFreePort()]
  const one = await startAgentProcess({ env: settings(port, await makeFolder()) })
  const dataDir = await makeFolder()
  const two = await startAgentProcess({ env: settings(otherPort, dataDir, port) })
  await write(one, 'seen')
  await until('both have the collection', DEADLINE_MS, async () => ((await namesOf(two)) === 'notes' ? undefined : 'not yet'))
  await two.kill()
  // Alone it writes on: no peers are named and nobody is there.
  const alone = await startAgentProcess({ env: settings(await findFreePort(), dataDir) })
  await write(alone, 'unseen-1')
  await write(alone, 'unseen-2')
  await alone.kill()
  await ask(one, '/api/collections/notes', { method: 'DELETE' })
  const back = await startAgentProcess({ env: settings(otherPort, dataDir, port) })
  await until('both are in quarantine', DEADLINE_MS, async () => {
    const { count } = (await ask(back, '/api/quarantine')) as { count: number }
    return count === 2 ? undefined : `${count}`
  })

  const cli = (...words: string[]) => runCli(words, { env: { HS_URL: back.url }, workingDirectory: dataDir })
  expect((await cli('quarantine')).stdout).toMatch(/deleted\s+notes\s+unseen-1/)
  const refused = await cli('quarantine', 'import', '--all')
  expect(refused).toMatchObject({ status: 1, stdout: 'imported 0\n' })
  expect(refused.stderr).toContain('there is no collection notes')
  const [first] = JSON.parse((await cli('quarantine', '--json')).stdout) as [{ id: number }]
  expect(await cli('quarantine', 'import', String(first.id), '--create')).toMatchObject({ status: 0, stdout: 'imported 1\n' })
  expect(await cli('quarantine', 'drop', '--collection', 'notes')).toMatchObject({ status: 0, stdout: 'dropped 1\n' })
  expect((await cli('quarantine')).stdout).toBe('Nothing is in quarantine.\n')
  await until('the other one has it', DEADLINE_MS, async () =>
    ask(one, '/api/collections/notes/records/unseen-1').then(
      () => undefined,
      (error: unknown) => String(error),
    ),
  )
  for (const words of [
    ['quarantine', 'import'],
    ['quarantine', 'drop', '1', '--all'],
    ['quarantine', 'list', '1'],
    ['quarantine', 'burn'],
  ]) {
    expect((await cli(...words)).status).toBe(2)
  }
})
