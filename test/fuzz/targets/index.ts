/** Every target, in the order in which data comes in. */
import type { Target } from '../target.ts';
import { session } from './broker.ts';
import { clientConversation, clientDelivery, clientFrame } from './client.ts';
import { adminEndpoint, clientSocket } from './endpoints.ts';
import { binaryCommand, frame, jsonText, recordBatch, textCommand } from './frames.ts';
import { batchEntry, controlEntry, deliveredBatches, entry, segmentHeader } from './log.ts';
import { recovery, shardEntries } from './recovery.ts';
import { commandLine, configuration, inputLine, quantity } from './settings.ts';
import { checkpoint, dataIdentity, metaHead, metaRow } from './store.ts';

export const targets: readonly Target[] = [
  frame,
  jsonText,
  textCommand,
  binaryCommand,
  recordBatch,
  entry,
  segmentHeader,
  deliveredBatches,
  batchEntry,
  controlEntry,
  recovery,
  shardEntries,
  metaRow,
  metaHead,
  checkpoint,
  dataIdentity,
  configuration,
  commandLine,
  quantity,
  inputLine,
  clientFrame,
  clientDelivery,
  clientConversation,
  session,
  adminEndpoint,
  clientSocket,
];
