"use strict";
// Talking to the gateway. The access token lives in memory alone; the refresh token is a cookie no script can read.

const API = "/api/v1";
let accessToken = null;
let whenSignedOut = () => {};

class ProblemError extends Error {
  constructor(problem) {
    const kind = problem.type.replace("/problems/", "");
    super([NAMES[language][`problem_${kind}`], problem.detail, problem.what_to_do,
      ...problem.errors.map((error) => `${error.where.replace("body.", "")}: ${error.what}`)].filter(Boolean).join(" "));
    this.problem = problem;
  }
}

// A gateway that cannot be reached is told in words; the browser's are for who wrote the page.
async function reach(url, request) {
  try {
    return await fetch(url, request);
  } catch {
    throw new Error(word("away"));
  }
}

async function send(method, path, { body, headers = {}, retry = true } = {}) {
  const answer = await reach(API + path, {
    method,
    headers: {
      ...(accessToken ? { Authorization: `Bearer ${accessToken}` } : {}),
      ...(body ? { "Content-Type": "application/json" } : {}),
      "X-Requested-With": "dashboard",
      ...headers,
    },
    body: body ? JSON.stringify(body) : undefined,
  });
  if (answer.status === 401 && retry && accessToken) {
    if (await refresh()) return send(method, path, { body, headers, retry: false });
    whenSignedOut();
  }
  const content = answer.status === 204 ? null : await answer.json().catch(() => { throw new Error(word("away")); });
  if (!answer.ok) throw new ProblemError(content);
  return content;
}

// One refresh at a time over all tabs: a refresh token that is used twice ends the session.
function refresh() {
  return navigator.locks.request("sigmax-refresh", async () => {
    try {
      accessToken = (await send("POST", "/auth/refresh", { retry: false })).access_token;
      return true;
    } catch {
      accessToken = null;
      return false;
    }
  });
}

async function signIn(login, password) {
  accessToken = (await send("POST", "/auth/login", { body: { login, password }, retry: false })).access_token;
}

async function signOut() {
  await send("POST", "/auth/logout", { retry: false });
  accessToken = null;
}

const get = (path) => send("GET", path);
const post = (path, body) => send("POST", path, { body });
const command = (path, body, method) => send(method, path, { body, headers: { "Idempotency-Key": crypto.randomUUID() } });

// Keeps one live connection and opens it anew, ever more slowly, until `close` is called.
function watch(topics, onEvent, onState) {
  let socket = null;
  let isOver = false;
  let waitMs = 500;
  const open = async () => {
    try {
      const { ticket } = await post("/ws-ticket");
      if (isOver) return;
      socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
      socket.onopen = () => socket.send(JSON.stringify({ ticket }));
      socket.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (event.type === "ready") socket.send(JSON.stringify({ subscribe: topics }));
        else if (event.type === "subscribed") { waitMs = 500; onState(true); }
        else onEvent(event);
      };
      socket.onclose = again;
    } catch {
      again();
    }
  };
  const again = () => {
    onState(false);
    if (!isOver) setTimeout(open, waitMs);
    waitMs = Math.min(waitMs * 2, 15000);
  };
  open();
  return () => { isOver = true; if (socket) socket.close(); };
}
