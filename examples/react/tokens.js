// The tokens of one login with Jackfield's auth service, for `useJackfield`:
//
//   const tokens = await signIn(url, { email, password });
//   const { status, messages } = useJackfield({ url, token: tokens.token, room, renew: tokens.renew });
//
// Pass `keep` to store the refresh token, and `resume` with it after a reload. It is good for one use: the stored one
// must always be the newest.
// @ts-check

/** Signs in. `keep` gets each new refresh token. */
export async function signIn(url, { email, password }, keep) {
  return tokensOf(url, await post(url, "/api/auth/login", { email, password }), keep);
}

/** Continues a login from its refresh token. */
export async function resume(url, refreshToken, keep) {
  return tokensOf(url, await post(url, "/api/auth/refresh", { refreshToken }), keep);
}

function tokensOf(url, { token, refreshToken }, keep = (newest) => {}) {
  keep(refreshToken);
  let renewing = null;
  const tokens = {
    token,
    /** Resolves to a new token, or to nothing if the login has ended. Callers at the same time get the same one. */
    renew() {
      renewing ??= post(url, "/api/auth/refresh", { refreshToken })
        .then((answer) => {
          ({ token: tokens.token, refreshToken } = answer);
          keep(refreshToken);
          return tokens.token;
        }, (error) => {
          if (error.status !== 401) throw error;
        })
        .finally(() => (renewing = null));
      return renewing;
    },
    /** Signs out: the login ends, and its sockets on all nodes. */
    end: () => post(url, "/api/auth/logout", {}, tokens.token),
  };
  return tokens;
}

async function post(url, path, body, token) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const answer = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
  const read = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(read.code ?? answer.statusText), { status: answer.status });
  return read;
}
