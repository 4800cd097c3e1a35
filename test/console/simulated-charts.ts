/** Machines as `machine` frames, for the simulated source: made as the hub makes them. */
import type { AnyStateMachine } from 'xstate';
import { chartOf } from '../../src/inspection/chart.ts';
import type { MachineFrame } from '../../src/inspection/frames.ts';
import { drawPicture } from '../../src/inspection/picture.ts';

export async function machineFrame(machine: AnyStateMachine): Promise<MachineFrame> {
  const chart = chartOf(machine);
  if (chart === null) throw new Error(`${machine.id} has no chart`);
  const { hash, definition } = chart;
  return { type: 'machine', hash, id: machine.id, definition, picture: await drawPicture(definition) };
}
