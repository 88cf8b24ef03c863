/**
 * Versions from a file, as another replica or this one once held them: merged in under their own dots, so that what is here already, or was written
 * over or deleted since, stays as it is. What is new is rescued (rescue.ts): it waits for the first peer that knows anything of the collection,
 * and what that one does not know is issued anew.
 */
import { createOrCompare } from './collection-writes.ts'
import type { WriteContext } from './local-write.ts'
import { attempt, refuse, type Refusal } from './refusal.ts'
import type { CollectionSettings, MergedVersion, Replica } from './replica.ts'
import { createRescue, type RescueOptions } from './rescue.ts'
import { settingsFault } from './settings.ts'
import { isTombstone } from './version.ts'
import type { WriteBatch } from './write-batch.ts'

export interface VersionMergeOptions extends RescueOptions {
  /** As ReplicaOptions has it. */
  readonly noRoom: () => string | undefined
  /** Brings a collection within its bounds. */
  readonly enforce: (collection: string) => Promise<void>
}

export function createVersionMerge(options: VersionMergeOptions): Pick<Replica, 'openForVersions' | 'mergeVersions'> {
  const { context, submit, noRoom, enforce } = options
  const rescuer = createRescue(options)
  return {
    async openForVersions(name, generation, settings) {
      const unfit = settingsFault(settings)
      if (unfit !== undefined) return refuse('HS_INVALID_SETTINGS', unfit)
      return attempt(() => submit(batch => openExactly(context, batch, name, generation, settings)))
    },
    async mergeVersions(collection, generation, versions) {
      const reason = noRoom()
      if (reason !== undefined && versions.some(({ version }) => !isTombstone(version))) return refuse('HS_DISK_FULL', reason)
      const named = ({ key, version }: MergedVersion) => ({
        collection,
        generation,
        run: undefined,
        key,
        version,
        isImported: true as const,
      })
      return attempt(async () => {
        const { rescued, known, unplaceable, refused } = await rescuer.rescue(versions.map(named))
        await enforce(collection)
        return { ok: true, taken: rescued, known, unplaceable, refused }
      })
    },
  }
}

/** Dots are counted anew in each generation: one of another must not get any of them. */
function openExactly(
  context: WriteContext,
  batch: WriteBatch,
  name: string,
  generation: number,
  settings: Partial<CollectionSettings>,
): { readonly ok: true } | Refusal {
  const { state } = context
  const present = state.collectionByName.get(name)?.generation
  const next = present ?? state.model.deletedGeneration(name) + 1
  if (next !== generation) {
    const here = present === undefined ? `the next one here is generation ${next}` : `here is generation ${next}`
    return refuse(
      'HS_COLLECTION_EXISTS',
      `the versions are of generation ${generation} of "${name}", and ${here}: import its records instead`,
    )
  }
  if (present !== undefined) return { ok: true }
  const created = createOrCompare(context, batch, name, settings)
  return created.ok ? { ok: true } : created
}
