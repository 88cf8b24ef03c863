import { describe, expect, it } from 'vitest'
import { AgentError } from '../../../agent/errors.ts'
import { ApiProblem } from '../../../bin/api-client.ts'
import { describeFailure } from '../../../bin/failure.ts'

describe('a failed command', () => {
  it('says its code and one sentence, and has the exit status of the code', () => {
    expect(describeFailure(new AgentError('HS_USAGE', 'put needs KEY'))).toMatchObject({
      exit: 2,
      text: 'hs-agent: HS_USAGE: put needs KEY',
    })
    expect(describeFailure(new AgentError('HS_AGENT_UNREACHABLE', 'x'))).toMatchObject({
      exit: 69,
      problem: { code: 'HS_AGENT_UNREACHABLE', detail: 'x' },
    })
  })

  it('with several faults has a line for each', () => {
    expect(describeFailure(new AgentError('HS_CONFIG_INVALID', 'one\ntwo'))).toMatchObject({
      exit: 78,
      text: 'hs-agent: HS_CONFIG_INVALID: The configuration is not valid.\n  one\n  two',
    })
  })

  it('shows what the agent answered, also a code that this version does not know', () => {
    const problem = { code: 'HS_NEWER', detail: 'something new', extra: 1 }
    expect(describeFailure(new ApiProblem(418, problem))).toEqual({ exit: 1, text: 'hs-agent: HS_NEWER: something new', problem })
    expect(describeFailure(new ApiProblem(404, { code: 'HS_NOT_FOUND', title: 'There is none.' })).text).toBe(
      'hs-agent: HS_NOT_FOUND: There is none.',
    )
  })

  it('never shows a stack trace or a control character', () => {
    const { exit, text } = describeFailure(new TypeError('x is not a function\u001b[31m'))
    expect(exit).toBe(1)
    expect(text).toBe('hs-agent: HS_INTERNAL: x is not a function\\x1b[31m')
    expect(describeFailure('thrown text').text).toBe('hs-agent: HS_INTERNAL: thrown text')
  })
})
