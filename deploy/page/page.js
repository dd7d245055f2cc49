// The page: signs in over HTTP (login.js), then uses the stock Socket.IO client. Text of other users is never shown as
// HTML.
// @ts-check
'use strict';

const MESSAGES_SHOWN = 200;
const NOTES_SHOWN = 50;
const ACK_TIMEOUT = 5000;

// Refusals after which the stored tokens are of no use.
const BAD_TOKEN = ['invalid_token', 'token_revoked', 'user_inactive'];

// Reasons in plain words. Others are shown as received.
const REASONS = {
  missing_token: 'no token was sent',
  invalid_token: 'the token is invalid',
  token_expired: 'the token expired: sign in again',
  token_revoked: 'the token was revoked: sign in again',
  logout: 'you signed out',
  password_changed: 'the password was changed: sign in again',
  deactivated: 'the user is inactive',
  revoked: 'the login was revoked: sign in again',
  user_inactive: 'the user is inactive',
  session_conflict: 'this user is already connected',
  'session:replaced': 'this user connected from elsewhere',
  'token:expired': 'the token expired: sign in again',
  'io server disconnect': 'the server closed the session',
  'io client disconnect': 'you disconnected',
  'ping timeout': 'the server stopped responding',
  'transport close': 'the connection was lost',
  'transport error': 'the connection failed',
  'xhr poll error': 'cannot reach the server',
  'websocket error': 'cannot reach the server',
  timeout: 'the server did not respond in time',
};

/** @returns {any} */
const $ = (id) => document.getElementById(id);

/** @type {import('../types/events.js').JackfieldSocket} */
let socket = null;
// Why the server is about to disconnect this client: it sends an event before it does.
let closeReason = null;
let ownId = null;

function showStatus(state, reason = '') {
  $('server-status').textContent = state;
  $('server-status').dataset.state = state;
  $('server-reason').textContent = reason;
  const connected = state === 'connected';
  $('message-input').disabled = !connected;
  $('btn-send').disabled = !connected;
  $('btn-disconnect').disabled = !socket || state === 'disconnected';
}

function explain(code) {
  return REASONS[code] ? `${REASONS[code]} (${code})` : code;
}

function addLine(list, limit, ...parts) {
  const line = document.createElement('li');
  line.append(...parts);
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(line);
  while (list.children.length > limit) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function addNote(text) {
  addLine($('notes-ul'), NOTES_SHOWN, `${new Date().toLocaleTimeString()} ${text}`);
}

// Accounts

function accountForm(form, path, fields) {
  $(form).addEventListener('submit', async (/** @type {any} */ event) => {
    event.preventDefault();
    const button = event.target.querySelector('button');
    const body = Object.fromEntries(Object.entries(fields).map(([name, id]) => [name, $(id).value]));
    $('account-note').textContent = '';
    button.disabled = true;
    try {
      const { token, refreshToken } = await request(path, { body });
      event.target.reset();
      signIn({ token, refreshToken });
    } catch (error) {
      $('account-note').textContent = error.message;
    } finally {
      button.disabled = false;
    }
  });
}

function signIn(tokens) {
  login.keep(tokens);
  connectToServer();
}

// Renews a token that is about to expire, without a new connection.
/** @param {import('../types/events.js').JackfieldSocket} current */
async function renewToken(current) {
  if (!await login.renew(login.tokens?.token) || current !== socket) return;
  const { token } = login.tokens;
  $('jwt-token').value = token;
  current.timeout(ACK_TIMEOUT).emit('token:refresh', { token }, (error, answer) => {
    if (error || answer.status !== 'ok') addNote('cannot renew the token');
  });
}

// Connects again with a new token, if the login is still good for one: after hours of sleep, for example.
async function comeBack(current, code) {
  showStatus('connecting', `${explain(code)}, renewing it`);
  const renewed = await login.renew(login.tokens?.token);
  if (current !== socket) return;
  if (renewed) current.connect();
  else showStatus('disconnected', explain(code));
}

// The connection

function connectToServer() {
  disconnect();
  if (typeof io === 'undefined') {
    showStatus('disconnected', 'cannot load the Socket.IO client from this server');
    return;
  }
  closeReason = null;
  const auth = (send) => login.token().then((token) => {
    $('jwt-token').value = token ?? '';
    send({ token, recover: true });
  });
  socket = io({ auth, forceNew: true });
  showStatus('connecting');
  $('btn-sign-out').disabled = false;
  listen(socket);
}

function disconnect() {
  if (!socket) return;
  socket.removeAllListeners();
  socket.io.removeAllListeners();
  socket.disconnect();
  socket = null;
  $('clients-ul').replaceChildren();
  $('clients-count').textContent = '';
}

/** @param {import('../types/events.js').JackfieldSocket} current */
function listen(current) {
  current.on('connect', () => showStatus('connected'));
  current.on('authenticated', ({ email, userId }) => {
    ownId = userId;
    $('server-reason').textContent = `as ${email ?? userId}`;
  });
  current.on('connect_error', (error) => {
    // The stock client reconnects by itself, except after a refusal by the server.
    if (current.active) showStatus('connecting', `${explain(error.message)}, reconnecting`);
    else if (error.message === 'token_expired') comeBack(current, error.message);
    else showStatus('disconnected', explain(error.message));
    if (BAD_TOKEN.includes(error.message)) login.keep(null);
  });
  current.on('session:replaced', () => { closeReason = 'session:replaced'; });
  current.on('session:ended', ({ reason }) => { closeReason = reason || 'io server disconnect'; });
  current.on('token:expired', () => { closeReason = 'token:expired'; });
  current.on('token:expiring', () => renewToken(current));
  current.on('disconnect', (reason) => {
    const last = closeReason ?? reason;
    const why = explain(last);
    closeReason = null;
    if (current.active) showStatus('connecting', `${why}, reconnecting`);
    else if (last === 'token:expired') comeBack(current, last);
    else showStatus('disconnected', why);
    $('clients-ul').replaceChildren();
    $('clients-count').textContent = '';
  });

  current.on('clients-updated', (ids) => {
    const lines = ids.map((id) => {
      const line = document.createElement('li');
      line.textContent = id === current.id ? `${id} (you)` : id;
      line.classList.toggle('me', id === current.id);
      return line;
    });
    $('clients-ul').replaceChildren(...lines);
    $('clients-count').textContent = `(${ids.length})`;
  });
  current.on('clients-count', ({ count }) => {
    $('clients-ul').replaceChildren();
    $('clients-count').textContent = `(${count}, too many to list)`;
  });

  current.on('message-server', ({ fullName, message }) => {
    const name = document.createElement('strong');
    name.textContent = fullName;
    addLine($('messages-ul'), MESSAGES_SHOWN, name, ` - ${message}`);
  });
  const label = (userId) => (userId === ownId ? `${userId} (you)` : userId);
  current.on('user:online', ({ userId }) => addNote(`${label(userId)} is online`));
  current.on('user:offline', ({ userId }) => addNote(`${label(userId)} is offline`));
  current.on('error', ({ code, message }) => {
    $('message-note').textContent = `${message ?? 'Error'} (${code})`;
  });
}

function sendMessage(event) {
  event.preventDefault();
  const input = $('message-input');
  if (!socket?.connected || !input.value.trim()) return;
  $('message-note').textContent = '';
  socket.timeout(ACK_TIMEOUT).emit('message-client', { id: socket.id, message: input.value }, (error, answer) => {
    if (error) $('message-note').textContent = 'No answer: the message may not have been sent';
    else if (answer?.status !== 'ok') $('message-note').textContent = `${answer?.message} (${answer?.code})`;
  });
  input.value = '';
}

accountForm('login-form', '/api/auth/login', { email: 'login-email', password: 'login-password' });
accountForm('register-form', '/api/auth/register', {
  email: 'register-email', password: 'register-password', fullName: 'register-name',
});
$('message-form').addEventListener('submit', sendMessage);
$('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const token = $('jwt-token').value.trim();
  $('account-note').textContent = token ? '' : 'Enter a token, or sign in';
  if (token) signIn(token === login.tokens?.token ? login.tokens : { token });
});
$('btn-sign-out').addEventListener('click', async () => {
  disconnect();
  showStatus('offline');
  $('btn-sign-out').disabled = true;
  $('jwt-token').value = '';
  await login.end().catch((error) => { $('account-note').textContent = error.message; });
});
$('btn-disconnect').addEventListener('click', () => {
  disconnect();
  showStatus('disconnected', explain('io client disconnect'));
});
showStatus('offline');
// Still signed in.
if (login.tokens) connectToServer();
