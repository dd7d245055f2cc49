//! One call of a backend over HTTP: signed, bounded in time and in bytes, and counted.
//!
//! Guarantees: a call is sent at most once; it ends within its time, its answer included; of an answer at most
//! [`MAX_ANSWER`] bytes are read. Follows no redirect, uses no proxy of the environment, keeps no cookies. Deliberately
//! retries nothing: whoever asked for the call decides.

use std::{error::Error as _, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use jackfield_shared::{
    time::{now, unix_now},
    trace::{Origin, Span, SpanKind, note, within},
};
use reqwest::{
    Client, Response,
    header::{CONTENT_TYPE, HeaderName},
    redirect::Policy,
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};

use super::{Hook, Outcome, breaker::Pass};

/// Most bytes of an answer's body.
pub(crate) const MAX_ANSWER: usize = 1_000_000;
/// How long an unused connection is kept: less than the 5 s after which Node's and uvicorn's servers close one, because
/// a call that meets that close fails.
const KEEP_IDLE: Duration = Duration::from_secs(4);

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// As many calls are open as may be: not sent.
    #[error("too many calls are open (`hook.concurrency`)")]
    TooMany,
    /// Not sent, because the backend did not answer the last calls.
    #[error("the breaker is open, because the last calls got no answer")]
    BreakerOpen,
    /// No answer in time.
    #[error("no answer within the timeout")]
    Timeout,
    /// No connection, or it broke.
    #[error("{0}")]
    Unreachable(String),
    /// The answer is longer than [`MAX_ANSWER`], or no HTTP.
    #[error("{0}")]
    BadAnswer(String),
    /// The node stops.
    #[error("the node stops")]
    Stopping,
}

impl CallError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::TooMany => Outcome::TooMany,
            Self::BreakerOpen => Outcome::BreakerOpen,
            Self::Timeout => Outcome::Timeout,
            Self::Unreachable(_) => Outcome::Unreachable,
            Self::BadAnswer(_) => Outcome::BadAnswer,
            Self::Stopping => Outcome::Cancelled,
        }
    }
}

/// The backend's answer. The call counts as open until this is dropped, and is counted then: as its status says, unless
/// [`Answer::refuse`] was called.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// At most [`MAX_ANSWER`] bytes.
    pub(crate) body: Bytes,
    verdict: Verdict,
}

impl Answer {
    /// Counts the answer as one that cannot be used, for this reason.
    pub(crate) fn refuse(&mut self, reason: impl Into<String>) {
        (self.verdict.outcome, self.verdict.reason) = (Outcome::BadAnswer, reason.into());
    }
}

/// Counts the call when it is dropped.
#[derive(Debug)]
struct Verdict {
    hook: Arc<Hook>,
    outcome: Outcome,
    reason: String,
    _open: Option<OwnedSemaphorePermit>,
}

impl Drop for Verdict {
    fn drop(&mut self) {
        self.hook.tally.add(&self.hook.name, self.outcome, &self.reason);
    }
}

/// A call under way: if it is dropped before it ends, the breaker may probe again.
struct UnderWay<'a> {
    hook: &'a Hook,
    pass: Option<Pass>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(pass) = self.pass {
            self.hook.breaker.lock().cancelled(pass, now());
        }
    }
}

impl UnderWay<'_> {
    fn ended(mut self, answered: bool) {
        let Some(pass) = self.pass.take() else { return };
        let hook = &*self.hook.name;
        if answered {
            if self.hook.breaker.lock().succeeded(pass) {
                tracing::info!(hook, "a hook answers again: calling it as before");
            }
        } else if let Some(pause) = self.hook.breaker.lock().failed(pass, now()) {
            tracing::warn!(hook, ?pause, "a hook does not answer: calling it again after a pause; check its backend");
        }
    }
}

/// The client of one hook, with connections of its own.
pub(super) fn client(concurrency: usize) -> reqwest::Result<Client> {
    Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .pool_idle_timeout(KEEP_IDLE)
        .pool_max_idle_per_host(concurrency)
        .user_agent(concat!("jackfield/", env!("CARGO_PKG_VERSION")))
        .build()
}

impl Hook {
    /// Calls the backend with this body, which is JSON. `id` names what the call is about, the same one in each
    /// repetition. Takes at most the hook's timeout.
    ///
    /// # Errors
    /// [`CallError`], counted. Any status is an answer.
    pub(crate) async fn call(self: &Arc<Self>, id: &str, body: Bytes) -> Result<Answer, CallError> {
        self.call_until(id, body, Instant::now() + self.timeout).await
    }

    /// As [`Hook::call`], until this time.
    ///
    /// # Errors
    /// See [`Hook::call`].
    pub(crate) async fn call_until(
        self: &Arc<Self>,
        id: &str,
        body: Bytes,
        until: Instant,
    ) -> Result<Answer, CallError> {
        let span = Span::child("hook", SpanKind::Client).map(|span| span.with("hook", self.name.to_string()));
        let mut verdict =
            Verdict { hook: Arc::clone(self), outcome: Outcome::Cancelled, reason: String::new(), _open: None };
        match within(span, Box::pin(self.send(id, body, until, &mut verdict))).await {
            Ok((status, body)) => {
                verdict.outcome = Outcome::of_status(status);
                verdict.reason = format!("status {status}");
                Ok(Answer { status, body, verdict })
            }
            Err(error) => {
                (verdict.outcome, verdict.reason) = (error.outcome(), error.to_string());
                Err(error)
            }
        }
    }

    async fn send(
        &self,
        id: &str,
        body: Bytes,
        until: Instant,
        verdict: &mut Verdict,
    ) -> Result<(u16, Bytes), CallError> {
        if self.stopping.is_cancelled() {
            return Err(CallError::Stopping);
        }
        let began = Instant::now();
        if began >= until {
            return Err(CallError::Timeout);
        }
        verdict._open = Some(Arc::clone(&self.open).try_acquire_owned().map_err(|_| CallError::TooMany)?);
        let pass = self.breaker.lock().admit(now()).ok_or(CallError::BreakerOpen)?;
        let under_way = UnderWay { hook: self, pass: Some(pass) };
        let exchange = timeout_at(until, self.exchange(id, body));
        let Some(answer) = self.stopping.run_until_cancelled(exchange).await else { return Err(CallError::Stopping) };
        let answer = answer.unwrap_or(Err(CallError::Timeout));
        self.took.iter().for_each(|took| took.record(began.elapsed().as_secs_f64()));
        match &answer {
            Ok((status, _)) => {
                note("http.response.status_code", i64::from(*status));
                under_way.ended(Outcome::of_status(*status) != Outcome::Unavailable);
            }
            Err(error) => {
                note("error.type", error.outcome().name());
                under_way.ended(matches!(error, CallError::BadAnswer(_)));
            }
        }
        answer
    }

    async fn exchange(&self, id: &str, body: Bytes) -> Result<(u16, Bytes), CallError> {
        let timestamp = unix_now();
        let signature = self.secrets.sign(id, timestamp, &body);
        let mut request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(WEBHOOK_ID, id)
            .header(WEBHOOK_TIMESTAMP, timestamp)
            .header(WEBHOOK_SIGNATURE, signature)
            .body(body);
        if let Some(origin) = Origin::current() {
            request = request.header(TRACEPARENT, origin.traceparent());
        }
        let answer = request.send().await.map_err(explain)?;
        let status = answer.status().as_u16();
        Ok((status, read(answer).await?))
    }
}

/// The answer's body. Stops reading once it is too long.
async fn read(mut answer: Response) -> Result<Bytes, CallError> {
    let too_long = || CallError::BadAnswer(format!("the answer is longer than {MAX_ANSWER} bytes"));
    if answer.content_length().is_some_and(|length| length > MAX_ANSWER as u64) {
        return Err(too_long());
    }
    let mut body = BytesMut::new();
    while let Some(part) = answer.chunk().await.map_err(explain)? {
        if body.len() + part.len() > MAX_ANSWER {
            return Err(too_long());
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

/// The error with its causes, without the URL, which may hold a secret.
fn explain(error: reqwest::Error) -> CallError {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    let mut is_bad = false;
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        is_bad |= error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
        cause = error.source();
    }
    if is_bad { CallError::BadAnswer(text) } else { CallError::Unreachable(text) }
}
