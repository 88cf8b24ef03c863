/** The agent's log: one JSON object a line on standard output. */
import { pino, type Logger } from 'pino'

export function createLog(level: string, nodeName: string): Logger {
  return pino({
    level,
    base: { node: nodeName },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: label => ({ level: label }) },
  })
}
