/** "Did you mean ...": the known name with the fewest edits from a mistyped one. */

/** Longer names are compared by their beginning; keeps the table small whatever the input. */
const lengthMax = 64

/** Edits (insert, delete, replace one character) that turn `a` into `b` (Wagner and Fischer). */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
    previous = row
  }
  return previous[b.length] ?? 0
}

interface Near {
  readonly name: string
  readonly distance: number
}

/** The nearest of `known`, the first of equals; undefined when there are none. Ignores case. */
export const nearestName = (name: string, known: readonly string[]): string | undefined => findNearest(name, known)?.name

/** The nearest of `known` when at least half of it can be recognised: of nothing like it there is nothing to say. */
export function similarName(name: string, known: readonly string[]): string | undefined {
  const nearest = findNearest(name, known)
  return nearest !== undefined && nearest.distance * 2 <= Math.max(name.length, nearest.name.length) ? nearest.name : undefined
}

function findNearest(name: string, known: readonly string[]): Near | undefined {
  const wanted = name.slice(0, lengthMax).toLowerCase()
  let nearest: Near | undefined
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate.toLowerCase())
    if (nearest === undefined || distance < nearest.distance) nearest = { name: candidate, distance }
  }
  return nearest
}
