/** Crashes on a programmer's error. Never for a peer's or a caller's input: those have error values of their own. */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${invariant}`)
}
