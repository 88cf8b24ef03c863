/** Record keys in paths, and percent escapes in general. */
import { nameFault, keyFault } from '../../sync/key.ts'
import { AgentError } from '../errors.ts'

/**
 * The key of `/api/collections/NAME/records/KEY`: everything behind the last of these slashes, decoded once. A key's own slashes may
 * come as they are or as %2F. Throws HS_INVALID_KEY.
 */
export function keyOfUrl(url: string): string {
  return readKey(keyPart(url))
}

/**
 * The key of `/api/collections/NAME/records/KEY/proof`, undefined when the path is not one. A key that itself ends so is told apart by its
 * last slash, which is then written %2F. Throws HS_INVALID_KEY.
 */
export function keyOfProofUrl(url: string): string | undefined {
  const part = keyPart(url)
  const slash = part.lastIndexOf('/')
  return slash >= 0 && decodePercent(part.slice(slash + 1)) === 'proof' ? readKey(part.slice(0, slash)) : undefined
}

/** Everything behind the fifth slash, still encoded. */
function keyPart(url: string): string {
  const path = pathOf(url)
  let at = 0
  for (let slashes = 0; slashes < 5; slashes++) at = path.indexOf('/', at) + 1
  return path.slice(at)
}

function readKey(encoded: string): string {
  const key = decodePercent(encoded)
  if (key === undefined) throw new AgentError('HS_INVALID_KEY', 'the key in the path is not percent-encoded UTF-8')
  const fault = keyFault(key)
  if (fault !== undefined) throw new AgentError('HS_INVALID_KEY', fault)
  return key
}

/** Whether a path would have a key, were its escapes valid. */
export function hasKey(url: string): boolean {
  return /^\/api\/collections\/[^/]*\/records\/./.test(pathOf(url))
}

export function pathOf(url: string): string {
  return url.split(/[?#]/, 1)[0] ?? ''
}

/** Strict: undefined for a broken escape, escapes that are not UTF-8, and raw bytes outside of ASCII. */
export function decodePercent(text: string): string | undefined {
  if (/[^\x21-\x7e]/.test(text)) return undefined
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** The collection name of a path, checked. Throws HS_INVALID_NAME. */
export function checkName(name: string): string {
  const fault = nameFault(name)
  if (fault !== undefined) throw new AgentError('HS_INVALID_NAME', fault)
  return name
}
