/** Conditional requests (RFC 9110, section 13): the entity tags of If-Match and If-None-Match. */
import type { IncomingHttpHeaders } from 'node:http'
import type { LocalWrite } from '../../sync/replica.ts'
import { AgentError } from '../errors.ts'

interface EntityTag {
  readonly value: string
  readonly isWeak: boolean
}

/** What the headers of a PUT or DELETE ask for. Throws HS_INVALID_REQUEST for headers that are not understood. */
export function writeConditions(headers: IncomingHttpHeaders): Pick<LocalWrite, 'ifMatch' | 'ifAbsent'> {
  const ifMatch = headers['if-match']
  const ifNoneMatch = headers['if-none-match']
  if (ifNoneMatch !== undefined && ifNoneMatch.trim() !== '*') {
    throw new AgentError('HS_INVALID_REQUEST', 'a write takes "If-None-Match: *" and no other value of it')
  }
  return { ...(ifMatch === undefined ? {} : { ifMatch: strongTags(ifMatch) }), ...(ifNoneMatch === undefined ? {} : { ifAbsent: true }) }
}

/** Weak tags never match a write; an empty list never holds. */
function strongTags(header: string): string[] {
  if (header.trim() === '*') return ['*']
  return parseTags(header, 'If-Match')
    .filter(({ value, isWeak }) => !isWeak && value !== '*')
    .map(({ value }) => value)
}

/** Whether the client of a GET has this version already. */
export function isCurrent(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  return header.trim() === '*' || parseTags(header, 'If-None-Match').some(({ value }) => value === etag)
}

function parseTags(header: string, name: string): EntityTag[] {
  const tags: EntityTag[] = []
  for (const part of header.split(',')) {
    const match = /^\s*(W\/)?"([\x21\x23-\x7e]*)"\s*$/.exec(part)
    if (match === null)
      throw new AgentError('HS_INVALID_REQUEST', `${name} takes * or a list of quoted entity tags, as the ETag header gives them`)
    tags.push({ value: match[2] ?? '', isWeak: match[1] !== undefined })
  }
  return tags
}
