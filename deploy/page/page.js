// The page: signs in over HTTP, then uses the stock Socket.IO client. Text of other users is never shown as HTML.
'use strict';

const MESSAGES_SHOWN = 200;
const NOTES_SHOWN = 50;
const ACK_TIMEOUT = 5000;

// Reasons in plain words. Others are shown as received.
const REASONS = {
  missing_token: 'no token was sent',
  invalid_token: 'the token is invalid',
  token_expired: 'the token expired: sign in again',
  token_revoked: 'the token was revoked: sign in again',
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

const $ = (id) => document.getElementById(id);

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

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(30000) });
  } catch {
    throw new Error('Cannot reach the server');
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const wait = response.headers.get('Retry-After');
  const text = [body.message ?? `The server answered ${response.status}`].flat().join('; ');
  throw new Error(wait ? `${text} (in ${wait} s)` : text);
}

function accountForm(form, path, fields) {
  $(form).addEventListener('submit', async (event) => {
    event.preventDefault();
    const button = event.target.querySelector('button');
    const body = Object.fromEntries(Object.entries(fields).map(([name, id]) => [name, $(id).value]));
    $('account-note').textContent = '';
    button.disabled = true;
    try {
      const { token } = await request(path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      });
      event.target.reset();
      $('jwt-token').value = token;
      connectToServer(token);
    } catch (error) {
      $('account-note').textContent = error.message;
    } finally {
      button.disabled = false;
    }
  });
}

// Renews a token that is about to expire, without a new connection.
async function renewToken(current) {
  try {
    const { token } = await request('/api/auth/check-status', { headers: { Authorization: `Bearer ${$('jwt-token').value.trim()}` } });
    if (current !== socket) return;
    $('jwt-token').value = token;
    current.auth.token = token;
    current.timeout(ACK_TIMEOUT).emit('token:refresh', { token }, (error, answer) => {
      if (error || answer.status !== 'ok') addNote('cannot renew the token');
    });
  } catch (error) {
    addNote(`cannot renew the token: ${error.message}`);
  }
}

// The connection

function connectToServer(token) {
  disconnect();
  if (typeof io === 'undefined') {
    showStatus('disconnected', 'cannot load the Socket.IO client from this server');
    return;
  }
  closeReason = null;
  socket = io({ auth: { token, recover: true }, forceNew: true });
  showStatus('connecting');
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

function listen(current) {
  current.on('connect', () => showStatus('connected'));
  current.on('authenticated', ({ email, userId }) => {
    ownId = userId;
    $('server-reason').textContent = `as ${email ?? userId}`;
  });
  current.on('connect_error', (error) => {
    // The stock client reconnects by itself, except after a refusal by the server.
    if (current.active) showStatus('connecting', `${explain(error.message)}, reconnecting`);
    else showStatus('disconnected', explain(error.message));
  });
  current.on('session:replaced', () => { closeReason = 'session:replaced'; });
  current.on('token:expired', () => { closeReason = 'token:expired'; });
  current.on('token:expiring', () => renewToken(current));
  current.on('disconnect', (reason) => {
    const why = explain(closeReason ?? reason);
    closeReason = null;
    if (current.active) showStatus('connecting', `${why}, reconnecting`);
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
  if (token) connectToServer(token);
});
$('btn-disconnect').addEventListener('click', () => {
  disconnect();
  showStatus('disconnected', explain('io client disconnect'));
});
showStatus('offline');
