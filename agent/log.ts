/** The agent's log: one JSON object a line on standard output, behind the line that says where the agent listens. */
import { destination, pino, stdTimeFunctions, type Logger } from 'pino'

export interface HeldLog {
  readonly log: Logger
  /** Lets the log through; until then its lines wait, few as they are while an agent starts. */
  readonly release: () => void
}

export function createLog(level: string, nodeName: string): HeldLog {
  const output = destination({ fd: 1, sync: true })
  const held: string[] = []
  let isHeld = true
  const stream = { write: (line: string): void => void (isHeld ? held.push(line) : output.write(line)) }
  const options = {
    level,
    base: { node: nodeName },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  return {
    log: pino(options, stream),
    release() {
      isHeld = false
      for (const line of held.splice(0)) output.write(line)
    },
  }
}
