/** What a node says of itself to be shown to users and reached by them. A change of it raises its incarnation. */

export type Role = 'edge' | 'leader' | 'follower'
/** The index is the number on the wire. */
export const ROLES: readonly Role[] = ['edge', 'leader', 'follower']

export interface NodeDescription {
  readonly nodeName: string
  readonly role: Role
  readonly httpPort: number
  readonly httpReachable: boolean
  readonly secured: boolean
  /** Whether it speaks to the discovery group. */
  readonly multicast: boolean
}

/** UTF-16 units. */
export const NODE_NAME_LENGTH_MAX = 128

/** Whether a node may bear this name: 1 to 128 UTF-16 units without control characters or lone surrogates. */
export function isNodeName(name: string): boolean {
  return name.length > 0 && name.length <= NODE_NAME_LENGTH_MAX && !/\p{Cc}|\p{Cs}/u.test(name)
}

/** The description alone, and of what came with it. */
export function describe(from: NodeDescription): NodeDescription {
  const { nodeName, role, httpPort, httpReachable, secured, multicast } = from
  return { nodeName, role, httpPort, httpReachable, secured, multicast }
}

export function isSameDescription(a: NodeDescription, b: NodeDescription): boolean {
  return (
    a.nodeName === b.nodeName &&
    a.role === b.role &&
    a.httpPort === b.httpPort &&
    a.httpReachable === b.httpReachable &&
    a.secured === b.secured &&
    a.multicast === b.multicast
  )
}
