/**
 * Turns HS_GOSSIP_PEERS into addresses, and does so again now and then: names move, and a board may boot before its network is up.
 * One look-up at a time, so that slow name servers hold at most one of Node's worker threads. A name that does not resolve keeps
 * the addresses it had.
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Address } from '../swarm/address.ts'
import { canonicalHost } from '../swarm/address.ts'

const RESOLVE_INTERVAL_MS = 30_000
/** Addresses taken from one name. */
const ADDRESSES_PER_NAME = 8

export type Lookup = (host: string) => Promise<readonly string[]>

/** What has become of one of HS_GOSSIP_PEERS. */
export interface SeedLookup extends Address {
  /** Those that it stands for, the last known ones when the last look-up failed; empty before the first answer. */
  readonly addresses: readonly string[]
  /** Why the last look-up failed: ENOTFOUND, EAI_AGAIN, ... */
  readonly code: string | undefined
}

export interface SeedWatch {
  list(): readonly SeedLookup[]
  /** Looks all names up again now: the network has changed. */
  refresh(): void
  close(): void
}

export function systemLookup(family: 4 | 6): Lookup {
  // A socket for IPv6 reaches IPv4 too.
  return async host => (await lookup(host, { all: true, family: family === 4 ? 4 : 0 })).map(({ address }) => address)
}

/** Calls back at once with the addresses that need no look-up, then whenever more are known or some have changed. */
export function watchSeeds(
  seeds: readonly Address[],
  resolve: Lookup,
  onResolved: (addresses: readonly Address[]) => void,
  intervalMs = RESOLVE_INTERVAL_MS,
): SeedWatch {
  const hostsByName = new Map<string, readonly string[]>()
  const codeByName = new Map<string, string>()
  const names: string[] = []
  for (const { host } of seeds) {
    if (isIP(host) !== 0) hostsByName.set(host, [canonicalHost(host)])
    else if (!names.includes(host)) names.push(host)
  }
  let closed = false
  let underWay = false
  let again = false
  let told = ''

  const tell = (): void => {
    const addresses = seeds.flatMap(({ host, port }) => (hostsByName.get(host) ?? []).map(found => ({ host: found, port })))
    const text = JSON.stringify(addresses)
    if (closed || text === told) return
    told = text
    onResolved(addresses)
  }

  const round = async (): Promise<void> => {
    if (underWay) {
      again = true
      return
    }
    underWay = true
    do {
      again = false
      for (const name of names) {
        if (closed) return
        const found = await resolve(name).catch((error: unknown) => {
          codeByName.set(name, error instanceof Error && 'code' in error ? String(error.code) : 'EFAIL')
          return []
        })
        if (found.length > 0) codeByName.delete(name)
        if (found.length > 0) hostsByName.set(name, [...new Set(found.slice(0, ADDRESSES_PER_NAME).map(canonicalHost))])
        tell()
      }
    } while (again)
    underWay = false
  }

  tell()
  const timer = names.length === 0 ? undefined : setInterval(() => void round(), intervalMs)
  void round()
  return {
    list: () => seeds.map(({ host, port }) => ({ host, port, addresses: hostsByName.get(host) ?? [], code: codeByName.get(host) })),
    refresh: () => void round(),
    close() {
      closed = true
      clearInterval(timer)
    },
  }
}
