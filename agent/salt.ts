/** HS_DIGEST_SALT as bytes; without one, zeros. */
import { fromHex, toHex } from '../base/bytes.ts'
import { createItemHasher, SALT_BYTES } from '../sync/digest.ts'
import { systemHash } from './ports.ts'

export const saltOf = (digestSalt: string | undefined): Uint8Array =>
  (digestSalt === undefined ? undefined : fromHex(digestSalt)) ?? new Uint8Array(SALT_BYTES)

/** What two agents compare to know that they have the same one, in hex. */
export const saltIdOf = (digestSalt: string | undefined): string => toHex(createItemHasher(systemHash, saltOf(digestSalt)).saltId)
