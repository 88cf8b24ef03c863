/** Cursors of the change feed, as the agent gives them. */
import { createUsageError } from './arguments.ts'

/** Throws HS_USAGE for what cannot be one. */
export function checkedCursor(text: string | undefined): string | undefined {
  if (text === undefined || /^(0|[0-9a-f]{16}\.\d{1,16})$/.test(text)) return text
  throw createUsageError('--since must be 0, or a cursor that watch has printed')
}
