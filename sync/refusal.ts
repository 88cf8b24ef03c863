/** Why the data layer says no to a caller: a code of the closed table in `agent/errors.ts`, and one sentence. */

export type RefusalCode =
  | 'HS_INVALID_NAME'
  | 'HS_INVALID_KEY'
  | 'HS_INVALID_PAYLOAD'
  | 'HS_INVALID_VECTOR'
  | 'HS_INVALID_SETTINGS'
  | 'HS_TOO_LARGE'
  | 'HS_NOT_FOUND'
  | 'HS_COLLECTION_EXISTS'
  | 'HS_COLLECTION_LIMIT'
  | 'HS_COLLECTION_FULL'
  | 'HS_DISK_FULL'
  | 'HS_PRECONDITION_FAILED'
  | 'HS_STORE_WRITE_FAILED'

export interface Refusal {
  readonly ok: false
  readonly code: RefusalCode
  readonly detail: string
}

export function refuse(code: RefusalCode, detail: string): Refusal {
  return { ok: false, code, detail }
}

/** A write that could not be made durable is the environment's fault, and an answer, not an exception. */
export async function attempt<T>(action: () => Promise<T>): Promise<T | Refusal> {
  try {
    return await action()
  } catch (error) {
    return refuse('HS_STORE_WRITE_FAILED', error instanceof Error ? error.message : String(error))
  }
}
