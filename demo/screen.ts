/**
 * Where the pictures go. On a terminal that is large enough the newest one covers the one before; on anything else - a pipe, a file, a
 * small window - events are printed as they happen, and a picture at the end of each chapter.
 */
import { paint, print } from '../bin/terminal.ts'
import { FRAME_COLUMNS, FRAME_LINES, formatTime, renderFrame, type Scene } from './frame.ts'

export interface Screen {
  /** Whether somebody watches a picture that moves. */
  readonly isLive: boolean
  /** The newest state of things. */
  show(scene: Scene): void
  /** Something has happened: it is in the scene from now on. */
  event(elapsedMs: number, text: string): void
  /** A chapter is over. */
  chapterEnd(scene: Scene): void
  /** No more pictures; what comes is printed below the last one. */
  leave(): void
}

const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'
const CLEAR_REST_OF_LINE = '\u001b[K'

export function openScreen(output: NodeJS.WriteStream): Screen {
  const isLarge = output.columns >= FRAME_COLUMNS && output.rows > FRAME_LINES
  if (output.isTTY && isLarge) return createLiveScreen(output)
  if (output.isTTY) print(`In a window of at least ${FRAME_COLUMNS} by ${FRAME_LINES + 1} the picture moves; this one is smaller.\n`)
  return createPlainScreen()
}

function createLiveScreen(output: NodeJS.WriteStream): Screen {
  let hasDrawn = false
  let isOver = false
  const show = (scene: Scene): void => {
    if (isOver) return
    const up = hasDrawn ? `\u001b[${FRAME_LINES}A` : HIDE_CURSOR
    hasDrawn = true
    const lines = renderFrame(scene, paint).map(line => `\r${line}${CLEAR_REST_OF_LINE}\n`)
    output.write(up + lines.join(''))
  }
  return {
    isLive: true,
    show,
    event: () => {},
    chapterEnd: show,
    leave() {
      if (hasDrawn && !isOver) output.write(SHOW_CURSOR)
      isOver = true
    },
  }
}

function createPlainScreen(): Screen {
  return {
    isLive: false,
    show: () => {},
    event: (elapsedMs, text) => print(`${formatTime(elapsedMs)}  ${text}`),
    chapterEnd: scene => print(['', ...renderFrame({ ...scene, events: [] }, paint)].join('\n').trimEnd() + '\n'),
    leave: () => {},
  }
}
