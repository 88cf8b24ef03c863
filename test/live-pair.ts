/** Two replicas on a link that stays open, in virtual time; what goes over it is on record. */
import { systemHash } from '../agent/ports.ts'
import { decodeMessage } from '../sync/message-codec.ts'
import type { Message } from '../sync/messages.ts'
import type { LiveControl } from '../sync/live.ts'
import type { OpenReplica } from '../sync/open-replica.ts'
import { runSession, type CollectionProgress, type SessionResult } from '../sync/session.ts'
import { codec, createTestLink, helloOf } from './replica-pair.ts'
import type { VirtualTime } from './virtual-time.ts'

export interface LivePair {
  /** By the side that sent them: 0, who opened the link, or 1. */
  readonly sent: readonly [Message[], Message[]]
  readonly progress: readonly [CollectionProgress[], CollectionProgress[]]
  readonly controls: readonly [LiveControl | undefined, LiveControl | undefined]
  /** Messages so far. */
  count(): number
  close(): void
  readonly results: Promise<readonly [SessionResult, SessionResult]>
}

/** Begins a session that goes live. `cutAfter`: the link closes when so many messages have been sent. `tamper` may change one on its way. */
export function startLive(
  time: VirtualTime,
  a: OpenReplica,
  b: OpenReplica,
  cutAfter = Number.POSITIVE_INFINITY,
  tamper?: (bytes: Uint8Array) => Uint8Array,
): LivePair {
  const sent: [Message[], Message[]] = [[], []]
  const progress: [CollectionProgress[], CollectionProgress[]] = [[], []]
  const controls: [LiveControl | undefined, LiveControl | undefined] = [undefined, undefined]
  const link = createTestLink(cutAfter, tamper)
  const run = (replica: OpenReplica, side: 0 | 1): Promise<SessionResult> => {
    const end = link.ends[side]
    return runSession({
      link: {
        ...end,
        async send(bytes) {
          const message = decodeMessage(codec, bytes)
          if (message !== undefined) sent[side].push(message)
          await end.send(bytes)
        },
      },
      replica,
      codec,
      hash: systemHash,
      isInitiator: side === 0,
      hello: () => ({ ...helloOf(replica), isLive: true }),
      refusal: () => undefined,
      live: { after: (delayMs, action) => time.after(delayMs, action), onLive: control => void (controls[side] = control) },
      onProgress: event => void progress[side].push(event),
    })
  }
  return {
    sent,
    progress,
    controls,
    count: () => link.messages,
    close: () => link.ends[0].close(),
    results: Promise.all([run(a, 0), run(b, 1)]),
  }
}
