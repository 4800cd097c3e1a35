/** What a page complains of while a test looks at it: whatever it threw, and what it said as an error. */
import type { Page } from 'playwright-core';

export function noteComplaints(page: Page, complaints: string[]): void {
  page.on('pageerror', (error) => complaints.push(`threw: ${String(error)}`));
  page.on('console', (message) => {
    // Looking for a broker that is not there is what the page is to do then.
    if (message.type() === 'error' && !/ERR_|Failed to load resource|WebSocket connection/.test(message.text())) {
      complaints.push(`console: ${message.text()}`);
    }
  });
}
