/** A robot that was away for as long as one likes: no time limit is in it, so how long says nothing. Real agents; the third one writes on alone. */
import { afterEach, expect, it } from 'vitest'
import { ask, findFreePort, makeFolder, startAgentProcess, stopEverything, until, type AgentProcess } from '../agent-process.ts'

const DEADLINE_MS = 90_000
const DELETED = 20
afterEach(stopEverything)

interface CollectionJson {
  readonly name: string
  readonly digest: string
}
interface ReplicaJson {
  readonly node_id: string
  readonly evicted: boolean
}

const settings = (port: number, dataDir: string, peers: readonly number[]): Record<string, string> => ({
  HS_DATA_DIR: dataDir,
  HS_GOSSIP_PORT: String(port),
  HS_GOSSIP_HOST: '127.0.0.1',
  HS_GOSSIP_MULTICAST: 'off',
  HS_GOSSIP_PROFILE: 'local',
  ...(peers.length === 0 ? {} : { HS_GOSSIP_PEERS: peers.map(peer => `127.0.0.1:${peer}`).join() }),
})
const put = (agent: AgentProcess, key: string): Promise<unknown> =>
  ask(agent, `/api/collections/notes/records/${key}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload: key }),
  })
const digestOf = async (agent: AgentProcess): Promise<string | undefined> =>
  ((await ask(agent, '/api/collections')) as CollectionJson[]).find(({ name }) => name === 'notes')?.digest
const keysOf = async (agent: AgentProcess): Promise<string[]> =>
  ((await ask(agent, '/api/collections/notes/records?limit=1000')) as { records: { key: string }[] }).records.map(({ key }) => key)
const replicasOf = async (agent: AgentProcess): Promise<readonly ReplicaJson[]> =>
  (await ask(agent, '/api/swarm/replicas')) as readonly ReplicaJson[]

async function untilEqual(agents: readonly AgentProcess[], expected: readonly string[]): Promise<string> {
  let digest: string | undefined
  await until(`all hold ${expected.length} records`, DEADLINE_MS, async () => {
    const digests = await Promise.all(agents.map(digestOf))
    digest = digests[0]
    // The collection itself may not have come yet.
    const keys = await Promise.all(agents.map(async (agent, i) => (digests[i] === undefined ? [] : keysOf(agent))))
    const isEqual = digests.every(other => other !== undefined && other === digest) && keys.every(held => held.join() === expected.join())
    return isEqual ? undefined : `${digests.join()}: ${keys.map(held => held.join()).join(' / ')}`
  })
  return digest!
}

it.each(['waited for', 'evicted'])(
  'P5 P6 a robot that was away, and %s, brings what only it has and nothing that was deleted',
  async what => {
    const ports = [await findFreePort(), await findFreePort(), await findFreePort()] as const
    const peersOf = (index: number): number[] => ports.filter((_, i) => i !== index)
    const folder = await makeFolder()
    const one = await startAgentProcess({ env: settings(ports[0], await makeFolder(), peersOf(0)) })
    const two = await startAgentProcess({ env: settings(ports[1], await makeFolder(), peersOf(1)) })
    const three = await startAgentProcess({ env: settings(ports[2], folder, peersOf(2)) })
    const { node_id: nodeId } = (await ask(three, '/api/cluster/status')) as { node_id: string }
    await put(one, 'stays')
    const digest = await untilEqual([one, two, three], ['stays'])
    const gone = Array.from({ length: DELETED }, (_, i) => `gone-${String(i).padStart(2, '0')}`)
    for (const key of gone) await put(one, key)
    await untilEqual([one, two, three], [...gone, 'stays'])
    await three.kill()
    const alone = await startAgentProcess({ env: settings(await findFreePort(), folder, []) })
    await put(alone, 'only-here')
    await alone.kill('SIGKILL')

    for (const key of gone) await ask(one, `/api/collections/notes/records/${key}`, { method: 'DELETE' })
    // The tombstones are part of it, and wait for the third one.
    expect(await untilEqual([one, two], ['stays'])).not.toBe(digest)
    if (what === 'evicted') {
      await ask(two, `/api/swarm/replicas/${nodeId}`, { method: 'DELETE' })
      await until('the deletes are forgotten', DEADLINE_MS, async () => {
        const digests = await Promise.all([one, two].map(digestOf))
        return digests.every(other => other === digest) ? undefined : digests.join()
      })
    }
    const back = await startAgentProcess({ env: settings(ports[2], folder, peersOf(2)) })
    await untilEqual([one, two, back], ['only-here', 'stays'])
    const enrolled = (await replicasOf(one)).filter(({ node_id, evicted }) => node_id === nodeId && !evicted)
    expect(enrolled).toHaveLength(1)
  },
)
