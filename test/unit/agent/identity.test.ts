import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { loadIdentity } from '../../../agent/identity.ts'
import { isOtherMachine, readMachine } from '../../../agent/machine.ts'
import type { MachineFacts } from '../../../agent/machine.ts'

const folders: string[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hs-identity-'))
  folders.push(folder)
  return folder
}

interface Board {
  readonly serial?: string
  readonly uuid?: string
  /** By name of the interface; those that end in ! have no device behind them, those in ? an address that was made up. */
  readonly macs?: Readonly<Record<string, string>>
}

/** What the kernel of such a board shows. */
async function readBoard({ serial, uuid, macs = {} }: Board): Promise<MachineFacts> {
  const root = await makeFolder()
  const put = async (path: string, text: string): Promise<void> => {
    await mkdir(join(root, path, '..'), { recursive: true })
    await writeFile(join(root, path), text)
  }
  if (serial !== undefined) await put('firmware/devicetree/base/serial-number', `${serial}\0`)
  if (uuid !== undefined) await put('class/dmi/id/product_uuid', `${uuid}\n`)
  for (const [name, mac] of Object.entries(macs)) {
    const at = `class/net/${name.replace(/[!?]/, '')}`
    await put(`${at}/address`, `${mac}\n`)
    await put(`${at}/addr_assign_type`, name.endsWith('?') ? '3\n' : '0\n')
    if (!name.endsWith('!')) await mkdir(join(root, at, 'device'), { recursive: true })
  }
  return readMachine(root)
}

const PI_1: Board = { serial: '10000000a1b2c3d4', macs: { eth0: 'dc:a6:32:00:00:01', wlan0: 'dc:a6:32:00:00:02', lo: '00:00:00:00:00:00' } }
const PI_2: Board = { serial: '10000000ffff0001', macs: { eth0: 'dc:a6:32:00:00:03' } }
const NOTHING: Board = {}

describe('P15 the machine', () => {
  test.each<[string, Board, Board, boolean]>([
    ['is the same with the same serial, whatever its network devices', PI_1, { ...PI_2, serial: PI_1.serial! }, false],
    ['is another with another serial, though a network adapter moved along', PI_1, { ...PI_2, macs: PI_1.macs! }, true],
    [
      'is the same with one network device in common, where there is no serial',
      { macs: PI_1.macs! },
      { macs: { usb0: 'dc:a6:32:00:00:02' } },
      false,
    ],
    ['is another with none in common', { macs: PI_1.macs! }, { macs: PI_2.macs! }, true],
    ['is not known where it tells nothing', PI_1, NOTHING, false],
    ['nor where it told nothing', NOTHING, PI_1, false],
    ['nor where the two tell different things', { serial: PI_1.serial! }, { macs: PI_2.macs! }, false],
    ['has a UUID where it has firmware', { uuid: '4c4c4544-0042-3510' }, { uuid: '4c4c4544-0042-9999' }, true],
  ])('%s', async (_title, before, now, isOther) => {
    expect(isOtherMachine(await readBoard(before), await readBoard(now))).toBe(isOther)
  })

  test.each<[string, Board]>([
    ['zeros', { serial: '0000000000000000' }],
    ['what nobody filled in', { uuid: 'To be filled by O.E.M.' }],
    ['a default', { uuid: 'Default string' }],
    ['a UUID that many boards share', { uuid: '03000200-0400-0500-0006-000700080009' }],
    ['addresses of what is no hardware, or was made up', { macs: { 'docker0!': 'dc:a6:32:11:00:02', 'eth0?': 'dc:a6:32:00:00:01' } }],
    ['an address that a virtual machine was given', { macs: { eth0: '52:54:00:12:34:56' } }],
    ['the loopback', { macs: { lo: '00:00:00:00:00:00' } }],
  ])('is not told by %s', async (_title, board) => {
    expect(await readBoard(board)).toEqual({ serial: [], mac: [] })
  })

  test('shows neither serial nor address in what is kept of it', async () => {
    const folder = await makeFolder()
    await loadIdentity(folder, await readBoard(PI_1), async () => {})
    const text = await readFile(join(folder, 'identity.json'), 'utf8')
    expect(text).not.toMatch(/a1b2c3d4|dc:a6:32/)
    expect(JSON.parse(text)).toMatchObject({ machine: { serial: [expect.stringMatching(/^[0-9a-f]{16}$/)] } })
  })
})

describe('P15 an identity', () => {
  const never = async (): Promise<void> => expect.unreachable('nothing is to be renewed')

  test('stays with its machine and counts its boots', async () => {
    const folder = await makeFolder()
    const machine = await readBoard(PI_1)
    const first = await loadIdentity(folder, machine, never)
    expect(await loadIdentity(folder, machine, never)).toEqual({ nodeId: first.nodeId, bootCounter: 2 })
    // A start without any device says nothing, and forgets nothing.
    expect(await loadIdentity(folder, await readBoard(NOTHING), never)).toEqual({ nodeId: first.nodeId, bootCounter: 3 })
    let renewals = 0
    const copy = await loadIdentity(folder, await readBoard(PI_2), async () => void (renewals += 1))
    expect(copy).toMatchObject({ copiedFrom: first.nodeId, bootCounter: 4 })
    expect(copy.nodeId).not.toBe(first.nodeId)
    expect(renewals).toBe(1)
    expect(await loadIdentity(folder, await readBoard(PI_2), never)).toEqual({ nodeId: copy.nodeId, bootCounter: 5 })
  })

  test('of an earlier version is bound to the machine that starts it next', async () => {
    const folder = await makeFolder()
    const nodeId = 'e8b37fde-6c60-427f-8a09-47103c2da80e'
    await writeFile(join(folder, 'identity.json'), JSON.stringify({ node_id: nodeId, boot_counter: 7 }))
    expect(await loadIdentity(folder, await readBoard(PI_1), never)).toEqual({ nodeId, bootCounter: 8 })
    expect((await loadIdentity(folder, await readBoard(PI_2), async () => {})).copiedFrom).toBe(nodeId)
  })

  test('that is a copy is found out again when the power fails before all is renewed', async () => {
    const folder = await makeFolder()
    const { nodeId } = await loadIdentity(folder, await readBoard(PI_1), never)
    const fails = async (): Promise<void> => Promise.reject(new Error('the power failed'))
    await expect(loadIdentity(folder, await readBoard(PI_2), fails)).rejects.toMatchObject({ code: 'HS_STORE_OPEN_FAILED' })
    expect((await loadIdentity(folder, await readBoard(PI_2), async () => {})).copiedFrom).toBe(nodeId)
  })
})
