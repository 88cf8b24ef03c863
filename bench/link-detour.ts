/**
 * Loaded into an agent's process before its program (`--import`): its TCP connections to the ports named in LINK_DETOUR, `port=relay` joined
 * by commas, go to the relays instead. So a bench counts what two agents say to each other, and they need not know of it.
 */
import { Socket, type TcpNetConnectOpts } from 'node:net'

type Connect = (this: Socket, ...args: unknown[]) => Socket

/** The variable's text for these relays. */
export const detourText = (relayByPort: ReadonlyMap<number, number>): string =>
  [...relayByPort].map(([port, relay]) => `${port}=${relay}`).join(',')

const detours = process.env['LINK_DETOUR']
// Imported for its function alone, it does nothing.
if (detours !== undefined) {
  const relayByPort = new Map(detours.split(',').map(pair => pair.split('=').map(Number) as [number, number]))
  const sockets = Socket.prototype as unknown as { connect: Connect }
  const { connect } = sockets
  sockets.connect = function connectByDetour(...args) {
    // `net.connect` hands over the list of its arguments, with the options in front.
    const options = (Array.isArray(args[0]) ? args[0][0] : args[0]) as Partial<TcpNetConnectOpts> | undefined
    const relay = typeof options === 'object' ? relayByPort.get(options.port ?? 0) : undefined
    if (relay !== undefined) options!.port = relay
    return connect.apply(this, args)
  }
}
