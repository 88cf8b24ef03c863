import { constants } from 'node:os'
import { AgentError, EXIT } from '../../agent/errors.ts'
import type { Agent } from '../../agent/agent.ts'
import type { Config } from '../../agent/config.ts'
import { defineCommand } from '../command.ts'
import { describeFailure } from '../failure.ts'
import { print, printError, printJson } from '../terminal.ts'
import { version } from '../version.ts'

/** Closing flushes what is under way; a disk that hangs must not keep the process up for ever. */
const closeMsMax = 20_000

/**
 * Resolves at the first SIGINT or SIGTERM behind a start; at the second, and at one before the agent is up, the process exits at once,
 * as the signal would have it: nothing has been acknowledged by then.
 */
const firstSignal = (isUp: () => boolean): Promise<void> =>
  new Promise(resolve => {
    let isTold = false
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (isTold || !isUp()) process.exit(128 + constants.signals[signal])
        isTold = true
        resolve()
      })
    }
  })

/** An error that nobody caught is a bug: one line in the log, and systemd starts us again. */
function exitOnUncaught(error: unknown): void {
  const { message, stack } = error instanceof Error ? error : { message: String(error), stack: undefined }
  print(JSON.stringify({ level: 60, time: Date.now(), msg: 'uncaught error', err: { message, stack } }))
  process.exit(EXIT.failed)
}

/**
 * SIGHUP: reads the settings again and takes over the swarm keys, so that they can be changed without a restart. With a terminal the
 * signal means that the terminal is gone, and ends the process as ever.
 */
function rereadKeysOnHangup(config: () => Promise<Config>, agent: Agent): void {
  if (process.stdin.isTTY || process.stdout.isTTY) return
  process.on('SIGHUP', () => {
    config()
      .then(({ swarmKeys }) => agent.useSwarmKeys(swarmKeys))
      .catch((error: unknown) => print(JSON.stringify({ level: 'error', time: Date.now(), msg: `SIGHUP: ${describeFailure(error).text}` })))
  })
}

export const run = defineCommand({
  summary: 'Runs an agent until it is told to stop',
  details:
    'Prints one line that says where it listens, then its log. SIGTERM and SIGINT stop it cleanly, a second one at once. Without a ' +
    'terminal, SIGHUP reads HS_SWARM_KEY again from --env-file and .env.',
  examples: ['hs-agent run', 'HS_HTTP_PORT=50051 HS_DATA_DIR=./data-2 HS_GOSSIP_PORT=7947 hs-agent run'],
  run: async ({ json, config }) => {
    const settings = await config()
    process.on('uncaughtException', exitOnUncaught)
    let isUp = false
    const told = firstSignal(() => isUp)
    const damaged = Promise.withResolvers<string>()
    // Only this command needs the store, the sockets and the server: the others start faster without them.
    const { startAgent } = await import('../../agent/agent.ts')
    const agent = await startAgent(settings, {
      version,
      announce({ nodeId, httpUrl, banner }) {
        isUp = true
        if (json) printJson({ node_id: nodeId, http_url: httpUrl, banner })
        else print(banner)
      },
      onDamaged: reason => damaged.resolve(reason),
    })
    rereadKeysOnHangup(config, agent)
    const damage = await Promise.race([told, damaged.promise])
    const overdue = setTimeout(() => {
      printError(`hs-agent: closing took longer than ${closeMsMax / 1000} s; what was acknowledged is safe`)
      process.exit(EXIT.failed)
    }, closeMsMax)
    const closing = agent.close()
    // Who supervises it starts it again (systemd: Restart=always). A damaged database need not close well.
    if (typeof damage === 'string') {
      await closing.catch(() => {})
      throw new AgentError('HS_STORE_WRITE_FAILED', `the database is damaged (${damage}); the next start mends it`)
    }
    await closing
    clearTimeout(overdue)
  },
})
