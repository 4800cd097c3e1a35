/**
 * Types for topics by Standard Schema (https://standardschema.dev), which zod, valibot, arktype and others follow. On
 * the wire a record is what the schema takes in: `publish` checks it and sends it as given, a subscription yields what
 * the schema makes of it.
 */
import { clientError, type SluiceError } from './error.ts';

/** The part of the Standard Schema interface that is used. */
export interface StandardSchemaV1<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

export type SchemaInput<Schema extends StandardSchemaV1> = NonNullable<Schema['~standard']['types']>['input'];
export type SchemaOutput<Schema extends StandardSchemaV1> = NonNullable<Schema['~standard']['types']>['output'];

/** INVALID_RECORD that says each fault; `cause` is the list of issues, which says where each lies. */
export function schemaFault(what: string, issues: readonly SchemaIssue[]): SluiceError {
  const faults = issues.map(({ path = [], message }) => {
    const steps = path.map((step) => String((step as { readonly key?: PropertyKey }).key ?? step));
    return `${steps.join('.')} ${message}`;
  });
  return clientError('INVALID_RECORD', `${what} does not fit: ${faults.join('; ')}`, issues);
}
