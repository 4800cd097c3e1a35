#!/usr/bin/env node
/**
 * The `sluice` command. Sets the exit code and lets the process end by itself, so that nothing that was written to a
 * pipe is cut off; `registry.ts` does the rest.
 */
import { runCommandLine } from './registry.ts';
import { processTerminal } from './terminal.ts';

const terminal = processTerminal();
process.exitCode = await runCommandLine(process.argv.slice(2), terminal);
await terminal.stdout.finish();
await terminal.stderr.finish();
