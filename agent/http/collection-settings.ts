/** Settings of collections as JSON: what is replicated, and what this node keeps to itself. */
import { Value } from 'typebox/value'
import type { CollectionSettings, CollectionView, LocalSettingsChange } from '../../sync/replica.ts'
import { TTL_MS_MAX, TTL_MS_MIN, type Retention } from '../../sync/retention.ts'
import { duration } from '../config-type.ts'
import { AgentError } from '../errors.ts'
import { quoteName, readJsonObject } from './json-object.ts'
import { checkName } from './path-key.ts'
import { CollectionInput, CollectionNodeInput, type RetentionInputJson, type RetentionJson } from './schemas.ts'

export interface CollectionCreation {
  readonly name: string
  readonly settings: Partial<CollectionSettings>
  readonly local: LocalSettingsChange
}

/** Reads the body that creates a collection. Throws HS_INVALID_*. */
export function parseCreation(text: string): CollectionCreation {
  const input = readJsonObject(text, 'a collection')
  checkFields(input, CollectionInput.properties)
  const name = 'name' in input ? input.name : undefined
  if (typeof name !== 'string') throw new AgentError('HS_INVALID_NAME', 'a collection needs a name, a string')
  checkName(name)
  if (!Value.Check(CollectionInput, input)) throw new AgentError('HS_INVALID_SETTINGS', settingsRule(Value.Errors(CollectionInput, input)))
  const { name: _name, sync, retention, ...settings } = input
  return { name, settings, local: toLocal(sync, retention) }
}

/** Reads the body that changes what this node keeps of a collection. Throws HS_INVALID_*. */
export function parseLocalChange(text: string): LocalSettingsChange {
  const input = readJsonObject(text, 'a change of settings')
  for (const field of ['dimension', 'metric', 'conflict']) {
    if (field in input) throw new AgentError('HS_INVALID_SETTINGS', `${field} does not change once it is set: POST sets it where it is not`)
  }
  checkFields(input, CollectionNodeInput.properties)
  if (!Value.Check(CollectionNodeInput, input)) {
    throw new AgentError('HS_INVALID_SETTINGS', settingsRule(Value.Errors(CollectionNodeInput, input)))
  }
  return toLocal(input.sync, input.retention)
}

function checkFields(input: object, known: object): void {
  const unknown = Object.keys(input).find(field => !Object.hasOwn(known, field))
  if (unknown !== undefined) throw new AgentError('HS_INVALID_SETTINGS', `a collection has no setting ${quoteName(unknown)}`)
}

function toLocal(sync: LocalSettingsChange['sync'], retention: RetentionInputJson | null | undefined): LocalSettingsChange {
  return {
    ...(sync === undefined ? {} : { sync }),
    ...(retention === undefined ? {} : { retention: retention && readRetention(retention) }),
  }
}

function readRetention(input: RetentionInputJson): Retention {
  const { ttl, ttl_ms: ttlMs, max_records: recordsMax, max_bytes: bytesMax, policy } = input
  if (ttl !== undefined && ttlMs !== undefined)
    throw new AgentError('HS_INVALID_SETTINGS', 'ttl and ttl_ms are one setting: give one of them')
  const read = ttl === undefined ? undefined : duration.parse(ttl, { min: TTL_MS_MIN, max: TTL_MS_MAX }, '')
  if (read?.ok === false) throw new AgentError('HS_INVALID_SETTINGS', `ttl ${read.rule}`)
  const ms = read?.value ?? ttlMs
  if (ms === undefined && recordsMax === undefined && bytesMax === undefined) {
    throw new AgentError('HS_INVALID_SETTINGS', 'retention has one of ttl, ttl_ms, max_records, max_bytes; null takes it back')
  }
  return {
    ...(ms === undefined ? {} : { ttlMs: ms }),
    ...(recordsMax === undefined ? {} : { recordsMax }),
    ...(bytesMax === undefined ? {} : { bytesMax }),
    policy: policy ?? 'drop_oldest',
  }
}

const RULES: Readonly<Record<string, string>> = {
  dimension: 'dimension is an integer from 1 to 65536',
  metric: 'metric is one of cosine, l2, dot',
  conflict: 'conflict is one of lww, siblings, append',
  sync: 'sync is one of both, push, pull, none',
  priority: 'priority is an integer from -100 to 100',
  retention:
    'retention is an object of ttl (with its unit, as in "7d") or ttl_ms (1000 or more), max_records (1 or more), max_bytes (1024 or more), and ' +
    'policy: reject, drop_oldest or drop_lowest_priority',
}

function settingsRule(errors: readonly { readonly instancePath: string }[]): string {
  const field = errors[0]?.instancePath.split('/')[1] ?? ''
  return RULES[field] ?? 'the settings do not have the expected form'
}

export function toRetentionJson(retention: Retention | undefined): RetentionJson | null {
  if (retention === undefined) return null
  const { ttlMs, recordsMax, bytesMax, policy } = retention
  return {
    ...(ttlMs === undefined ? {} : { ttl_ms: ttlMs }),
    ...(recordsMax === undefined ? {} : { max_records: recordsMax }),
    ...(bytesMax === undefined ? {} : { max_bytes: bytesMax }),
    policy,
  }
}

/** Why a creation does not fit what this node keeps of a collection that is there; undefined when it does, or sets what is not set. */
export function localConflict({ name, node }: CollectionView, { sync, retention }: LocalSettingsChange): string | undefined {
  if (sync !== undefined && node.isSyncSet && sync !== node.sync) return `"${name}" exists with sync "${node.sync}" on this node`
  if (retention === undefined || node.retention === undefined) return undefined
  const [own, given] = [node.retention, retention].map(value => JSON.stringify(toRetentionJson(value ?? undefined)))
  return own === given ? undefined : `"${name}" exists with retention ${own} on this node`
}
