/** The least grace period that a broker takes, and the budget that follows from it: for shutdowns that use it up. */
export const GRACE: readonly string[] = ['--grace-period-ms', '6s'];
export const BUDGET_MS = 4000;
/** What a process may need beyond its budget, to be ended by its watchdog and seen to be gone. */
export const SLACK_MS = 1000;
