import type { IStateMachine } from 'state-machine-cat';
import type { AnyStateMachine } from 'xstate';

/** A chart as the drawing program takes it: states, nested ones within, and transitions. */
export function chartOf(machine: AnyStateMachine): IStateMachine;
/** The picture, SVG text. The same machine gives the same text. */
export function drawChart(machine: AnyStateMachine): Promise<string>;
