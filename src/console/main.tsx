/** The entry of the page. */
import { render } from 'preact';
import { App } from './app.tsx';
import { connect } from './connection.ts';
import { applyTheme } from './theme.ts';

const place = document.getElementById('console');
if (place === null) throw new Error('the page has no place for the console');
applyTheme();
render(<App />, place);
connect();
