/** The types of settings that name an address: hosts, `host:port`, multicast groups, network interfaces, URLs. */
import { isIP, isIPv4, isIPv6 } from 'node:net'
import { bad, good, splitList } from './config-type.ts'
import type { SettingType } from './config-type.ts'

export interface HostPort {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string
  /** 1 to 65535. */
  readonly port: number
}

const peersMax = 256
const interfacesMax = 16

// Letters, digits, - and _ in labels of at most 63, as resolvers take them; a last label of digits would be a mistyped address.
const hostName = /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*(?!\d+\.?$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?$/i

const isHost = (text: string): boolean => isIP(text) !== 0 || hostName.test(text)

/** `[::1]` without its brackets, as the system's calls take it. */
const unbracket = (text: string): string => /^\[(.*)\]$/.exec(text)?.[1] ?? text

/** `host:port` as people write it: IPv6 in brackets. */
export const formatHostPort = ({ host, port }: HostPort): string => (isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`)

/** Reads `host:port`, `1.2.3.4:port` or `[v6]:port`; undefined when it is none of these. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  if (match === null) return undefined
  const [, bracketed, plain] = match
  const port = Number(match[3])
  if (port < 1 || port > 65535) return undefined
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: bracketed, port } : undefined
  return plain !== undefined && isHost(plain) ? { host: plain, port } : undefined
}

/** Whether only programs on this machine can reach what is bound to this host. Unsure means no. */
export const isLoopback = (host: string): boolean =>
  host.toLowerCase() === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))

export const host: SettingType<string> = {
  form: () => 'host name or IP address',
  parse: text => (isHost(unbracket(text)) ? good(unbracket(text)) : bad(`must be a ${host.form({})}`)),
}

export const ipAddress: SettingType<string> = {
  form: () => 'IP address',
  parse: text => (isIP(unbracket(text)) === 0 ? bad(`must be an ${ipAddress.form({})}`) : good(unbracket(text))),
}

export const hostPortList: SettingType<readonly HostPort[]> = {
  form: () => `up to ${peersMax} \`host:port\`, comma separated; IPv6 as \`[address]:port\``,
  parse(text) {
    const items = [...new Set(splitList(text))]
    const wrong = items.find(item => parseHostPort(item) === undefined)
    if (wrong !== undefined) return bad(`must be ${hostPortList.form({})}; \`${wrong}\` is not of that form`)
    if (items.length > peersMax) return bad(`must be ${hostPortList.form({})}; there are ${items.length}`)
    return good(items.map(parseHostPort).filter(address => address !== undefined))
  },
  format: addresses => addresses.map(formatHostPort).join(','),
}

/** Groups of one interface or link (scopes 1 and 2, RFC 4291) are left out: one socket could not hear them on several interfaces. */
function isGroup(address: string): boolean {
  if (isIPv6(address)) return /^ff[0-9a-f][3-9a-f]:/i.test(address)
  const first = Number(address.split('.')[0])
  return first >= 224 && first <= 239
}

/** A multicast group with its port; undefined when `off`. */
export const multicastGroup: SettingType<HostPort | undefined> = {
  form: () => '`group:port` with a group from 224.0.0.0 to 239.255.255.255, `[group]:port` with one from ff03:: on, or `off`',
  parse(text) {
    if (text === 'off') return good(undefined)
    const address = parseHostPort(text)
    if (address === undefined || isIP(address.host) === 0) return bad(`must be ${multicastGroup.form({})}`)
    return isGroup(address.host) ? good(address) : bad(`must be ${multicastGroup.form({})}; ${address.host} is no such group`)
  },
  format: address => (address === undefined ? 'off' : formatHostPort(address)),
}

/** Names or addresses of network interfaces; empty means all of them. */
export const interfaceList: SettingType<readonly string[]> = {
  form: () => `\`all\`, or up to ${interfacesMax} interface names or addresses, comma separated`,
  parse(text) {
    const items = [...new Set(splitList(text))]
    if (items.length === 1 && items[0] === 'all') return good([])
    // Linux: at most 15 bytes, neither a slash nor white space.
    const allowed = items.every(item => isIP(item) !== 0 || /^[^\s/:]{1,15}$/.test(item)) && !items.includes('all')
    return allowed && items.length <= interfacesMax ? good(items) : bad(`must be ${interfaceList.form({})}`)
  },
  format: items => (items.length === 0 ? 'all' : items.join(',')),
}

/** `http(s)://host[:port][/prefix]`; the value ends without a slash. */
export const httpUrl: SettingType<string> = {
  form: () => 'URL of the form `http://host:port` or `https://host:port`',
  parse(text) {
    const url = URL.parse(text)
    if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '') return bad(`must be a ${httpUrl.form({})}`)
    if (url.username !== '' || url.password !== '') return bad('must not hold a user or password: the token goes into HS_API_TOKEN')
    if (url.search !== '' || url.hash !== '') return bad(`must be a ${httpUrl.form({})}, without \`?\` or \`#\``)
    return good(url.href.replace(/\/+$/, ''))
  },
}
