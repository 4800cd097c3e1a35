/** A viewer in memory: joins a hub, keeps every frame, can stop reading. */
import type { Batch, Frame } from '../../src/inspection/frames.ts';
import type { InspectionHub, Seat } from '../../src/inspection/hub.ts';

export class MemoryViewer {
  readonly batches: Batch[] = [];
  readonly seat: Seat;
  /** Bytes that it claims to have unread. */
  bufferedBytes = 0;

  constructor(hub: InspectionHub) {
    const unread = (): number => this.bufferedBytes;
    this.seat = hub.join({
      send: (text) => this.batches.push(JSON.parse(text) as Batch),
      get bufferedBytes() {
        return unread();
      },
    });
  }

  get frames(): readonly Frame[] {
    return this.batches.flatMap(({ frames }) => frames);
  }

  of<T extends Frame['type']>(type: T): Extract<Frame, { readonly type: T }>[] {
    return this.frames.filter((frame): frame is Extract<Frame, { readonly type: T }> => frame.type === type);
  }
}
