/**
 * Looks after a live link when gossip says that the two differ: what a live link has not told by then is a reason for a round, and a link on
 * which nothing is heard although gossip gets through is dead, whatever TCP believes (P4).
 */
import type { LiveControl } from '../sync/live.ts'

export const LIVE_WATCH_LIMITS = {
  /** What has changed is told on the link at once; after so long it is missed. */
  untoldMs: 1_500,
  /** Beyond the pings of a healthy link, which come every 5 to 7.5 s. */
  silentMs: 8_000,
  /** While the two differ without end, as they do when somebody writes all the time, there is a round this often. */
  roundMs: 30_000,
} as const

export interface WatchedLink {
  silenceMs(): number
  close(): void
}

export interface LiveWatch {
  /** Gossip: the peer's digests have changed, or ours, and they differ. */
  differs(): void
  stop(): void
}

export interface LiveWatchOptions {
  readonly link: WatchedLink
  readonly control: LiveControl
  readonly differing: () => boolean
  readonly nowMs: () => number
  /** The link was closed from here: it is dead. */
  readonly onDead: () => void
}

export function createLiveWatch({ link, control, differing, nowMs, onDead }: LiveWatchOptions): LiveWatch {
  const { untoldMs, silentMs, roundMs } = LIVE_WATCH_LIMITS
  let timer: NodeJS.Timeout | undefined
  let messagesBefore = 0
  let roundAtMs = -roundMs
  let wasAsked = false

  const lookLater = (): void => {
    if (timer !== undefined) return
    messagesBefore = control.messagesReceived()
    timer = setTimeout(look, untoldMs)
    timer.unref()
  }
  const giveUp = (): void => {
    link.close()
    onDead()
  }
  const look = (): void => {
    timer = undefined
    if (!differing()) {
      wasAsked = false
      return
    }
    const isStill = control.messagesReceived() === messagesBefore
    // Asked for a round, a living peer answers at once.
    if (wasAsked && isStill && link.silenceMs() > untoldMs) return giveUp()
    wasAsked = isStill && !control.isMoving()
    if (wasAsked || nowMs() - roundAtMs >= roundMs) {
      roundAtMs = nowMs()
      control.requestRound()
    }
    lookLater()
  }
  return {
    differs() {
      if (link.silenceMs() > silentMs) giveUp()
      else lookLater()
    },
    stop: () => clearTimeout(timer),
  }
}
