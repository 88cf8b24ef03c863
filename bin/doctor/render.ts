/** Findings as lines for people: a mark, what is seen, the likely reason, what to do. */
import { gravest, type Severity } from '../../agent/diagnosis/finding.ts'
import type { FindingJson } from '../../agent/diagnosis/shape.ts'
import { wrapText } from '../../agent/text-wrap.ts'
import { printable, type Colour } from '../terminal.ts'

const MARKS: Readonly<Record<Severity, { readonly text: string; readonly colour: Colour }>> = {
  ok: { text: 'ok', colour: 'green' },
  warning: { text: 'warning', colour: 'yellow' },
  fault: { text: 'FAULT', colour: 'red' },
}
const MARK_WIDTH = 9

/** `widthMax`: of the terminal, where lines are broken; undefined puts every finding on one line. */
export function renderFindings(
  findings: readonly FindingJson[],
  { paint, widthMax }: { readonly paint: (colour: Colour, text: string) => string; readonly widthMax: number | undefined },
): string {
  const indent = ' '.repeat(MARK_WIDTH)
  const lines = findings.map(finding => {
    const { text, colour } = MARKS[finding.severity]
    const sentences = printable(sentencesOf(finding))
    const body = widthMax === undefined ? sentences : wrapText(sentences, widthMax - MARK_WIDTH).join(`\n${indent}`)
    return paint(colour, text.padEnd(MARK_WIDTH)) + body
  })
  return [...lines, summarise(findings)].join('\n')
}

function sentencesOf({ seen, reason, advice }: FindingJson): string {
  return [`${seen}.`, reason && `Likely: ${reason}.`, advice && `To do: ${advice}.`].filter(part => part !== undefined).join(' ')
}

function summarise(findings: readonly FindingJson[]): string {
  if (gravest(findings) === 'ok') return 'Nothing wrong was found.'
  const count = (severity: Severity, word: string): string[] => {
    const number = findings.filter(finding => finding.severity === severity).length
    return number === 0 ? [] : [`${number} ${word}${number === 1 ? '' : 's'}`]
  }
  return `${[...count('fault', 'fault'), ...count('warning', 'warning')].join(', ')}.`
}
