/** How labels of a drawn chart that lie upon each other come apart, as those of edges between the same two states may. Pure. */

const GAP = 2;
/** A label that is further from its edge belongs to nothing. */
const MOVE_MAX = 40;

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** How far up (less than 0) or down `box` has to go, at least, to be clear of all others; 0 when that is too far. */
export function freeFrom(box: Box, others: readonly Box[]): number {
  const ways = [1, -1].map((way) => {
    let by = 0;
    while (Math.abs(by) <= MOVE_MAX) {
      const moved = { ...box, y: box.y + by };
      const hit = others.find((other) => overlap(moved, other));
      if (hit === undefined) return by;
      by = (way > 0 ? hit.y + hit.height + GAP : hit.y - box.height - GAP) - box.y;
    }
    return Number.POSITIVE_INFINITY;
  });
  const [best = 0] = ways.filter(Number.isFinite).sort((one, other) => Math.abs(one) - Math.abs(other));
  return best;
}

function overlap(one: Box, other: Box): boolean {
  return (
    one.x < other.x + other.width &&
    other.x < one.x + one.width &&
    one.y < other.y + other.height &&
    other.y < one.y + one.height
  );
}

/** The box that holds all of them. */
export function around(boxes: readonly Box[]): Box {
  const x = Math.min(...boxes.map((box) => box.x));
  const y = Math.min(...boxes.map((box) => box.y));
  const right = Math.max(...boxes.map((box) => box.x + box.width));
  const bottom = Math.max(...boxes.map((box) => box.y + box.height));
  return { x, y, width: right - x, height: bottom - y };
}
