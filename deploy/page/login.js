// The login of this browser: its tokens, which outlive the tab, and their renewal.
//
// The refresh token is good for one use. So tabs renew one after the other, and a tab that waited takes over the tokens
// that another one got. A pasted token has no refresh token, and lasts as long as it lasts.
// @ts-check
'use strict';

const STORED = 'jackfield.login';
// Seconds before its end at which a token is renewed rather than used.
const SPARE = 30;
const RETRY_MS = 3000;

const login = {
  // `{token, refreshToken?}`, or null when signed out.
  get tokens() {
    try {
      return JSON.parse(localStorage.getItem(STORED));
    } catch {
      return null;
    }
  },

  keep(tokens) {
    if (tokens) localStorage.setItem(STORED, JSON.stringify(tokens));
    else localStorage.removeItem(STORED);
  },

  // A token for the next connect: the present one, or a new one if that is over or ends soon.
  async token() {
    const { token, refreshToken } = this.tokens ?? {};
    if (!refreshToken || secondsLeft(token) > SPARE) return token;
    await this.renew(token);
    return this.tokens?.token;
  },

  // Gets a new token in place of `old`. False if the login has ended: then nobody is signed in any more. Tries again
  // while the service cannot be reached.
  renew(old) {
    return exclusively(async () => {
      for (;;) {
        const { token, refreshToken } = this.tokens ?? {};
        if (!refreshToken) return false;
        if (token !== old) return true;
        try {
          this.keep(await request('/api/auth/refresh', { body: { refreshToken } }));
          return true;
        } catch (error) {
          if (error.status >= 400 && error.status < 500 && error.status !== 429) {
            this.keep(null);
            return false;
          }
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    });
  },

  // Signs out: the login ends, and its sockets on all nodes.
  async end() {
    const token = await this.token();
    this.keep(null);
    if (token) await request('/api/auth/logout', { body: {}, token });
  },
};

// Runs `work` alone among all tabs. Without a secure context there are no locks; then the service forgives two tabs that
// use a refresh token at the same time.
function exclusively(work) {
  return navigator.locks ? navigator.locks.request(STORED, work) : work();
}

function secondsLeft(token) {
  try {
    const claims = JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')));
    return claims.exp - Date.now() / 1000;
  } catch {
    return Infinity;
  }
}

// A POST to the auth service. The error has the status, if there was an answer.
/**
 * @param {string} path
 * @param {{ body: object, token?: string }} call
 */
async function request(path, call) {
  const { body, token } = call;
  const headers = { 'Content-Type': 'application/json' };
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body), signal: AbortSignal.timeout(30000) });
  } catch {
    throw new Error('Cannot reach the server');
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const wait = response.headers.get('Retry-After');
  const text = [answer.message ?? `The server answered ${response.status}`].flat().join('; ');
  throw Object.assign(new Error(wait ? `${text} (in ${wait} s)` : text), { status: response.status });
}
