/** The Lamport clock of a replica. */

/** A peer's clock further ahead than this, or beyond the absolute bound, is not followed. The same bounds as in gossip. */
const JUMP_MAX = 2 ** 40
const CLOCK_MAX = 2 ** 50

/** The greater of both; a clock that far ahead is a fault or a lie, and following it would leave no room above (P6). */
export function followClock(own: number, theirs: number): number {
  return theirs - own > JUMP_MAX || theirs > CLOCK_MAX ? own : Math.max(own, theirs)
}
