/** Headers of conditional writes (RFC 9110, section 13). */
import { createUsageError } from './arguments.ts'

/** `ifMatch` is an ETag with or without its quotes, or `*`. */
export function conditionHeaders(ifMatch: string | undefined, ifAbsent: boolean | undefined): Record<string, string> {
  if (ifMatch !== undefined && ifAbsent === true) throw createUsageError('--if-match and --if-absent exclude one another')
  if (ifAbsent === true) return { 'if-none-match': '*' }
  if (ifMatch === undefined) return {}
  const bare = ifMatch.replace(/^"(.*)"$/, '$1')
  if (!/^[\u0021\u0023-\u007e]+$/.test(bare)) throw createUsageError('--if-match must be an ETag, such as the one that put prints')
  return { 'if-match': bare === '*' ? '*' : `"${bare}"` }
}
