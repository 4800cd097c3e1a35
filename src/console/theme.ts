/** Light or dark: as the system has it, unless chosen here. The choice is kept in this browser. */
import { signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'sluice.theme';
const order: readonly Theme[] = ['system', 'light', 'dark'];

export const theme = signal<Theme>(kept());

export function nextTheme(): void {
  theme.value = order[(order.indexOf(theme.value) + 1) % order.length] ?? 'system';
  try {
    localStorage.setItem(KEY, theme.value);
  } catch {
    // A browser that keeps nothing for this page: the choice holds until it is closed.
  }
  applyTheme();
}

export function applyTheme(): void {
  if (theme.value === 'system') document.documentElement.removeAttribute('data-theme');
  else document.documentElement.setAttribute('data-theme', theme.value);
}

function kept(): Theme {
  try {
    return order.find((known) => known === localStorage.getItem(KEY)) ?? 'system';
  } catch {
    return 'system';
  }
}
