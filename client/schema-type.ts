/** From JSON Schema to the text of a TypeScript type. A schema with a title becomes an interface or type of that name. */
import type { Schema } from './document.ts'

export interface TypeWriter {
  /** The type's text; what has a title is written once and named from then on. */
  readonly typeOf: (schema: Schema) => string
  /** Declarations of the named types, in the order of their first use. */
  readonly declarations: () => string
}

export function createTypeWriter(): TypeWriter {
  const textByTitle = new Map<string, { readonly body: string; readonly declaration: string }>()

  const typeOf = (schema: Schema): string => {
    const { title } = schema
    const body = bodyOf(schema)
    if (title === undefined) return body
    const known = textByTitle.get(title)
    if (known !== undefined && known.body !== body) throw new Error(`two schemas of different shapes share the title ${title}`)
    const declaration = schema.properties === undefined ? `export type ${title} = ${body}` : `export interface ${title} ${body}`
    textByTitle.set(title, { body, declaration: comment(schema.description) + declaration })
    return title
  }

  const bodyOf = (schema: Schema): string => {
    if (schema.const !== undefined) return JSON.stringify(schema.const)
    if (schema.enum !== undefined) return schema.enum.map(value => JSON.stringify(value)).join(' | ')
    if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(' | ')
    switch (schema.type) {
      case 'object':
        return objectOf(schema)
      case 'array':
        return `readonly (${schema.items === undefined ? 'unknown' : typeOf(schema.items)})[]`
      case 'integer':
        return 'number'
      case 'string':
      case 'number':
      case 'boolean':
      case 'null':
        return schema.type
      case undefined:
        return 'unknown'
      default:
        throw new Error(`a schema of type ${schema.type} is not understood`)
    }
  }

  const objectOf = ({ properties, required = [], additionalProperties }: Schema): string => {
    if (properties === undefined || Object.keys(properties).length === 0) {
      return `Readonly<Record<string, ${typeof additionalProperties === 'object' ? typeOf(additionalProperties) : 'unknown'}>>`
    }
    const members = Object.entries(properties).map(
      ([name, member]) =>
        `${comment(member.title === undefined ? member.description : undefined)}  readonly ${propertyName(name)}${required.includes(name) ? '' : '?'}: ${typeOf(member)}`,
    )
    return `{\n${members.join('\n')}\n}`
  }

  return { typeOf, declarations: () => [...textByTitle.values()].map(({ declaration }) => declaration).join('\n\n') }
}

export function comment(text: string | undefined): string {
  return text === undefined ? '' : `/** ${text.replaceAll('*/', '*\\/')} */\n`
}

export function propertyName(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name)
}
