/** Which process has a port or a lock, as far as /proc tells this user. Linux alone; elsewhere, and for others' processes, nothing is known. */
import { readdir, readFile, readlink, stat } from 'node:fs/promises'

export interface Owner {
  readonly pid: number
  /** `hs-agent`, or the name of its program. */
  readonly name: string
}

const LISTENING = '0A'

/** What listens on a TCP port, or has bound a UDP port. */
export async function ownerOfPort(protocol: 'tcp' | 'udp', port: number): Promise<Owner | undefined> {
  const inodes = new Set<string>()
  for (const table of [protocol, `${protocol}6`]) {
    for (const line of (await readText(`/proc/net/${table}`)).split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      const [local = '', state, inode] = [fields[1], fields[3], fields[9]]
      const isBound = Number.parseInt(local.split(':')[1] ?? '', 16) === port && (protocol === 'udp' || state === LISTENING)
      if (isBound && inode !== undefined) inodes.add(`socket:[${inode}]`)
    }
  }
  return inodes.size === 0 ? undefined : findHolder(inodes)
}

/** Who has locked a file (fcntl). */
export async function ownerOfLock(path: string): Promise<Owner | undefined> {
  const file = await stat(path).catch(() => undefined)
  if (file === undefined) return undefined
  for (const line of (await readText('/proc/locks')).split('\n')) {
    // 1: POSIX  ADVISORY  WRITE 1234 08:01:5678 0 EOF
    const [, pid, place] = /(?:WRITE|READ)\s+(\d+)\s+(\S+)/.exec(line) ?? []
    if (pid !== undefined && place?.endsWith(`:${file.ino}`) === true) return { pid: Number(pid), name: await nameOf(Number(pid)) }
  }
  return undefined
}

async function findHolder(sockets: ReadonlySet<string>): Promise<Owner | undefined> {
  for (const pid of (await list('/proc')).filter(name => /^\d+$/.test(name))) {
    for (const descriptor of await list(`/proc/${pid}/fd`)) {
      const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '')
      if (sockets.has(target)) return { pid: Number(pid), name: await nameOf(Number(pid)) }
    }
  }
  return undefined
}

async function nameOf(pid: number): Promise<string> {
  const words = (await readText(`/proc/${pid}/cmdline`)).split('\0')
  if (words.some(word => /(?:^|\/)hs-agent(?:\.ts|\.js|\.mjs)?$/.test(word))) return 'hs-agent'
  return words[0]?.split('/').at(-1) || (await readText(`/proc/${pid}/comm`)).trim() || 'a process'
}

const readText = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')
const list = (path: string): Promise<string[]> => readdir(path).catch(() => [])
