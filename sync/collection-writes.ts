/** Creating and deleting collections: writes to the system collection. */
import type { CollectionState } from './collection-state.ts'
import { sortedEntries } from './dot.ts'
import { openGeneration, putSystemRecord, type WriteContext } from './local-write.ts'
import { refuse, type Refusal } from './refusal.ts'
import type { CollectionSettings } from './replica.ts'
import { countersOf } from './replica-snapshot.ts'
import { createdKey, DEFAULT_SETTINGS, deletedKey, SETTING_FIELDS, settingKey, SYSTEM_COLLECTION } from './settings.ts'
import type { WriteBatch } from './write-batch.ts'

type Created = { readonly ok: true; readonly created: boolean } | Refusal

/** Creates a collection, or compares an existing one's settings with the given ones. Fields that nobody has set yet can still be set. */
export function createOrCompare(context: WriteContext, batch: WriteBatch, name: string, settings: Partial<CollectionSettings>): Created {
  const { state } = context
  const existing = state.collectionByName.get(name)
  const given = SETTING_FIELDS.filter(field => settings[field] !== undefined)
  if (existing === undefined) {
    const created = openGeneration(context, batch, name)
    if ('code' in created) return created
    for (const field of given) {
      putSystemRecord(context, batch, settingKey(name, created.generation, field), { value: settings[field], explicit: true })
    }
    return { ok: true, created: true }
  }
  const { generation } = existing
  const effective = state.model.settings(name, generation)
  for (const field of given) {
    const isUnset = effective[field] === DEFAULT_SETTINGS[field] && !state.model.isExplicit(name, generation, field)
    const maySet = field === 'priority' || (isUnset && (field !== 'conflict' || existing.total.count === 0))
    if (settings[field] !== effective[field] && !maySet) {
      return refuse(
        'HS_COLLECTION_EXISTS',
        `"${name}" exists with ${field} ${JSON.stringify(effective[field] ?? null)}, not ${JSON.stringify(settings[field])}`,
      )
    }
  }
  for (const field of given) {
    if (state.model.isExplicit(name, generation, field) && settings[field] === effective[field]) continue
    putSystemRecord(context, batch, settingKey(name, generation, field), { value: settings[field], explicit: true })
  }
  return { ok: true, created: false }
}

/** Records that a generation is deleted and what had been seen of it, and takes back its settings. The caller drops the rows. */
export function deleteGeneration(context: WriteContext, batch: WriteBatch, collection: CollectionState): void {
  const { name, generation } = collection
  const vector = Object.fromEntries(sortedEntries(countersOf(collection.vector)))
  putSystemRecord(context, batch, deletedKey(name), { generation, vector })
  const system = context.state.collectionByName.get(SYSTEM_COLLECTION)
  for (const key of [createdKey(name, generation), ...SETTING_FIELDS.map(field => settingKey(name, generation, field))]) {
    if (system !== undefined && batch.entry(system, key) !== undefined) putSystemRecord(context, batch, key, undefined)
  }
}
