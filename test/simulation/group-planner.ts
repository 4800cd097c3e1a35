/**
 * Groups in a plan: members that join, are cut off, stall, leave and come back. Drawn with dice of their own, so that
 * the rest of a plan is the same with them and without.
 */
import type { Config } from '../../src/config.ts';
import { Dice } from './dice.ts';
import type { MemberPlan, Plan, Step } from './plan.ts';

/** Every so many seeds have groups, from the first on. */
const GROUPS_EVERY = 5;
const GROUPS_FROM = 25;

export function hasGroups(seed: number): boolean {
  return seed >= GROUPS_FROM && seed % GROUPS_EVERY === 0;
}

export function withGroups(plan: Plan, seed: number): Plan {
  const dice = new Dice(seed ^ 0x67726f75);
  const drawn = membersOf(plan, dice);
  const late = dice.chance(0.5);
  const members = late ? drawn.map((member, at) => (at === 0 ? { ...member, ...slowWorker } : member)) : drawn;
  const steps = [...plan.steps, ...members.flatMap(({ name }) => stepsOf(name, plan.endMs, dice))];
  if (late) steps.push(...lateOwner(members, plan.endMs, dice));
  return {
    ...plan,
    members,
    config: { ...plan.config, ...timings(dice) },
    steps: steps.sort((a, b) => a.at - b.at),
  };
}

function membersOf({ topics }: Plan, dice: Dice): MemberPlan[] {
  const names = topics.map(({ name }) => name);
  return Array.from({ length: dice.int(2, 5) }, (_, at): MemberPlan => {
    const some = names.filter(() => dice.chance(0.8));
    return {
      name: `member${at}`,
      group: dice.chance(0.8) ? 'team0' : 'team1',
      topics: some.length === 0 ? names : some,
      commit: dice.pick(['off', 'off', 'delivered', 'acked'] as const),
      commitEvery: dice.pick([1, 1, 3]),
      credit: dice.pick([4, 100, 1000]),
      workMs: dice.pick([0, 2, 50, 700]),
      slowRecords: dice.pick([10, 60]),
      lasting: dice.chance(0.7),
    };
  });
}

function stepsOf(client: string, endMs: number, dice: Dice): Step[] {
  const at = (share: number): number => Math.round(share * endMs * 10) / 10;
  const steps: Step[] = [{ at: at(dice.next() * 0.4), do: 'join', client }];
  for (let count = dice.int(0, 3); count > 0; count -= 1) {
    const when = at(0.2 + dice.next() * 0.7);
    const forMs = Math.round(dice.spread(50, 3000));
    const kind = dice.int(0, 3);
    if (kind === 0) steps.push({ at: when, do: 'cut', client });
    else if (kind === 1) steps.push({ at: when, do: 'half-open', client, forMs });
    else if (kind === 2) steps.push({ at: when, do: 'stall', client, forMs });
    else
      steps.push({
        at: when,
        do: 'reopen',
        client,
        reopenMs: Math.round(dice.spread(1, 2000)),
        drain: dice.chance(0.6),
      });
  }
  return steps;
}

/** Takes longer from one commit to the next than others wait for what it has. */
const slowWorker = {
  group: 'team0',
  commit: 'off',
  commitEvery: 5,
  credit: 1000,
  workMs: 200,
  slowRecords: 60,
} as const;

/**
 * A member works on what it has while nothing reaches it and nothing leaves it; another goes and comes back meanwhile, so
 * that something is asked back which the first does not hear of.
 */
function lateOwner([first, second]: readonly MemberPlan[], endMs: number, dice: Dice): Step[] {
  if (first === undefined || second === undefined) return [];
  const at = Math.round((0.5 + dice.next() * 0.4) * endMs);
  return [
    { at: at - 100, do: 'reopen', client: second.name, reopenMs: 120, drain: true },
    { at, do: 'stall', client: first.name, forMs: Math.round(dice.spread(1000, 4000)) },
  ];
}

function timings(dice: Dice): Partial<Config> {
  const draw = (low: number, high: number): number => Math.round(dice.spread(low, high));
  return {
    groupSettleMs: dice.pick([0, 20, 100]),
    groupGraceMs: draw(50, 2000),
    groupRevokeMs: draw(30, 1500),
    groupSilenceMs: draw(400, 4000),
    groupRejoinMs: draw(100, 3000),
  };
}
