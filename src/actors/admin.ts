/** The admin actor: the endpoint's chart with its effects, which are those of an `AdminServer`. */
import { fromPromise } from 'xstate';
import type { Logger } from '../logger.ts';
import { adminMachine } from '../machines/admin.ts';
import type { AdminServer } from './admin-server.ts';

export function adminLogic(server: AdminServer, logger: Logger): typeof adminMachine {
  return adminMachine.provide({
    actors: {
      bind: fromPromise(async () => {
        const port = await server.bind();
        logger.info({ port }, 'admin listening');
      }),
      close: fromPromise(() => server.close()),
    },
  });
}
