/** Bodies, and lines of them, that are one JSON object. */
import { AgentError, type ErrorCode } from '../errors.ts'

/** Why what was sent is not taken. */
export interface JsonFault {
  readonly code: ErrorCode
  readonly detail: string
}

/** The object that a text holds. `what` names it in the fault. */
export function parseJsonObject(text: string, what: string): { readonly object: object } | JsonFault {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return { code: 'HS_INVALID_JSON', detail: error instanceof Error ? error.message : 'not JSON' }
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { object: value }
  return { code: 'HS_INVALID_REQUEST', detail: `${what} is a JSON object` }
}

/** The same for a body of its own. Throws HS_INVALID_JSON or HS_INVALID_REQUEST. */
export function readJsonObject(text: string, what: string): object {
  const parsed = parseJsonObject(text, what)
  if ('code' in parsed) throw new AgentError(parsed.code, parsed.detail)
  return parsed.object
}

/** A name that nobody knows, as a fault shows it. */
export const quoteName = (name: string): string => JSON.stringify(name.slice(0, 100))

export function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(element => typeof element === 'number')
}
