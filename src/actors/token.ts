/** Secrets of clients and of the admin endpoint are compared alike. */
export { sameSecret } from '../inspection/request-check.ts';
