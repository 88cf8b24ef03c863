/**
 * A disk that fills up under real agents, with another tenant on it (P3): the reserve is kept, what was acknowledged stays, own records still
 * reach peers, and everything goes on without a restart when there is room again.
 */
import { rm, stat, statfs, writeFile } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { ask, findFreePort, makeFolder, startAgentProcess, stopEverything, until, type AgentProcess } from '../agent-process.ts'
import { canMount, mountNote } from '../mounts.ts'
import { reportFault } from '../fault-report.ts'

const MIB = 1024 ** 2
const DISK_MIB = 320
/** So much that tables can be merged in it (reclaiming.ts). */
const RESERVE_MIB = 180
const DEADLINE_MS = 60_000
const LAUNCHER = new URL('../../bin/hs-agent', import.meta.url).pathname

afterEach(stopEverything)

interface Disk {
  readonly free_bytes: number
  readonly reserve_bytes: number
  readonly full: boolean
}

const diskOf = async (agent: AgentProcess): Promise<Disk> => ((await ask(agent, '/api/cluster/status')) as { readonly disk: Disk }).disk

async function startOnSmallDisk(
  env: Readonly<Record<string, string>>,
  diskMib = DISK_MIB,
): Promise<AgentProcess & { readonly folder: string }> {
  const folder = await makeFolder()
  const script = `mount -t tmpfs -o size=${diskMib}M none "$1" && cd "$1" && exec "$2" run`
  const agent = await startAgentProcess({
    env: { HS_LOG_LEVEL: 'info', HS_DATA_DIR: folder, HS_DISK_RESERVE: `${RESERVE_MIB}MiB`, ...env },
    command: ['unshare', '--mount', 'sh', '-c', script, 'sh', folder, LAUNCHER],
  })
  // What the agent sees there, from outside of its mount namespace.
  return { ...agent, folder: `/proc/${agent.pid}/root${folder}` }
}

async function put(agent: AgentProcess, key: string, payload: unknown): Promise<{ readonly status: number; readonly code?: string }> {
  const response = await fetch(`${agent.url}/api/collections/imu/records/${key}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload }),
  })
  const { code } = (await response.json()) as { readonly code?: string }
  return { status: response.status, ...(code === undefined ? {} : { code }) }
}

async function keysOf(agent: AgentProcess): Promise<string[]> {
  const response = await fetch(`${agent.url}/api/collections/imu/records`, { headers: { accept: 'application/x-ndjson' } })
  const text = await response.text()
  return text.split('\n').flatMap(line => (line === '' ? [] : [(JSON.parse(line) as { readonly key: string }).key]))
}

/** Writes until that is refused. */
async function fill(agent: AgentProcess): Promise<{ readonly acknowledged: string[]; readonly refused: Awaited<ReturnType<typeof put>> }> {
  // Bytes that do not shrink.
  const noise = (): string => Buffer.from(crypto.getRandomValues(new Uint8Array(48 * 1024))).toString('base64')
  const acknowledged: string[] = []
  for (let i = 0; i < DISK_MIB * 20; i++) {
    const answer = await put(agent, `k${i}`, noise())
    if (answer.status !== 201) return { acknowledged, refused: answer }
    acknowledged.push(`k${i}`)
  }
  throw new Error(`${acknowledged.length} records did not fill the disk`)
}

const fullness = (agent: AgentProcess, full: boolean): Promise<unknown> =>
  until(`the disk counts as ${full ? 'full' : 'having room'}`, DEADLINE_MS, async () => {
    const disk = await diskOf(agent)
    return disk.full === full ? undefined : `${disk.free_bytes / MIB} MiB free`
  })

describe.skipIf(!canMount)(`P3 a disk that fills${mountNote}`, () => {
  it('the reserve is kept, 507 says so, deletes go on, and everything else when they have made room', async () => {
    const agent = await startOnSmallDisk({})
    const { acknowledged, refused } = await fill(agent)
    expect(refused).toEqual({ status: 507, code: 'HS_DISK_FULL' })
    expect(acknowledged.length).toBeGreaterThan(100)
    const { bavail, bsize } = await statfs(agent.folder)
    // What is written between two looks, and merged by LevelDB, comes out of the reserve.
    expect(bavail * bsize).toBeGreaterThan((RESERVE_MIB / 4) * MIB)

    const ready = await fetch(`${agent.url}/readyz`)
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining(`${RESERVE_MIB}.0 MiB are kept in reserve`)])
    const bulk = await fetch(`${agent.url}/api/collections/imu/records`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: '{"key":"b1","payload":1}\n{"key":"b2","payload":2}\n',
    })
    expect([bulk.status, await bulk.json()]).toEqual([507, expect.objectContaining({ code: 'HS_DISK_FULL' })])
    const metrics = await (await fetch(`${agent.url}/metrics`)).text()
    expect(metrics).toMatch(/^hs_disk_full 1$/m)
    const gone = acknowledged.shift()
    expect((await fetch(`${agent.url}/api/collections/imu/records/${gone}`, { method: 'DELETE' })).status).toBe(204)
    expect((await keysOf(agent)).sort()).toEqual(acknowledged.toSorted())

    // Deleting makes room: what LevelDB would merge away some day is merged now.
    expect((await fetch(`${agent.url}/api/collections/imu`, { method: 'DELETE' })).status).toBe(204)
    await fullness(agent, false)
    expect(await put(agent, 'after', 1)).toEqual({ status: 201 })
    expect((await fetch(`${agent.url}/readyz`)).status).toBe(200)
    expect(agent.output()).toContain('the disk has room again')
  })

  it('without a reserve, to the last byte: what was acknowledged stays, and writing begins again when another tenant leaves', async () => {
    const agent = await startOnSmallDisk({ HS_DISK_RESERVE: '0' }, 96)
    const filler = `${agent.folder}/another-tenant`
    await writeFile(filler, Buffer.alloc(24 * MIB))
    const { acknowledged, refused } = await fill(agent)
    expect(refused).toEqual({ status: 503, code: 'HS_STORE_WRITE_FAILED' })
    expect((await fetch(`${agent.url}/readyz`)).status).toBe(503)
    // The write that failed may be there: nobody was told that it is, or that it is not.
    const failed = `k${acknowledged.length}`
    const keptKeys = async (): Promise<string[]> => (await keysOf(agent)).filter(key => key !== failed).sort()
    expect(await keptKeys()).toEqual(acknowledged.toSorted())

    await rm(filler)
    await until('writing begins again', DEADLINE_MS, async () => {
      const answer = await put(agent, 'after', 1)
      return answer.status === 201 ? undefined : answer.code
    })
    expect((await fetch(`${agent.url}/readyz`)).status).toBe(200)
    const kept = await keptKeys()
    const lost = acknowledged.filter(key => !kept.includes(key)).length
    await reportFault({ fault: 'a disk filled to the last byte, and room again', cycles: 1, checked: acknowledged.length, lost })
    expect(kept).toEqual(['after', ...acknowledged].toSorted())
  })

  it('beside a peer: its own records go out, none come in, and both agree when there is room', async () => {
    const ports = [await findFreePort(), await findFreePort()]
    const gossip = (own: number, other: number) => ({
      HS_GOSSIP_PORT: String(ports[own]),
      HS_GOSSIP_HOST: '127.0.0.1',
      HS_GOSSIP_MULTICAST: 'off',
      HS_GOSSIP_PEERS: `127.0.0.1:${ports[other]}`,
      HS_GOSSIP_PROFILE: 'local',
    })
    const small = await startOnSmallDisk(gossip(0, 1))
    const other = await startAgentProcess({ env: gossip(1, 0) })
    await put(small, 'small/1', 1)
    await until('the two have met', DEADLINE_MS, async () => ((await keysOf(other)).length === 1 ? undefined : 'nothing has come'))
    await put(small, 'small/2', 2)

    // Another tenant takes what is left.
    const filler = `${small.folder}/another-tenant`
    const { bavail, bsize } = await statfs(small.folder)
    await writeFile(filler, Buffer.alloc(bavail * bsize - (RESERVE_MIB / 2) * MIB))
    await fullness(small, true)
    expect((await stat(filler)).size).toBeGreaterThan(0)
    expect((await fetch(`${small.url}/api/collections/imu/records/small%2F1`, { method: 'DELETE' })).status).toBe(204)
    await put(other, 'other/1', 1)
    await until('what the full one deletes goes out', DEADLINE_MS, async () => {
      const keys = await keysOf(other)
      return keys.join() === 'other/1,small/2' ? undefined : keys.join()
    })
    expect(await keysOf(small)).toEqual(['small/2'])

    await rm(filler)
    await fullness(small, false)
    await until('both hold the same', DEADLINE_MS, async () => {
      const keys = await keysOf(small)
      return keys.join() === 'other/1,small/2' ? undefined : keys.join()
    })
  })
})
