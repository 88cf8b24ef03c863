/** What can be said of this machine without an agent: data directory, disk, network interfaces, clock. Nothing is changed or made. */
import { constants } from 'node:fs'
import { access, readdir, readFile, stat, statfs } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { dirname, join } from 'node:path'
import { isLoopback } from '../../agent/config-address.ts'
import type { Config } from '../../agent/config.ts'
import { CLOCK_SET_AFTER_MS, clockUnset } from '../../agent/diagnosis/explain-network.ts'
import { found, type Finding } from '../../agent/diagnosis/finding.ts'
import { chooseInterfaces, familyOf, leftOutInterfaces } from '../../agent/gossip-interfaces.ts'
import { formatBytes } from '../words.ts'
import { ownerOfLock } from './process-of.ts'

/** Less than this share of the disk is warned of; less than these bytes, and the store cannot even be opened after a failed write. */
const FREE_SHARE_MIN = 0.05
const FREE_BYTES_MIN = 16 * 1024 * 1024

/** `isRunning`: an agent answers, so the directory may well be in use. */
export async function checkDataDirectory({ dataDir }: Config, isRunning: boolean): Promise<Finding[]> {
  const existing = await nearestFolder(dataDir)
  const name = `The data directory ${dataDir}`
  const isThere = existing === dataDir
  // Another directory than these settings name is none of this command's business.
  if (isRunning && !isThere) return []
  const findings: Finding[] = []
  try {
    if (existing === undefined || !(await stat(existing)).isDirectory()) throw new Error('a part of its path is a file')
    await access(existing, constants.R_OK | constants.W_OK | constants.X_OK)
    const owner = isThere ? await ownerOfLock(join(dataDir, 'store/LOCK')) : undefined
    if (owner !== undefined && !isRunning) {
      findings.push(
        found(
          'fault',
          'agent-unreachable',
          'HS_DATA_DIR',
          `${name} is open in ${owner.name} (process ${owner.pid}), and no agent answers`,
          {
            reason: 'an agent runs, and HS_URL (or HS_HTTP_PORT) is not its address; or it is starting, or hangs',
            advice: 'its first line of output, or its log, says its URL: give it as --url',
          },
        ),
      )
    } else findings.push(found('ok', 'data-directory', 'HS_DATA_DIR', `${name} ${isThere ? 'can be written' : 'can be made'}`))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
    findings.push(
      found(
        'fault',
        'data-directory',
        'HS_DATA_DIR',
        `${name} cannot be used: ${code ?? (error instanceof Error ? error.message : String(error))}`,
        {
          reason:
            code === 'EROFS'
              ? 'the file system is mounted read-only'
              : code === 'EACCES'
                ? 'this user may not write there'
                : 'see HS_DATA_DIR',
          advice:
            code === 'EACCES'
              ? 'run this as the user of the agent (`sudo -u hs-agent`), or choose another HS_DATA_DIR'
              : 'mend it, or choose another HS_DATA_DIR',
        },
      ),
    )
  }
  return existing === undefined ? findings : [...findings, ...(await checkDisk(existing))]
}

async function checkDisk(folder: string): Promise<Finding[]> {
  const { bavail, bsize, blocks } = await statfs(folder)
  const [freeBytes, allBytes] = [bavail * bsize, blocks * bsize]
  // What has no size, as some file systems say, is not full.
  if (allBytes === 0) return []
  const seen = `The disk of ${folder} has ${formatBytes(freeBytes)} of ${formatBytes(allBytes)} free`
  if (freeBytes < FREE_BYTES_MIN) {
    return [
      found('fault', 'disk', 'disk', seen, {
        reason: 'writes are refused when it is full',
        advice: 'make room: what is synced can be deleted here',
      }),
    ]
  }
  const isLow = freeBytes < FREE_SHARE_MIN * allBytes
  return [
    isLow ? found('warning', 'disk', 'disk', seen, { advice: 'make room before writes are refused' }) : found('ok', 'disk', 'disk', seen),
  ]
}

async function nearestFolder(path: string): Promise<string | undefined> {
  const isThere = await stat(path).then(
    () => true,
    () => false,
  )
  if (isThere) return path
  return dirname(path) === path ? undefined : nearestFolder(dirname(path))
}

/** For an agent that is to find others. */
export async function checkInterfaces(config: Config): Promise<Finding[]> {
  const { gossipPort, gossipMulticast, gossipHost, gossipInterfaces } = config
  if (gossipPort === undefined) {
    return [
      found(
        'warning',
        'gossip-off',
        'HS_GOSSIP_PORT',
        'Gossip is off: an agent with these settings neither looks for others nor answers them',
        {
          reason: 'neither HS_GOSSIP_PORT nor HS_GOSSIP_PEERS is set',
          advice: 'set HS_GOSSIP_PORT=7946 to meet other robots',
        },
      ),
    ]
  }
  if (gossipMulticast === undefined) return []
  const present = networkInterfaces()
  const named = gossipInterfaces.length === 0 ? undefined : gossipInterfaces
  const family = familyOf(gossipMulticast.host)
  const chosen = chooseInterfaces(present, named, gossipHost, family)
  const missing = gossipInterfaces.filter(wanted => !chosen.some(({ name, address }) => name === wanted || address === wanted))
  const down = await interfacesDown()
  const findings = missing.map(name =>
    found(
      'fault',
      'interface-missing',
      name,
      `${name}, which HS_GOSSIP_INTERFACE names, ${down.includes(name) ? 'is down' : `is not there or has no ${family} address`}`,
      {
        reason: down.includes(name)
          ? 'its cable is out, or its radio has not joined a network'
          : 'a typing error, or no address was given to it',
        advice: `compare with \`ip addr\``,
      },
    ),
  )
  const isInward = chosen.every(({ address }) => isLoopback(address))
  const leftOut = leftOutInterfaces(present, named, gossipHost, family).filter(({ reason }) => reason !== 'loopback')
  const others = [
    ...leftOut.map(({ name, reason }) => `${name} (${LEFT_OUT[reason]})`),
    ...down.filter(name => !missing.includes(name)).map(name => `${name} (down)`),
  ]
  const besides = others.length === 0 ? '' : `; left out: ${others.join(', ')}`
  const where = chosen.map(({ name, address }) => `${name} (${address})`).join(', ')
  if (isInward && named === undefined) {
    findings.push(
      found('fault', 'no-interface', 'network', `No network interface leads out of this machine${besides}`, {
        reason: 'the cable is out, the radio has not joined a network, or no address was given',
        advice: 'bring a network up (`ip addr`); the agent takes it as soon as it is there',
      }),
    )
  } else if (chosen.length > 0) findings.push(found('ok', 'multicast', 'network', `Discovery goes out on ${where}${besides}`))
  return findings
}

const LEFT_OUT = {
  loopback: 'loopback',
  container: 'of a container engine',
  'not-named': 'not named by HS_GOSSIP_INTERFACE',
  'not-bound': 'HS_GOSSIP_HOST is another address',
} as const

/** Interfaces that are there and down: the system lists their addresses, if at all, without saying so. */
async function interfacesDown(): Promise<string[]> {
  const names = await readdir('/sys/class/net').catch(() => [])
  const down: string[] = []
  for (const name of names.slice(0, 64)) {
    const state = (await readFile(`/sys/class/net/${name}/operstate`, 'utf8').catch(() => '')).trim()
    if (state === 'down' || state === 'lowerlayerdown' || state === 'notpresent') down.push(name)
  }
  return down
}

export function checkClock(wallMs: number): Finding[] {
  return wallMs < CLOCK_SET_AFTER_MS
    ? [clockUnset(wallMs)]
    : [found('ok', 'clock', 'clock', `The clock says ${new Date(wallMs).toISOString().slice(0, 16)}Z`)]
}
