/**
 * The system collection, `_system`: collections, their settings and their deletions, as records that replicate like any others
 * (policy `siblings`) and before all others.
 *
 *   deleted/<name>                        {"generation": n, "vector": {origin: counter}}   what was deleted, and what the deleter had seen
 *   collection/<name>/<generation>/created   {"at": ms}
 *   collection/<name>/<generation>/<field>   {"value": …, "explicit": true|false}      dimension, metric, conflict, priority
 *   replica/<store id>                    who is enrolled (roster.ts)
 *
 * What holds is derived from all concurrent versions, so it does not depend on the order of arrival:
 *   deletions: the greatest generation; deletion vectors of that generation are joined;
 *   metric, priority: explicit beats implicit, then the greatest version; conflict: siblings > append > lww;
 *   dimension: explicit beats implicit, then the smallest version - the first, since a dimension once set does not change.
 */
import { decodeUtf8, encodeUtf8 } from '../base/utf8.ts'
import { decodeContent } from './content.ts'
import { joinVectors, type Origin, type VersionVector } from './dot.ts'
import type { Entry } from './entry.ts'
import { nameFault } from './key.ts'
import type { CollectionSettings, ConflictPolicy, Metric } from './replica.ts'
import { isTombstone } from './version.ts'

export const SYSTEM_COLLECTION = '_system'
export const SYSTEM_GENERATION = 1

export const METRICS: readonly Metric[] = ['cosine', 'l2', 'dot']
/** In ascending order of precedence. */
export const CONFLICT_POLICIES: readonly ConflictPolicy[] = ['lww', 'append', 'siblings']

export const DEFAULT_SETTINGS: CollectionSettings = { dimension: undefined, metric: 'cosine', conflict: 'lww', priority: 0 }

/** Priorities are whole numbers from -PRIORITY_MAX to PRIORITY_MAX. */
export const PRIORITY_MAX = 100

export const SETTING_FIELDS = ['dimension', 'metric', 'conflict', 'priority'] as const
export type SettingField = (typeof SETTING_FIELDS)[number]

export const deletedKey = (name: string): string => `deleted/${name}`
export const createdKey = (name: string, generation: number): string => `collection/${name}/${generation}/created`
export const settingKey = (name: string, generation: number, field: SettingField): string => `collection/${name}/${generation}/${field}`

/** The collection that a record of the system collection is about, if any. */
export function collectionOfSystemKey(key: string): string | undefined {
  return key.startsWith('deleted/') || key.startsWith('collection/') ? key.split('/')[1] : undefined
}

/** JSON as payload bytes. */
export function jsonBytes(value: unknown): Uint8Array {
  const bytes = encodeUtf8(JSON.stringify(value))
  if (bytes === undefined) throw new Error('broken invariant: JSON.stringify escapes lone surrogates')
  return bytes
}

interface Generation {
  createdAtMs: number | undefined
  settings: CollectionSettings
  readonly explicit: Set<SettingField>
}

interface NameState {
  deletedGeneration: number
  deletedVector: VersionVector
  readonly generations: Map<number, Generation>
}

/** What the system collection says, kept up as its entries change. */
export interface SettingsModel {
  /** Takes a new entry of the system collection; returns the name of the collection that it is about. */
  apply(key: string, entry: Entry): string | undefined
  deletedGeneration(name: string): number
  /** What the deleters of the latest deleted generation had seen. */
  deletedVector(name: string): VersionVector
  /** The generation of `name` that exists: created, and above the deleted one. */
  liveGeneration(name: string): number | undefined
  createdAtMs(name: string, generation: number): number
  settings(name: string, generation: number): CollectionSettings
  isExplicit(name: string, generation: number, field: SettingField): boolean
  /** Every name that was ever created or deleted. */
  names(): Iterable<string>
}

export function createSettingsModel(): SettingsModel {
  const stateByName = new Map<string, NameState>()

  const stateOf = (name: string): NameState => {
    let state = stateByName.get(name)
    if (state === undefined) {
      state = { deletedGeneration: 0, deletedVector: new Map(), generations: new Map() }
      stateByName.set(name, state)
    }
    return state
  }
  const generationOf = (name: string, number: number): Generation => {
    const { generations } = stateOf(name)
    let generation = generations.get(number)
    if (generation === undefined) {
      generation = { createdAtMs: undefined, settings: DEFAULT_SETTINGS, explicit: new Set() }
      generations.set(number, generation)
    }
    return generation
  }

  return {
    apply(key, entry) {
      const parts = key.split('/')
      const name = parts[1] ?? ''
      if (nameFault(name) !== undefined) return undefined
      const values = readJsonObjects(entry)
      if (parts[0] === 'deleted' && parts.length === 2) {
        applyDeletion(stateOf(name), values)
        return name
      }
      const number = Number(parts[2])
      if (parts[0] !== 'collection' || parts.length !== 4 || !Number.isSafeInteger(number) || number < 1) return undefined
      if (parts[3] === 'created') {
        const times = values.map(value => value['at']).filter(at => typeof at === 'number')
        const generation = generationOf(name, number)
        generation.createdAtMs = times.length === 0 ? undefined : Math.min(...times)
      } else {
        const field = SETTING_FIELDS.find(known => known === parts[3])
        if (field !== undefined) applySetting(generationOf(name, number), field, values)
      }
      return name
    },
    deletedGeneration: name => stateByName.get(name)?.deletedGeneration ?? 0,
    deletedVector: name => stateByName.get(name)?.deletedVector ?? new Map(),
    liveGeneration(name) {
      const state = stateByName.get(name)
      if (state === undefined) return undefined
      const live = [...state.generations].filter(
        ([number, { createdAtMs }]) => number > state.deletedGeneration && createdAtMs !== undefined,
      )
      return live.length === 0 ? undefined : Math.max(...live.map(([number]) => number))
    },
    createdAtMs: (name, generation) => stateByName.get(name)?.generations.get(generation)?.createdAtMs ?? 0,
    settings: (name, generation) => stateByName.get(name)?.generations.get(generation)?.settings ?? DEFAULT_SETTINGS,
    isExplicit: (name, generation, field) => stateByName.get(name)?.generations.get(generation)?.explicit.has(field) ?? false,
    names: () => stateByName.keys(),
  }
}

type JsonObject = Readonly<Record<string, unknown>>

/** The JSON objects of an entry's versions that are not tombstones, greatest version first. What is not understood is passed over. */
export function readJsonObjects(entry: Entry): JsonObject[] {
  const values: JsonObject[] = []
  for (const version of entry) {
    const payload = isTombstone(version) ? undefined : decodeContent(version)?.payload
    const text = payload === undefined ? undefined : decodeUtf8(payload)
    const value = text === undefined ? undefined : parseJson(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) values.push(value as JsonObject)
  }
  return values
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function applyDeletion(state: NameState, values: readonly JsonObject[]): void {
  for (const value of values) {
    const generation = value['generation']
    if (typeof generation !== 'number' || !Number.isSafeInteger(generation) || generation < state.deletedGeneration) continue
    const vector = readVector(value['vector'])
    state.deletedVector = generation > state.deletedGeneration ? vector : joinVectors(state.deletedVector, vector)
    state.deletedGeneration = generation
  }
}

function readVector(value: unknown): Map<Origin, number> {
  const vector = new Map<Origin, number>()
  if (typeof value !== 'object' || value === null) return vector
  for (const [origin, counter] of Object.entries(value)) {
    if (/^[0-9a-f]{32}$/.test(origin) && Number.isSafeInteger(counter) && counter > 0) vector.set(origin, counter)
  }
  return vector
}

function applySetting(generation: Generation, field: SettingField, values: readonly JsonObject[]): void {
  const valid = values.filter(({ value }) => isSettingValue(field, value))
  const explicit = valid.filter(value => value['explicit'] === true)
  const candidates = explicit.length > 0 ? explicit : valid
  if (explicit.length > 0) generation.explicit.add(field)
  else generation.explicit.delete(field)
  let value = field === 'dimension' ? candidates.at(-1)?.['value'] : candidates[0]?.['value']
  if (field === 'conflict') {
    const ranks = candidates.map(candidate => CONFLICT_POLICIES.indexOf(candidate['value'] as ConflictPolicy))
    value = CONFLICT_POLICIES[Math.max(...ranks)]
  }
  generation.settings = { ...generation.settings, [field]: value ?? DEFAULT_SETTINGS[field] }
}

function isSettingValue(field: SettingField, value: unknown): boolean {
  if (field === 'dimension') return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= 65_536
  if (field === 'priority') return isPriority(value)
  const allowed: readonly unknown[] = field === 'metric' ? METRICS : CONFLICT_POLICIES
  return allowed.includes(value)
}

/** What is wrong with settings that a user gives. */
export function settingsFault(settings: Partial<CollectionSettings>): string | undefined {
  const unfit = SETTING_FIELDS.find(field => settings[field] !== undefined && !isSettingValue(field, settings[field]))
  return unfit && `${unfit} cannot be ${JSON.stringify(settings[unfit])}`
}

export function isPriority(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && Math.abs(value) <= PRIORITY_MAX
}
