/** The page: everything said so far, then what is said, each line once, through broken connections and restarts. */
import { connect } from '/sluice/client/index.js';

const [state, said, form, text] = ['state', 'said', 'say', 'text'].map((id) => document.getElementById(id));

const { port } = await (await fetch('/broker')).json();
const client = await connect(`ws://${location.hostname}:${port}/v1`, {
  name: 'chat-page',
  on: {
    state: (now) => {
      state.textContent = now;
    },
  },
});

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const line = text.value;
  form.reset();
  try {
    // Settles when the line is on disk; without a connection it waits for one.
    await client.publish('chat', { value: line });
  } catch (error) {
    state.textContent = `“${line}” was not sent: ${error.message}`;
  }
});

for await (const record of client.subscribe('chat', { from: { last: 200 } })) {
  const line = document.createElement('li');
  line.textContent = record.text();
  said.append(line);
}
