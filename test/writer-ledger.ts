/** Runs writer-process.ts, remembers what it has acknowledged, and compares that with what is found when it is gone. */
import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { systemHash } from '../agent/ports.ts'
import { findAuditFault } from '../sync/store-audit.ts'
import { cleanEnvironment } from './agent-process.ts'
import { NO_SALT, openOwnReplica } from '../agent/offline-replica.ts'
import { contentOf } from './replica-pair.ts'

const PROGRAM = fileURLToPath(new URL('writer-process.ts', import.meta.url))

/** What a key may hold: as acknowledged last, or as the write says that nobody has answered. */
interface Expected {
  acknowledged: string
  readonly underWay: string[]
}
const GONE = '-'

export interface Ledger {
  readonly byKey: Map<string, Expected>
  /** Writes that were acknowledged. */
  acknowledged: number
}

export const createLedger = (): Ledger => ({ byKey: new Map(), acknowledged: 0 })

export interface WriterSettings {
  readonly folder: string
  readonly seed: number
  readonly durability: 'fsync' | 'async'
  /** Where compiled code may lie between runs: starting takes a third of the time then. */
  readonly cacheFolder: string
  /** In front of `node`. */
  readonly wrapper?: readonly string[]
}

export interface RunningWriter {
  readonly child: ChildProcess
  readonly pid: number
  /** Resolves when it is open and writes. */
  readonly ready: Promise<void>
  /** Resolves when it has ended and all that it said has been noted. */
  readonly ended: Promise<void>
}

export function startWriter(ledger: Ledger, { folder, seed, durability, cacheFolder, wrapper = [] }: WriterSettings): RunningWriter {
  const words = [process.execPath, PROGRAM, folder, String(seed), durability]
  // `env` does nothing but run what follows it.
  const child = spawn('env', [...wrapper, ...words], {
    env: { ...cleanEnvironment(), NODE_COMPILE_CACHE: cacheFolder },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ready = Promise.withResolvers<void>()
  ready.promise.catch(() => {})
  let errors = ''
  child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  let partial = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    const lines = (partial + chunk.toString()).split('\n')
    partial = lines.pop() ?? ''
    for (const line of lines)
      if (line === 'ready') ready.resolve()
      else note(ledger, line)
  })
  const ended = new Promise<void>(resolve => {
    child.once('close', status => {
      ready.reject(new Error(`the writer ended with ${status}: ${errors}`))
      resolve()
    })
  })
  return { child, pid: child.pid ?? 0, ready: ready.promise, ended }
}

function note(ledger: Ledger, line: string): void {
  const [sign, key = '', value = ''] = line.split(' ')
  let expected = ledger.byKey.get(key)
  if (expected === undefined) ledger.byKey.set(key, (expected = { acknowledged: GONE, underWay: [] }))
  if (sign === '>') expected.underWay.push(value)
  if (sign !== '=') return
  expected.acknowledged = expected.underWay.splice(0).at(-1) ?? GONE
  ledger.acknowledged += 1
}

export interface Settlement {
  /** Acknowledged writes that are not there. */
  readonly lost: readonly string[]
  /** Whatever else is wrong. */
  readonly faults: readonly string[]
  /** How the opening went: `fine`, or what came back. */
  readonly kind: string
}

/** Opens the directory, compares, takes what is there for what is known, and closes it again. */
export async function settle(folder: string, ledger: Ledger): Promise<Settlement> {
  const own = await openOwnReplica(folder)
  try {
    const found = await contentOf(own.replica, 'c')
    const lost: string[] = []
    const faults: string[] = []
    for (const [key, { acknowledged, underWay }] of ledger.byKey) {
      const payload = found[key]
      const value = payload === undefined ? GONE : (JSON.parse(payload) as string)
      if (value !== acknowledged && !underWay.includes(value))
        lost.push(`${key} is ${value.slice(0, 20)}, not ${acknowledged.slice(0, 20)}`)
      if (value === GONE) ledger.byKey.delete(key)
      else ledger.byKey.set(key, { acknowledged: value, underWay: [] })
    }
    for (const key of Object.keys(found)) if (!ledger.byKey.has(key)) faults.push(`${key} was never written`)
    // Digests, counts and logs, computed again from the records (P14).
    const audit = await findAuditFault(own.directory.opened.store, systemHash, NO_SALT)
    if (audit !== undefined) faults.push(audit)
    return { lost, faults, kind: own.comeback?.kind ?? 'fine' }
  } finally {
    await own.close()
  }
}
