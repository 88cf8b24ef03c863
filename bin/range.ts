/** Options that name a range of keys. */
export const rangeOptions = {
  prefix: { type: 'string', value: 'TEXT', doc: 'Only keys that begin with this' },
  from: { type: 'string', value: 'KEY', doc: 'From this key on' },
  to: { type: 'string', value: 'KEY', doc: 'Up to this key, without it' },
} as const
