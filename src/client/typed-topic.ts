/** A topic seen through a schema: what is published is checked and typed, what is read is what the schema makes of it. */
import type { Client } from './client.ts';
import type { PublishOptions } from './outbox.ts';
import type { Ack, PublishRecord } from './outgoing.ts';
import { type SchemaInput, type SchemaOutput, type StandardSchemaV1, schemaFault } from './schema.ts';
import type { Subscription } from './subscription.ts';
import type { TypedSubscribeOptions } from './subscription-options.ts';

export interface TypedPublishRecord<Value> extends PublishRecord<Value> {
  readonly value: Value;
}

export class TypedTopic<Schema extends StandardSchemaV1> {
  readonly name: string;
  readonly #client: Client;
  readonly #schema: Schema;
  /** Settles when the values given so far are checked. */
  #checked: Promise<unknown> = Promise.resolve();

  constructor(client: Client, name: string, schema: Schema) {
    this.#client = client;
    this.name = name;
    this.#schema = schema;
  }

  /** As `client.publish`, once the value fits; INVALID_RECORD when it does not. Sent as given, in the order of calls. */
  async publish(record: TypedPublishRecord<SchemaInput<Schema>>, options?: PublishOptions): Promise<Ack> {
    // One behind the other: a schema that takes its time would let those behind it overtake.
    const result = this.#checked.then(() => this.#schema['~standard'].validate(record.value));
    this.#checked = result.catch(() => {});
    const { issues } = await result;
    if (issues !== undefined) throw schemaFault(`a value for ${this.name}`, issues);
    return await this.#client.publish(this.name, record, options);
  }

  /** As `client.subscribe`, with values as the schema makes them. */
  subscribe(options?: TypedSubscribeOptions): Subscription<SchemaOutput<Schema>> {
    return this.#client.subscribe(this.name, options, this.#schema as StandardSchemaV1<unknown, SchemaOutput<Schema>>);
  }
}
