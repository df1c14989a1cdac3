/**
 * Field names of the wire in any case, as its clients send them.
 *
 * The one idea: the schema knows the right spelling, so the body is respelled by walking both; a null counts as a field that was not sent.
 */
import { z } from "zod";

export function respell(schema: z.ZodType, value: unknown): unknown {
  const inner = unwrapped(schema);
  if (inner instanceof z.ZodArray && Array.isArray(value)) {
    const element = inner.element;
    return element instanceof z.ZodType ? value.map((item) => respell(element, item)) : value;
  }
  if (!(inner instanceof z.ZodObject) || typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const spelling = new Map(Object.keys(inner.shape).map((key) => [key.toLowerCase(), key]));
  const fields = Object.entries(value).filter(([, field]) => field !== null);
  return Object.fromEntries(
    fields.map(([key, field]) => {
      const right = spelling.get(key.toLowerCase()) ?? key;
      const part: unknown = inner.shape[right];
      return [right, part instanceof z.ZodType ? respell(part, field) : field];
    }),
  );
}

function unwrapped(schema: z.ZodType): z.ZodType {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  ) {
    const inner: unknown = schema.unwrap();
    return inner instanceof z.ZodType ? unwrapped(inner) : schema;
  }
  return schema;
}
