// Users and their tokens: made here with the secret that the gateways share, or registered with the auth service.

import crypto from 'k6/crypto';
import encoding from 'k6/encoding';
import http from 'k6/http';

// Lifetime of a token in seconds, longer than any run.
const LIFETIME = 86_400;
// Sign-ins at a time: each costs the auth service a hash.
const AT_ONCE = 10;
// Meets the rules for passwords.
const PASSWORD = 'Load-test-1';

// The data that all virtual users of a run share; made once, before the run.
export function prepare(settings, count) {
  const run = Math.floor(Math.random() * 2 ** 40).toString(36);
  return { run, registered: settings.jwtSecret === '' ? signIn(settings.baseUrl, count) : null };
}

// `{id, token}` of the user with this number.
export function user(settings, { run, registered }, number) {
  if (registered !== null) return registered[number];
  const id = `load-${run}-${number}`;
  return { id, token: sign(settings, id) };
}

function sign({ jwtSecret, jwtIssuer, jwtAudience }, id) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { sub: id, name: id, iat: now, exp: now + LIFETIME };
  if (jwtIssuer !== '') claims.iss = jwtIssuer;
  if (jwtAudience !== '') claims.aud = jwtAudience;
  const part = (content) => encoding.b64encode(JSON.stringify(content), 'rawurl');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${crypto.hmac('sha256', jwtSecret, signed, 'base64rawurl')}`;
}

// Every run has the same users, by number, so after the first unknown user all later ones are unknown, too. They
// register without trying to sign in, because failed sign-ins are limited.
function signIn(baseUrl, count) {
  const users = [];
  let known = true;
  for (let first = 0; first < count; first += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, index) => first + index);
    const answers = known ? all(baseUrl, 'login', numbers) : [];
    const strangers = numbers.filter((_, index) => !known || answers[index].status === 401);
    known = strangers.length === 0;
    const registered = all(baseUrl, 'register', strangers);
    strangers.forEach((number, index) => { answers[number - first] = registered[index]; });
    for (const answer of answers) {
      if (answer.status !== 200 && answer.status !== 201) throw new Error(`no user: ${answer.status} ${answer.body}`);
      const { user: { id }, token } = answer.json();
      users.push({ id, token });
    }
  }
  return users;
}

function all(baseUrl, call, numbers) {
  const params = { headers: { 'Content-Type': 'application/json' } };
  return http.batch(numbers.map((number) => {
    const account = { email: `load-${number}@load.test`, password: PASSWORD };
    const body = call === 'login' ? account : { ...account, fullName: `Load ${number}` };
    return ['POST', `${baseUrl}/api/auth/${call}`, JSON.stringify(body), params];
  }));
}
