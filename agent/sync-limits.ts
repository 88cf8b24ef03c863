/** Bounds and times of syncing, as the agent drives it. */
export const SYNC_LIMITS = {
  /** Sessions that this agent starts at once and that have not caught up yet. */
  outboundMax: 2,
  /** Sessions that peers start here at once and that have not caught up yet. */
  inboundMax: 8,
  /** At the bound of live links a new one takes the place of one that has moved nothing for so long. */
  uselessMs: 60_000,
  /** A link that has been live for so long gives way to one that its peer opens anew: to the peer it is dead. */
  establishedMs: 2_000,
  /** Delay before a session that a changed digest asks for, so that changes of one moment share it. */
  settleMs: 50,
  /** The one of a pair with the greater node id waits a little more: two sessions at once are one too many. */
  deferMs: 200,
  /** Peers, dropped ones included, above which nothing is remembered of a dropped one that is owed a session. */
  owedMax: 1_024,
  backoffMinMs: 500,
  backoffMaxMs: 30_000,
} as const
