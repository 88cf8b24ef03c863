/**
 * Who this agent is: `identity.json` in the data directory, apart from the database so that it outlives it.
 * The boot counter grows with every start; peers tell restarts by it.
 *
 * The identity belongs to the machine (machine.ts). Found on another one it is a copy, of a card or of a backup: it becomes a new
 * node, so that no two nodes have one identity.
 */
import { randomUUID } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { BOOT_COUNTER_MAX } from '../swarm/identity.ts'
import { writeDurably } from './durable-file.ts'
import { AgentError } from './errors.ts'
import { isOtherMachine, mergeFacts, type MachineFacts } from './machine.ts'

export interface Identity {
  /** A UUID. */
  readonly nodeId: string
  readonly bootCounter: number
  /** Who this was on the machine where it was copied; present at the one start that found out. */
  readonly copiedFrom?: string
}

interface StoredIdentity {
  readonly nodeId: string
  readonly bootCounter: number
  readonly machine: MachineFacts
}

const FILE = 'identity.json'

/**
 * Reads the identity, or makes one, and counts this boot; durable when it resolves. `renew` is called first when the identity is a
 * copy: what else names this node is to be renewed too; when it fails, or the power does, the next start finds the copy again.
 * Throws AgentError HS_STORE_OPEN_FAILED.
 */
export async function loadIdentity(dataDir: string, machine: MachineFacts, renew: () => Promise<void>): Promise<Identity> {
  const path = join(dataDir, FILE)
  try {
    const previous = await readIdentity(path)
    const isCopy = previous !== undefined && isOtherMachine(previous.machine, machine)
    if (isCopy) await renew()
    const identity: Identity = {
      nodeId: previous === undefined || isCopy ? randomUUID() : previous.nodeId,
      bootCounter: (previous?.bootCounter ?? 0) + 1,
      ...(isCopy && { copiedFrom: previous.nodeId }),
    }
    const facts = previous === undefined || isCopy ? machine : mergeFacts(previous.machine, machine)
    const fields = { node_id: identity.nodeId, boot_counter: identity.bootCounter, machine: facts }
    await writeDurably(path, `${JSON.stringify(fields, undefined, 2)}\n`)
    return identity
  } catch (error) {
    if (error instanceof AgentError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new AgentError('HS_STORE_OPEN_FAILED', `the identity in ${path} cannot be read or written: ${reason}`, { cause: error })
  }
}

/** Whether this node has run before. */
export async function isIdentityThere(dataDir: string): Promise<boolean> {
  return (await stat(join(dataDir, FILE)).catch(() => undefined)) !== undefined
}

async function readIdentity(path: string): Promise<StoredIdentity | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  const fields = parseObject(text)
  const nodeId = fields['node_id']
  const bootCounter = fields['boot_counter']
  const isNodeId = typeof nodeId === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(nodeId)
  if (
    !isNodeId ||
    typeof bootCounter !== 'number' ||
    !Number.isSafeInteger(bootCounter) ||
    bootCounter < 0 ||
    bootCounter >= BOOT_COUNTER_MAX
  ) {
    throw new AgentError('HS_STORE_OPEN_FAILED', `${path} does not hold an identity; restore it, or remove it to become a new node`)
  }
  // Missing where an earlier version wrote it: then this machine is the one.
  return { nodeId, bootCounter, machine: toFacts(fields['machine']) }
}

function toFacts(value: unknown): MachineFacts {
  const fields: Record<string, unknown> = typeof value === 'object' && value !== null ? { ...value } : {}
  const texts = (list: unknown): string[] => (Array.isArray(list) ? list.filter(item => typeof item === 'string') : [])
  return { serial: texts(fields['serial']), mac: texts(fields['mac']) }
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

/** Cloned images share host names: the node id tells them apart. */
export function defaultNodeName(nodeId: string): string {
  return `${hostname()}-${nodeId.slice(0, 4)}`
}
