/** Looks at one other robot: its name, its peer link, and its own view where it may be asked. */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { host as hostType, parseHostPort } from '../../agent/config-address.ts'
import { gossipPortUsual } from '../../agent/config-table.ts'
import { explainPair } from '../../agent/diagnosis/explain-pair.ts'
import type { Finding } from '../../agent/diagnosis/finding.ts'
import type { DiagnosisJson } from '../../agent/diagnosis/shape.ts'
import { askLink } from '../../agent/link-inquiry.ts'
import { createUsageError } from '../arguments.ts'

/** Addresses of one name that are tried. */
const ADDRESSES_MAX = 4

export interface HostAsked {
  readonly host: string
  readonly port: number | undefined
}

/** `HOST`, `HOST:PORT`, `[v6]:PORT`. Throws HS_USAGE. */
export function parseHostAsked(text: string): HostAsked {
  const both = parseHostPort(text)
  if (both !== undefined) return both
  const parsed = hostType.parse(text, {}, '')
  if (!parsed.ok) throw createUsageError(`doctor: HOST must be a host name or address, perhaps with a port, not ${JSON.stringify(text)}`)
  return { host: parsed.value, port: undefined }
}

export async function checkPair(
  asked: HostAsked,
  known: { readonly ownPort: number | undefined; readonly here: DiagnosisJson | undefined; readonly there: DiagnosisJson | undefined },
): Promise<Finding[]> {
  const { host } = asked
  const ownPort = known.here?.node.gossip_port ?? known.ownPort
  // Port 0 was picked at the start: the other one's is another.
  const port = asked.port ?? known.there?.node.gossip_port ?? (ownPort === undefined || ownPort === 0 ? gossipPortUsual : ownPort)
  const { addresses, nameError } = await resolve(host)
  const isOwn = (address: string): boolean => Object.values(networkInterfaces()).some(list => list?.some(one => one.address === address))
  const isSelf = known.here !== undefined && port === known.here.node.gossip_port && addresses.some(isOwn)
  const answers = isSelf ? [] : await Promise.all(addresses.map(async address => ({ address, answer: await askLink(address, port) })))
  return explainPair({
    host,
    port,
    isPortAsked: asked.port !== undefined,
    addresses: answers,
    isSelf,
    nameError,
    here: known.here,
    there: known.there,
  })
}

async function resolve(host: string): Promise<{ addresses: string[]; nameError: string | undefined }> {
  if (isIP(host) !== 0) return { addresses: [host], nameError: undefined }
  try {
    const found = await lookup(host, { all: true })
    return { addresses: [...new Set(found.map(({ address }) => address))].slice(0, ADDRESSES_MAX), nameError: undefined }
  } catch (error) {
    return { addresses: [], nameError: error instanceof Error && 'code' in error ? String(error.code) : String(error) }
  }
}
