/**
 * Loaded into an agent's process before its program (`--import`): its UDP sockets are bound only when the named pipe START_GATE is opened for
 * writing. Until then it answers HTTP and is silent to others. Nodes that are let go together begin to speak together, however long their
 * programs took to start.
 */
import { Socket } from 'node:dgram'
import { closeSync, open, writeSync } from 'node:fs'

/** The line on standard output that says that the process is held. */
export const HELD = 'held at the gate'

type Bind = (this: Socket, ...args: unknown[]) => Socket

const gate = process.env['START_GATE']
// Imported for its constant alone, it does nothing.
if (gate !== undefined) {
  const sockets = Socket.prototype as unknown as { bind: Bind }
  const { bind } = sockets
  let opened: Promise<void> | undefined
  const wait = (): Promise<void> =>
    new Promise((resolve, reject) => {
      // The open of a named pipe waits for its other end.
      open(gate, 'r', (error, file) => {
        if (error !== null) return reject(error)
        closeSync(file)
        resolve()
      })
      writeSync(1, `${HELD}\n`)
    })
  sockets.bind = function bindLater(...args) {
    opened ??= wait()
    void opened.then(() => bind.apply(this, args))
    return this
  }
}
