/**
 * Those who are not listed yet: an unknown node or boot is taken only when its packet echoes a fresh cookie (cookie.ts). With a key
 * that keeps out recorded packets, which would otherwise bring back a boot that is long gone to a node that has just started and
 * knows no packet counters; without one it keeps out forged source addresses. The same holds for a double of this node: what was
 * recorded of our own past is no double.
 *
 * Nothing is remembered of a newcomer; it is answered, at a bounded rate, with a greeting that carries a cookie, and its echo brings
 * the heartbeat along. Both sides ask at once, so each lists the other after two packets each.
 */
import { addressKey } from './address.ts'
import type { Address } from './address.ts'
import { encodeCookie, encodePing } from './messages.ts'
import type { SwarmMessage } from './messages.ts'
import { sendGreeting } from './state.ts'
import type { SwarmState } from './state.ts'

/** Whether a unicast packet from this address echoes a cookie that was made for it just now; proves the address. */
export function echoesCookie(state: SwarmState, from: Address, messages: readonly SwarmMessage[]): boolean {
  const echo = messages.find(message => message.kind === 'echo')
  if (echo === undefined || !state.cookies.isGood(echo.cookie, from, state.nowMs)) return false
  state.proofs.prove(from, state.nowMs)
  return true
}

/** What a unicast packet wants back: its token and its cookie. */
export function encodeEchoes(state: SwarmState, messages: readonly SwarmMessage[]): Uint8Array[] {
  const { codec } = state.ports
  const ping = messages.find(message => message.kind === 'ping')
  const challenge = messages.find(message => message.kind === 'challenge')
  return [
    ...(ping === undefined ? [] : [encodePing('pong', ping.token, codec)]),
    ...(challenge === undefined ? [] : [encodeCookie('echo', challenge.cookie, codec)]),
  ]
}

/** Whether somebody who is not listed may be answered now: bounded for each address, or two that misunderstand one another would go on. */
export function mayAnswer(state: SwarmState, to: Address): boolean {
  return state.newcomers.admit(addressKey(to), state.nowMs) && state.answers.take(state.nowMs)
}

/** Says who we are, asks for the same with an echo, and gives back what was asked for. */
export function answerNewcomer(state: SwarmState, to: Address, echoes: readonly Uint8Array[]): void {
  if (mayAnswer(state, to)) sendGreeting(state, to, { answerMe: true, before: echoes }, { isChallenge: true })
}
