//! Backends that hooks call, over real connections: [`Backend`] answers as a test says, [`RawBackend`] sends any bytes.
//!
//! A test with one runs in real time: paused time would end every wait for a socket at once.

use std::{
    future::Future,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Request, Response, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::{FutureExt as _, future::BoxFuture};
use hmac::{Hmac, Mac as _};
use jackfield_shared::{lifecycle::Lifecycle, serve::serve};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// Two secrets, as their files hold them.
pub const SECRETS: [&str; 2] =
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="];
/// Longest wait for a call.
const WITHIN: Duration = Duration::from_secs(20);

/// A call as the backend got it.
#[derive(Debug, Clone)]
pub struct Call {
    pub headers: HeaderMap,
    pub body: Value,
    raw: Bytes,
}

impl Call {
    /// The header's text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Whether one of the signatures is made with this secret.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp")).as_bytes());
        mac.update(&self.raw);
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

type Respond = Arc<dyn Fn(Call) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

/// A backend that answers as a function says, and remembers its calls.
pub struct Backend {
    pub url: String,
    calls: Arc<Calls>,
    lifecycle: Lifecycle,
    folder: tempfile::TempDir,
}

#[derive(Default)]
struct Calls {
    all: Mutex<Vec<Call>>,
    arrived: Notify,
}

impl Backend {
    pub async fn new<F>(respond: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::at(0, respond).await
    }

    /// As [`Backend::new`], on this port; 0 for any.
    pub async fn at<F>(port: u16, respond: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let respond: Respond = Arc::new(move |call| respond(call).boxed());
        let (calls, lifecycle) = (Arc::<Calls>::default(), Lifecycle::new());
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let seen = Arc::clone(&calls);
        let router = Router::new().fallback(async move |request: Request<Body>| {
            let (head, body) = request.into_parts();
            let raw = to_bytes(body, usize::MAX).await.unwrap();
            let body = serde_json::from_slice(&raw).unwrap_or_else(|error| panic!("{error}: {raw:?}"));
            let call = Call { headers: head.headers, body, raw };
            seen.all.lock().unwrap().push(call.clone());
            seen.arrived.notify_waiters();
            respond(call).await
        });
        lifecycle.spawn(serve(listener, router, None, lifecycle.clone()));
        let folder = tempfile::tempdir().unwrap();
        for (index, secret) in SECRETS.iter().enumerate() {
            std::fs::write(folder.path().join(index.to_string()), secret).unwrap();
        }
        Self { url, calls, lifecycle, folder }
    }

    /// A backend that answers each event with its arguments.
    pub async fn echoing() -> Self {
        Self::new(async |call| answer(200, &json!({ "ack": call.body["args"] }))).await
    }

    /// The setting `hooks` with one hook of this backend, named `h`, with these parts and the first secret.
    pub fn hook(&self, parts: &str) -> String {
        hooks(&[self.rule("h", parts)])
    }

    /// One hook of this backend.
    pub fn rule(&self, name: &str, parts: &str) -> String {
        format!("{name};url={};{parts};secretFile={}", self.url, self.secret(0))
    }

    /// The file of a secret.
    pub fn secret(&self, index: usize) -> String {
        self.folder.path().join(index.to_string()).display().to_string()
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.all.lock().unwrap().clone()
    }

    /// Waits for this many calls.
    pub async fn called(&self, count: usize) -> Vec<Call> {
        let waiting = async {
            loop {
                let arrived = self.calls.arrived.notified();
                let calls = self.calls();
                if calls.len() >= count {
                    return calls;
                }
                arrived.await;
            }
        };
        tokio::time::timeout(WITHIN, waiting).await.expect("there are not as many calls")
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

/// The setting `hooks`.
pub fn hooks(rules: &[String]) -> String {
    format!("hooks={}", json!(rules))
}

/// A JSON answer.
pub fn answer(status: u16, body: &Value) -> Response<Body> {
    text(status, body.to_string())
}

/// Any answer.
pub fn text(status: u16, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// A secret's file in this folder.
pub fn secret_file(folder: &Path) -> String {
    let path = folder.join("secret");
    std::fs::write(&path, SECRETS[0]).unwrap();
    path.display().to_string()
}

/// A server that reads a request's head and then does with the connection what a function says.
pub struct RawBackend {
    pub url: String,
    lifecycle: Lifecycle,
    folder: tempfile::TempDir,
}

impl RawBackend {
    pub async fn new<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let lifecycle = Lifecycle::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (tasks, serve) = (lifecycle.clone(), Arc::new(serve));
        lifecycle.spawn(lifecycle.stopping().run_until_cancelled_owned(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let serve = Arc::clone(&serve);
                tasks.spawn(tasks.stopping().run_until_cancelled_owned(async move {
                    let mut head = [0; 65_536];
                    let _ = stream.read(&mut head).await;
                    serve(stream).await;
                }));
            }
        }));
        Self { url, lifecycle, folder: tempfile::tempdir().unwrap() }
    }

    /// A server that sends these bytes, and then nothing.
    pub async fn sending(bytes: Vec<u8>) -> Self {
        let bytes = Bytes::from(bytes);
        Self::new(move |mut stream| {
            let bytes = bytes.clone();
            async move {
                let _ = stream.write_all(&bytes).await;
                std::future::pending::<()>().await;
            }
        })
        .await
    }

    /// The setting `hooks` with one hook of this backend, named `h`.
    pub fn hook(&self, parts: &str) -> String {
        hooks(&[format!("h;url={};{parts};secretFile={}", self.url, secret_file(self.folder.path()))])
    }
}

impl Drop for RawBackend {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}
