/** What this node has observed of its swarm, and what that means. */
import { Type } from 'typebox'
import { explainDiagnosis } from '../diagnosis/explain.ts'
import { Diagnosis, FindingShape } from '../diagnosis/shape.ts'
import type { App, RouteContext } from './route.ts'

const ExplainedDiagnosis = Type.Object(
  { ...Diagnosis.properties, findings: Type.Array(FindingShape, { description: 'Of the observations, in sentences.' }) },
  { title: 'Diagnosis' },
)

export function addDiagnosisRoute(app: App, { diagnose }: RouteContext): void {
  app.get(
    '/api/swarm/diagnosis',
    {
      schema: {
        operationId: 'diagnoseSwarm',
        summary: 'Why this node sees the others, or does not.',
        tags: ['cluster'],
        response: { 200: ExplainedDiagnosis },
      },
    },
    () => {
      const observed = diagnose()
      return { ...observed, findings: explainDiagnosis(observed) }
    },
  )
}
