/** `--watch`: asks again and again. A terminal shows the table in its place; a pipe gets a block, or a line of JSON, for each change. */
import { setTimeout as delay } from 'node:timers/promises'
import { mayPass, type Call } from './api-client.ts'
import { describeFailure } from './failure.ts'
import { createInterrupt } from './interrupt.ts'
import { createScreen } from './screen.ts'
import { isTerminal, paint, print, printError, printJson } from './terminal.ts'

const intervalMs = 500
const silenceMs = 10_000

export interface LiveTable<Answer> {
  readonly read: (call: Call) => Promise<Answer>
  readonly render: (answer: Answer) => string
  /** What counts as a change: without what moves all the time, such as ages. */
  readonly essence: (answer: Answer) => unknown
}

export const watchOption = { type: 'boolean', doc: 'Keep showing it, until Ctrl-C; on a pipe, whenever it changes' } as const

/** Runs until it is interrupted. Throws when the first try fails, and what no further try would change. */
export async function showLive<Answer>({ read, render, essence }: LiveTable<Answer>, json: boolean): Promise<void> {
  const signal = createInterrupt()
  const screen = !json && isTerminal(process.stdout) ? createScreen(process.stdout) : undefined
  let shown: string | undefined
  let text = ''
  let isLost = false

  const show = (answer: Answer): void => {
    const current = JSON.stringify(essence(answer))
    const hasChanged = current !== shown
    shown = current
    text = json ? '' : render(answer)
    if (screen !== undefined) screen.draw(text)
    else if (hasChanged && json) printJson(answer)
    else if (hasChanged) print(`${text}\n`)
  }
  const lose = (error: unknown): void => {
    const reason = `${describeFailure(error).text}; trying again`
    if (screen !== undefined) screen.draw(`${text}\n${paint('yellow', reason)}`)
    else if (!isLost) printError(reason)
    isLost = true
  }

  while (!signal.aborted) {
    try {
      show(await read({ signal, silenceMs }))
      if (isLost && screen === undefined) printError('hs-agent: the agent answers again')
      isLost = false
    } catch (error) {
      if (signal.aborted) return
      if (shown === undefined || !mayPass(error)) throw error
      lose(error)
    }
    await delay(intervalMs, undefined, { signal }).catch(() => {})
  }
}
