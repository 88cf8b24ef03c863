/**
 * Those whose packets do not count yet: an unknown node or boot is taken only when its packet echoes a fresh cookie (cookie.ts). With a key
 * that keeps out recorded packets, which would otherwise bring back a boot that is long gone to a node that has just started and
 * knows no packet counters; without one it keeps out forged source addresses. The same holds for a boot that is listed because others
 * speak of it, for one that was dropped, and for a double of this node: what was recorded of our own past is no double.
 *
 * Nothing is remembered of a newcomer; it is answered, at a bounded rate, with who we are and a cookie, and its echo brings who it
 * is along. Both sides ask at once, so each takes the other after two packets each.
 */
import { addressKey } from './address.ts'
import type { Address } from './address.ts'
import { encodePong } from './messages.ts'
import type { SwarmMessage } from './messages.ts'
import { sendIntroduction, sendMessages } from './state.ts'
import type { SwarmState } from './state.ts'

/** Whether a unicast packet from this address echoes a cookie that was made for it just now; proves the address. */
export function echoesCookie(state: SwarmState, from: Address, messages: readonly SwarmMessage[]): boolean {
  const echo = messages.find(message => message.kind === 'echo')
  if (echo === undefined || !state.cookies.isGood(echo.cookie, from, state.nowMs)) return false
  state.proofs.prove(from, state.nowMs)
  return true
}

/** Keeps the cookie of a unicast packet: it goes back with the packets to there (state.ts). */
export function keepChallenge(state: SwarmState, from: Address, messages: readonly SwarmMessage[]): void {
  const challenge = messages.find(message => message.kind === 'challenge')
  state.echo = challenge && { to: from, cookie: challenge.cookie, given: false }
}

/** Gives the cookie back when nothing else did. */
export function giveBackCookie(state: SwarmState, evidence: boolean): void {
  if (state.echo?.given === false) sendMessages(state, state.echo.to, [], { evidence })
  state.echo = undefined
}

/** The echo of a ping, as messages of a packet. */
export function answerPing(state: SwarmState, messages: readonly SwarmMessage[]): Uint8Array[] {
  const ping = messages.find(message => message.kind === 'ping')
  return ping === undefined ? [] : [encodePong(ping.token, state.ports.wallMs())]
}

/** Whether a boot whose packets do not count may be answered now: bounded for each address, or two that misunderstand one another would go on. */
export function mayAnswer(state: SwarmState, to: Address): boolean {
  return state.newcomersByAddress.admit(addressKey(to), state.nowMs) && state.newcomers.take(state.nowMs)
}

/** Says who we are to somebody whom we do not hold, asks for the same with an echo, and gives back what was asked for. */
export function answerNewcomer(state: SwarmState, to: Address, messages: readonly Uint8Array[]): void {
  if (mayAnswer(state, to)) sendIntroduction(state, to, { answerMe: true }, messages, { challenge: true })
}
