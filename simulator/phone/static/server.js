/** Talking to the simulator's back end: JSON over HTTP, and the stream that says "look again". */

/** What the back end refused: its sentence in Japanese, and in English as `detail`. */
export class Refused extends Error {
  constructor(message, detail) {
    super(message);
    this.detail = detail;
  }
}

async function call(method, path, body) {
  const response = await fetch(`/simulator${path}`, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(answer.error ?? `HTTP ${response.status}`, answer.detail);
  return answer;
}

const person = (userId) => `/people/${encodeURIComponent(userId)}`;

export const server = {
  info: () => call("GET", "/info"),
  people: (query, limit) => call("GET", `/people?q=${encodeURIComponent(query)}&limit=${limit}`),
  addPerson: (name) => call("POST", "/people", { name }),
  chat: (userId) => call("GET", `${person(userId)}/chat`),
  /** `what` is follow, block, unblock, say, sticker, image, location, unsend or tap. */
  act: (userId, what, body = {}) => call("POST", `${person(userId)}/${what}`, body),
  clock: () => call("GET", "/clock"),
  travel: (seconds) => call("POST", "/clock", { advance_seconds: seconds }),
};

/**
 * Listen to one person's stream until the returned function is called. `onNews` gets the event's
 * data; it is called with {"type": "changed"} after every reconnection too, as news may have been
 * missed. `onState` hears true and false as the line comes and goes.
 */
export function follow(userId, onNews, onState) {
  let source;
  let timer;
  let pause = 1000;
  const connect = () => {
    source = new EventSource(`/simulator${person(userId)}/stream`);
    source.onopen = () => {
      pause = 1000;
      onState(true);
      onNews({ type: "changed" });
    };
    source.onmessage = (event) => onNews(JSON.parse(event.data));
    source.onerror = () => {
      // The browser retries by itself only in some cases; doing it here covers them all.
      source.close();
      onState(false);
      timer = setTimeout(connect, pause);
      pause = Math.min(pause * 2, 10_000);
    };
  };
  connect();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}
