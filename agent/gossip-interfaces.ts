/** Which network interfaces take part in multicast discovery. */
import { isIPv6 } from 'node:net'
import type { NetworkInterfaceInfo } from 'node:os'

export interface Interface {
  readonly name: string
  /** Its first address of the group's family. */
  readonly address: string
}

/** That of the discovery group. */
export type Family = 'IPv4' | 'IPv6'

export const familyOf = (group: string | undefined): Family => (group !== undefined && isIPv6(group) ? 'IPv6' : 'IPv4')

/** Others can answer to it. A link-local address of IPv6 means something only together with an interface, which differs from host to host. */
const isUsable = ({ address, family }: NetworkInterfaceInfo, wanted: Family): boolean => family === wanted && !/^fe[89ab]/i.test(address)

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
  family: Family,
): Interface[] {
  const all: (Interface & { readonly internal: boolean })[] = []
  for (const [name, addresses = []] of Object.entries(found)) {
    for (const info of addresses) if (isUsable(info, family)) all.push({ name, address: info.address, internal: info.internal })
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
  family: Family,
): (Interface & { readonly reason: LeftOutFor })[] {
  const chosen = new Set(chooseInterfaces(found, named, boundHost, family).map(({ name }) => name))
  const leftOut: (Interface & { readonly reason: LeftOutFor })[] = []
  for (const [name, addresses = []] of Object.entries(found)) {
    const first = addresses.find(info => isUsable(info, family))
    if (first === undefined || chosen.has(name)) continue
    const isAnywhere = boundHost === '0.0.0.0' || boundHost === '::'
    const isBound = isAnywhere || addresses.some(({ address }) => address === boundHost)
    const reason = !isBound ? 'not-bound' : named !== undefined ? 'not-named' : first.internal ? 'loopback' : 'container'
    leftOut.push({ name, address: first.address, reason })
  }
  return leftOut
}
