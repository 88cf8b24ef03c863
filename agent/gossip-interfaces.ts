/** Which network interfaces take part in multicast discovery. */
import type { NetworkInterfaceInfo } from 'node:os'

export interface Interface {
  readonly name: string
  /** Its first IPv4 address. */
  readonly address: string
}

/** Made by container engines: discovery there would find the containers of this machine, at addresses that nobody else can reach. */
const VIRTUAL = /^(docker|veth|br-)/

/**
 * Chooses from `os.networkInterfaces()`, one address each: those named in HS_GOSSIP_INTERFACE (by name or address); without that all
 * but loopback and those of container engines, or loopback when there is nothing else. A socket bound to one address speaks through
 * its interface alone.
 */
export function chooseInterfaces(
  found: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>,
  named: readonly string[] | undefined,
  boundHost: string,
): Interface[] {
  const all: (Interface & { readonly internal: boolean })[] = []
  for (const [name, addresses = []] of Object.entries(found)) {
    for (const { address, family, internal } of addresses) if (family === 'IPv4') all.push({ name, address, internal })
  }
  const anywhere = boundHost === '0.0.0.0' || boundHost === '::'
  const usable = all.filter(({ address }) => anywhere || address === boundHost)
  const isNamed = ({ name, address }: Interface): boolean => named?.some(one => one === name || one === address) ?? false
  const outward = usable.filter(({ name, internal }) => !internal && !VIRTUAL.test(name))
  const inward = usable.filter(({ internal }) => internal)
  // Bound to one address: that is a choice too, whatever the interface is called.
  const unnamed = anywhere ? (outward.length > 0 ? outward : inward) : usable
  const chosen = named === undefined ? unnamed : usable.filter(isNamed)
  const firstByName = new Map<string, Interface>()
  for (const { name, address } of chosen) if (!firstByName.has(name)) firstByName.set(name, { name, address })
  return [...firstByName.values()]
}

export type LeftOutFor = 'loopback' | 'container' | 'not-named' | 'not-bound'

/** The interfaces that `chooseInterfaces` leaves out, by its rules, each with the reason; an interface is listed once. */
export function leftOutInterfaces(
  found: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>,
  named: readonly string[] | undefined,
  boundHost: string,
): (Interface & { readonly reason: LeftOutFor })[] {
  const chosen = new Set(chooseInterfaces(found, named, boundHost).map(({ name }) => name))
  const leftOut: (Interface & { readonly reason: LeftOutFor })[] = []
  for (const [name, addresses = []] of Object.entries(found)) {
    const first = addresses.find(({ family }) => family === 'IPv4')
    if (first === undefined || chosen.has(name)) continue
    const isAnywhere = boundHost === '0.0.0.0' || boundHost === '::'
    const isBound = isAnywhere || addresses.some(({ address }) => address === boundHost)
    const reason = !isBound ? 'not-bound' : named !== undefined ? 'not-named' : first.internal ? 'loopback' : 'container'
    leftOut.push({ name, address: first.address, reason })
  }
  return leftOut
}
