/** Asks for the token of the admin endpoint. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { setToken, token } from './admin-token.ts';
import { connect } from './connection.ts';

export function TokenForm(): JSX.Element {
  const [text, setText] = useState('');
  const refused = token.value !== '';
  return (
    <section class="card narrow">
      <h2>This broker wants its token</h2>
      <p>The admin endpoint is guarded. The token is kept until this tab is closed, and sent to this broker alone.</p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          setToken(text.trim());
          connect();
        }}
      >
        <label class="field">
          <span>Token</span>
          <input
            type="password"
            autocomplete="off"
            spellcheck={false}
            value={text}
            aria-invalid={refused}
            aria-describedby={refused ? 'token-refused' : undefined}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
        </label>
        {refused && (
          <p class="wrong" id="token-refused">
            That token was refused.
          </p>
        )}
        <div class="actions">
          <button type="submit" class="primary" disabled={text.trim() === ''}>
            Connect
          </button>
        </div>
      </form>
    </section>
  );
}
