/** The thread that draws charts, so that no loop that serves clients stands still for it. Started by `picture-drawer.ts`. */
import { parentPort } from 'node:worker_threads';
import { messageOf } from '../errors.ts';
import type { ChartDefinition } from './frames.ts';
import { drawPicture } from './picture.ts';

export interface DrawRequest {
  readonly hash: string;
  readonly definition: ChartDefinition;
}

export interface DrawAnswer {
  readonly hash: string;
  readonly picture: string;
  readonly error: string | null;
}

parentPort?.on('message', ({ hash, definition }: DrawRequest) => {
  drawPicture(definition).then(
    (picture) => parentPort?.postMessage({ hash, picture, error: null } satisfies DrawAnswer),
    (error: unknown) => parentPort?.postMessage({ hash, picture: '', error: messageOf(error) } satisfies DrawAnswer),
  );
});
