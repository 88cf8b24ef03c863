/** P14: two real agents; the store of one is damaged while it is off, and `hs-agent sync --verify` makes it whole from the other. */
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { openLevelStore } from '../../agent/level-store.ts'
import { loadCollections, rowsOf } from '../../sync/collection-state.ts'
import { keyAtOfItemRow, rowsOfCollection } from '../../sync/rows.ts'
import type { Row } from '../../sync/store.ts'
import { ask, findFreePort, makeFolder, startAgentProcess, stopEverything, until, type AgentProcess } from '../agent-process.ts'
import { changeRows } from '../memory-store.ts'
import { runCli } from './cli-process.ts'

afterEach(stopEverything)

const RECORDS = 2_000

interface CollectionJson {
  readonly digest: string
  readonly record_count: number
}
const collectionOf = async (agent: AgentProcess): Promise<CollectionJson | undefined> =>
  (await ask(agent, '/api/collections/imu').catch(() => undefined)) as CollectionJson | undefined

const post = (agent: AgentProcess, path: string, body: unknown): Promise<unknown> =>
  ask(agent, path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

it('finds what is gone, damaged or wrong in a real store, brings it back, and ends with equal digests', async () => {
  const ports = [await findFreePort(), await findFreePort()]
  const start = (i: number, dataDir?: string): Promise<AgentProcess> =>
    startAgentProcess({
      env: {
        HS_GOSSIP_PORT: String(ports[i]),
        HS_GOSSIP_HOST: '127.0.0.1',
        HS_GOSSIP_MULTICAST: 'off',
        HS_GOSSIP_PEERS: `127.0.0.1:${ports[1 - i]}`,
        HS_GOSSIP_PROFILE: 'local',
        HS_NODE_NAME: `robot-${i}`,
        // What is found is to be found by the verification.
        HS_SCRUB_RATE: '0',
        ...(dataDir === undefined ? {} : { HS_DATA_DIR: dataDir }),
      },
    })
  const dataDir = await makeFolder()
  let damaged = await start(0, dataDir)
  const whole = await start(1)
  await post(
    damaged,
    '/api/collections/imu/records',
    Array.from({ length: RECORDS }, (_, i) => ({ key: `k${String(i).padStart(5, '0')}`, payload: { value: i } })),
  )
  const before = (await collectionOf(damaged))!
  const agree = async (): Promise<string | undefined> => {
    const digests = (await Promise.all([damaged, whole].map(collectionOf))).map(collection => collection?.digest)
    return digests.every(digest => digest === before.digest) ? undefined : digests.join(' and ')
  }
  await until('both agree', 60_000, agree)
  await damaged.kill()

  // Not the sums: whether those add up is looked at when a database is opened.
  const store = await openLevelStore(join(dataDir, 'store'))
  const cid = (await loadCollections(store)).find(({ name }) => name === 'imu')!.cid
  const [records, log, items] = await Promise.all(
    rowsOfCollection(cid)
      .slice(0, 3)
      .map(async range => {
        const rows: Row[] = []
        for await (const row of rowsOf(store, range)) rows.push(row)
        return rows
      }),
  )
  const flipped = (row: Row): Row => [row[0], Uint8Array.from(row[1], (byte, i) => (i === row[1].length - 2 ? byte ^ 1 : byte))]
  // Items of other records than those that are damaged otherwise.
  const isLater = ([row]: Row): boolean => Buffer.from(row.subarray(keyAtOfItemRow)).toString() >= 'k01000'
  await changeRows(
    store,
    records!.slice(100, 110).map(flipped),
    [...records!.slice(0, 50), ...log!.slice(500, 900), ...items!.filter(isLater).slice(0, 300)].map(([row]) => row),
  )
  await store.close()

  damaged = await start(0, dataDir)
  await until('they see one another', 60_000, async () => {
    const { peer_count: count } = (await ask(damaged, '/api/swarm/peers')) as { peer_count: number }
    return count === 1 ? undefined : `${count} peers`
  })
  const { status, stdout, stderr } = await runCli(['sync', '--verify', '--timeout', '120', '--json', '--url', damaged.url], {
    workingDirectory: dataDir,
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const { scrub } = JSON.parse(stdout) as { scrub: Record<string, number> }
  expect(scrub).toMatchObject({ damaged: 10, missing: 0, is_done: true })
  expect(scrub['lost']).toBeGreaterThanOrEqual(60)
  expect(await agree()).toBeUndefined()
  expect(await collectionOf(damaged)).toMatchObject({ record_count: RECORDS, digest: before.digest })
  const record = (await ask(damaged, '/api/collections/imu/records/k00105')) as { payload: unknown }
  expect(record.payload).toEqual({ value: 105 })
  expect(await ask(damaged, '/readyz')).toEqual({ status: 'ready' })

  // Verified again, nothing is found.
  const again = await runCli(['sync', '--verify', '--timeout', '120', '--json', '--url', damaged.url], { workingDirectory: dataDir })
  expect(again.status).toBe(0)
  expect((JSON.parse(again.stdout) as { scrub: unknown }).scrub).toMatchObject({
    mended: 0,
    strays: 0,
    sums: 0,
    damaged: 0,
    lost: 0,
    missing: 0,
  })
})

it('B6 says in status, readiness and metrics what nobody has, also behind a restart', async () => {
  const dataDir = await makeFolder()
  const first = await startAgentProcess({ env: { HS_DATA_DIR: dataDir } })
  await post(first, '/api/collections/imu/records', [
    { key: 'kept', payload: 1 },
    { key: 'gone', payload: 2 },
  ])
  await first.kill()
  const store = await openLevelStore(join(dataDir, 'store'))
  const cid = (await loadCollections(store)).find(({ name }) => name === 'imu')!.cid
  const rows: Row[] = []
  for await (const row of rowsOf(store, rowsOfCollection(cid)[0]!)) rows.push(row)
  await changeRows(store, [], [rows.find(([row]) => Buffer.from(row).toString('latin1').endsWith('gone'))![0]])
  await store.close()

  const second = await startAgentProcess({ env: { HS_DATA_DIR: dataDir } })
  const { status, stderr } = await runCli(['sync', '--verify', '--timeout', '3', '--url', second.url], { workingDirectory: dataDir })
  expect(status).toBe(1)
  expect(stderr).toContain('1 records of this store are gone, and no peer has sent them')
  expect(await ask(second, '/readyz')).toMatchObject({ status: 'ready', warnings: [expect.stringContaining('1 records')] })
  const text = await (await fetch(`${second.url}/metrics`)).text()
  expect(text).toMatch(/^hs_scrub_missing 1$/m)
  expect(second.output()).toContain('imu/gone')
  await second.kill()
  const third = await startAgentProcess({ env: { HS_DATA_DIR: dataDir } })
  await ask(third, '/api/collections/imu/records/gone', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: '{"payload":3}',
  })
  expect((await runCli(['sync', '--verify', '--timeout', '30', '--url', third.url], { workingDirectory: dataDir })).status).toBe(0)
  expect(await ask(third, '/readyz')).toEqual({ status: 'ready' })
})
