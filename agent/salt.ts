/** HS_DIGEST_SALT as bytes; without one, zeros. A database remembers which one its digests are made with. */
import { equalBytes, fromHex, toHex } from '../base/bytes.ts'
import { createItemHasher, SALT_BYTES } from '../sync/digest.ts'
import { metaRow } from '../sync/rows.ts'
import type { Store, StoreReader } from '../sync/store.ts'
import { systemHash } from './ports.ts'

export const saltOf = (digestSalt: string | undefined): Uint8Array =>
  (digestSalt === undefined ? undefined : fromHex(digestSalt)) ?? new Uint8Array(SALT_BYTES)

const saltIdBytes = (digestSalt: Uint8Array): Uint8Array => createItemHasher(systemHash, digestSalt).saltId

/** What two agents compare to know that they have the same one, in hex. */
export const saltIdOf = (digestSalt: string | undefined): string => toHex(saltIdBytes(saltOf(digestSalt)))

/** Why a database cannot be read with this salt: its digests are made with another one, so all of it would count as damaged. */
export function findOtherSalt(store: Pick<StoreReader, 'get'>, digestSalt: Uint8Array): string | undefined {
  const remembered = store.get(metaRow('salt'))
  return remembered === undefined || equalBytes(remembered, saltIdBytes(digestSalt))
    ? undefined
    : 'HS_DIGEST_SALT is another one than this database was made with: set that one again, or run `hs-agent repair`, which makes all digests anew with this one'
}

/** A database of before it was remembered is taken to have been made with this one. */
export async function rememberSalt(store: Store, digestSalt: Uint8Array): Promise<void> {
  if (store.get(metaRow('salt')) !== undefined) return
  const batch = store.batch()
  batch.put(metaRow('salt'), saltIdBytes(digestSalt))
  await batch.write({ sync: true })
}
