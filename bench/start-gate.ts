/**
 * Loaded into an agent's process before its program (`--import`): holds it where it first binds a UDP socket, until the named pipe
 * START_GATE is opened for writing. Nodes that are let go together begin to speak together, however long their programs took to start.
 */
import { Socket } from 'node:dgram'
import { closeSync, openSync, writeSync } from 'node:fs'

/** The line on standard output that says that the process is held. */
export const HELD = 'held at the gate'

type Bind = (this: Socket, ...args: unknown[]) => Socket

const gate = process.env['START_GATE']
// Imported for its constant alone, it does nothing.
if (gate !== undefined) {
  const sockets = Socket.prototype as unknown as { bind: Bind }
  const { bind } = sockets
  let isOpen = false
  sockets.bind = function holdAndBind(...args) {
    if (!isOpen) {
      isOpen = true
      writeSync(1, `${HELD}\n`)
      // The open of a named pipe waits for its other end.
      closeSync(openSync(gate, 'r'))
    }
    return bind.apply(this, args)
  }
}
