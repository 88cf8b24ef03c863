/**
 * Who this agent is: `identity.json` in the data directory, apart from the database so that it outlives it.
 * The boot counter grows with every start; peers tell restarts by it.
 */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { BOOT_COUNTER_MAX } from '../swarm/identity.ts'
import { replaceFile } from './durable-file.ts'
import { AgentError } from './errors.ts'

export interface Identity {
  /** A UUID. */
  readonly nodeId: string
  readonly bootCounter: number
}

const FILE = 'identity.json'

/** Reads the identity, or makes one, and counts this boot; durable when it resolves. Throws AgentError HS_STORE_OPEN_FAILED. */
export async function loadIdentity(dataDir: string): Promise<Identity> {
  const path = join(dataDir, FILE)
  try {
    const previous = await readIdentity(path)
    const identity: Identity = { nodeId: previous?.nodeId ?? randomUUID(), bootCounter: (previous?.bootCounter ?? 0) + 1 }
    await replaceFile(path, `${JSON.stringify({ node_id: identity.nodeId, boot_counter: identity.bootCounter }, undefined, 2)}\n`)
    return identity
  } catch (error) {
    if (error instanceof AgentError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new AgentError('HS_STORE_OPEN_FAILED', `the identity in ${path} cannot be read or written: ${reason}`, { cause: error })
  }
}

async function readIdentity(path: string): Promise<Identity | undefined> {
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
  return { nodeId, bootCounter }
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
