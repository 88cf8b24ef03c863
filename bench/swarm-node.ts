/** One node of a swarm under comparison: a process in the namespace of a robot. */

export interface SwarmNode {
  /** Starts the process, up to where it would speak to others. */
  prepare(): Promise<void>
  /** Lets it meet the swarm, now: resolves as soon as that has been asked for. */
  join(): Promise<void>
  /** Waits until the process is up and its list is being watched. */
  untilUp(): Promise<void>
  /** Stops it (SIGSTOP), or lets it go on. */
  pause(isPaused: boolean): void
  /** kill -9. */
  kill(): Promise<void>
}
