/**
 * What tells this machine from another one, so that a copied card is noticed at its first start in another robot. Not
 * /etc/machine-id: that is copied with the card.
 *
 *   serial   the board's serial number from the device tree (ARM boards), or the firmware's UUID (PCs; readable by root alone)
 *   mac      addresses of network devices that are hardware, as their makers have burnt them in
 *
 * Only hashes are kept. A fact that many machines share ("To be filled by O.E.M.", zeros) is none. Where there is no fact, as in most
 * containers, nothing is concluded.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemHash } from './ports.ts'

export interface MachineFacts {
  /** 16 hexadecimal digits each. */
  readonly serial: readonly string[]
  readonly mac: readonly string[]
}

const SERIAL_FILES = ['firmware/devicetree/base/serial-number', 'class/dmi/id/product_uuid'] as const
const FACTS_MAX = 32
/** What firmware says that nobody has filled in. The UUID is one that several makers ship. */
const MEANINGLESS = /^(.)\1*$|o\.?e\.?m|default|not |none|unknown|system|03000200-0400-0500-0006-000700080009/i
const PERMANENT = '0'

/** Reads what the kernel says under `root` (/sys). Never throws. */
export async function readMachine(root = '/sys'): Promise<MachineFacts> {
  const serial: string[] = []
  for (const path of SERIAL_FILES) addFact(serial, 'serial', await readText(join(root, path)))
  const mac: string[] = []
  const network = join(root, 'class/net')
  const names = await readdir(network).catch(() => [])
  for (const name of names.slice(0, FACTS_MAX)) {
    // Bridges, tunnels and containers have no device behind them; what the system has made up is not the machine's.
    const isHardware = (await readdir(join(network, name, 'device')).catch(() => undefined)) !== undefined
    const isPermanent = (await readText(join(network, name, 'addr_assign_type'))) === PERMANENT
    const address = await readText(join(network, name, 'address'))
    if (isHardware && isPermanent && !isLocal(address)) addFact(mac, 'mac', address)
  }
  return { serial, mac }
}

/** Whether the two are known to be different machines: by their serials where both have one, else by having no network device in common. */
export function isOtherMachine(before: MachineFacts, now: MachineFacts): boolean {
  const kind = before.serial.length > 0 && now.serial.length > 0 ? 'serial' : 'mac'
  if (before[kind].length === 0 || now[kind].length === 0) return false
  return !before[kind].some(fact => now[kind].includes(fact))
}

/** What is known of one machine from two readings: a device that is unplugged today was there all the same. */
export function mergeFacts(before: MachineFacts, now: MachineFacts): MachineFacts {
  const merge = (kind: keyof MachineFacts): string[] => [...new Set([...now[kind], ...before[kind]])].slice(0, FACTS_MAX)
  return { serial: merge('serial'), mac: merge('mac') }
}

/** Given by whoever runs the machine, and to a virtual one perhaps anew at every boot (IEEE 802: the second bit of the first byte). */
function isLocal(address: string): boolean {
  return (Number.parseInt(address.slice(0, 2), 16) & 2) !== 0
}

function addFact(facts: string[], kind: string, text: string): void {
  const value = text.toLowerCase()
  if (value.length < 4 || MEANINGLESS.test(value.replaceAll(/[:-]/g, '')) || MEANINGLESS.test(value)) return
  facts.push(Buffer.from(systemHash.sha256(Buffer.from(`hs-agent machine\0${kind}\0${value}`)).subarray(0, 8)).toString('hex'))
}

async function readText(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '')
  // The device tree ends its texts with a zero byte.
  return text.replaceAll('\0', '').trim()
}
