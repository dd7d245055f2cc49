//! POST `/v1/batch`: up to 1,000 calls in one, for backends that have much to say at once.
//!
//! The calls run one after the other, each through the same routes as a call of its own: with its own check of the key's
//! scope, its own `Idempotency-Key` and its own answer. One that is refused does not stop the others. Deliberately runs
//! nothing in parallel: a caller may rely on the order.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    body::{Body as RawBody, to_bytes},
    http::{
        HeaderMap, HeaderValue, Method, Request as HttpRequest, StatusCode, Uri,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use jackfield_shared::http::{body::Body, layers::unavailable};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt as _;
use utoipa::ToSchema;

use super::{
    caller::AnyCaller,
    error::{ApiError, Errors, PostErrors},
    idempotency::{IDEMPOTENCY_KEY, IdempotencyKey, MAX_KEY, OperationId, RepeatedOperation},
};

/// Most calls in a batch.
const MAX_CALLS: usize = 1_000;
/// Longest path of a call, in bytes.
const MAX_PATH: usize = 1_024;
/// Calls that would begin later than this are not made, so that the others' results are answered in time.
const BEGIN_WITHIN: Duration = Duration::from_secs(25);
/// A call that takes longer is given up: it may or may not have taken effect.
const END_WITHIN: Duration = Duration::from_secs(30);
/// Most bytes of all results together. Calls after that are not made.
const MAX_RESULTS: usize = 8 * 1_024 * 1_024;
const PATH: &str = "/v1/batch";

/// The routes that a batch calls.
#[derive(Clone)]
pub(crate) struct Routes(pub(crate) Arc<Router>);

/// Calls in their order.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BatchRequest)]
pub(crate) struct Request {
    #[schema(min_items = 1, max_items = 1_000)]
    calls: Vec<Call>,
}

/// One call.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = BatchCall)]
struct Call {
    /// Always `POST`.
    #[expect(dead_code, reason = "there is only one")]
    method: CallMethod,
    /// The path of a POST endpoint, except this one.
    #[schema(pattern = "^/v1/(?!batch$)[A-Za-z0-9/_.:~%-]{1,1000}$", example = "/v1/emit")]
    path: String,
    /// The call's body.
    #[schema(value_type = Object, example = json!({"event": "e", "data": {}, "to": {"user": "u"}}))]
    body: Box<RawValue>,
    /// As the header `Idempotency-Key` of a call of its own.
    #[schema(min_length = 1, max_length = 255, pattern = "^[\\x21-\\x7e]+$")]
    idempotency_key: Option<String>,
}

/// The method of a call.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum CallMethod {
    Post,
}

/// The calls' results in their order.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchResults)]
pub(crate) struct Results {
    results: Vec<CallResult>,
}

/// One call's result.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchResult)]
struct CallResult {
    /// The HTTP status.
    status: u16,
    /// The answer; `null` if there is none.
    #[schema(value_type = Option<Object>)]
    body: Box<RawValue>,
}

/// Makes up to 1,000 calls, one after the other.
///
/// Each needs the scope that it needs alone. Calls that cannot begin within 25 seconds are answered with 503 and not made.
#[utoipa::path(
    post, path = "/v1/batch", tag = "batch", request_body = Request, security(("apiKey" = [])),
    params(IdempotencyKey),
    responses((status = 200, description = "The calls' results in their order", body = Results), Errors, PostErrors),
)]
pub(crate) async fn batch(
    _: AnyCaller,
    Extension(Routes(routes)): Extension<Routes>,
    RepeatedOperation(batch): RepeatedOperation,
    headers: HeaderMap,
    Body(Request { calls }): Body<Request>,
) -> Result<Json<Results>, ApiError> {
    if !(1..=MAX_CALLS).contains(&calls.len()) {
        return Err(ApiError::wrong(format!("calls must have 1 to {MAX_CALLS} entries")));
    }
    let uris = calls.iter().enumerate().map(|(index, call)| call.uri(index));
    let uris = uris.collect::<Result<Vec<_>, _>>().map_err(ApiError::wrong)?;
    let key = headers.get(AUTHORIZATION);
    let begun = Instant::now();
    let (until, end, mut bytes) = (begun + BEGIN_WITHIN, begun + END_WITHIN, 0);
    let mut results = Vec::with_capacity(calls.len());
    for (index, (call, uri)) in calls.into_iter().zip(uris).enumerate() {
        let answer = match Instant::now() < until && bytes < MAX_RESULTS {
            true => {
                let operation = batch.as_ref().map(|id| OperationId(id.clone()).of_call(index));
                let request = call.into_request(uri, key, operation);
                let calling = Router::clone(&routes).oneshot(request);
                let answered: Result<Result<Response, Infallible>, _> = timeout_at(end, calling).await;
                match answered {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(never)) => match never {},
                    Err(_) => unavailable().into_response(),
                }
            }
            false => unavailable().into_response(),
        };
        let result = CallResult::of(answer).await;
        bytes += result.body.get().len();
        results.push(result);
    }
    Ok(Json(Results { results }))
}

impl Call {
    /// The URI of the call.
    fn uri(&self, index: usize) -> Result<Uri, String> {
        let wrong = || format!("calls[{index}].path must be the path of a POST endpoint below /v1/, except {PATH}");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_.:~%-".contains(&byte);
        let rest = self.path.strip_prefix("/v1/").filter(|rest| (1..=MAX_PATH).contains(&rest.len()));
        let is_good = rest.is_some_and(|rest| rest.bytes().all(plain)) && self.path != PATH;
        // The endpoint would refuse it, too: here the whole batch is refused, as the document says.
        if !self.body.get().starts_with('{') {
            return Err(format!("calls[{index}].body must be an object"));
        }
        if let Some(key) = &self.idempotency_key {
            let visible = (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
            if !visible {
                return Err(format!("calls[{index}].idempotencyKey must have 1 to {MAX_KEY} visible ASCII characters"));
            }
        }
        is_good.then(|| self.path.parse().ok()).flatten().ok_or_else(wrong)
    }

    fn into_request(self, uri: Uri, key: Option<&HeaderValue>, operation: Option<OperationId>) -> HttpRequest<RawBody> {
        let body = String::from(Box::<str>::from(self.body));
        let mut request = HttpRequest::new(RawBody::from(body));
        (*request.method_mut(), *request.uri_mut()) = (Method::POST, uri);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.extend(key.map(|key| (AUTHORIZATION, key.clone())));
        // Its characters were checked.
        let own = self.idempotency_key.and_then(|key| HeaderValue::try_from(key).ok());
        headers.extend(own.map(|key| (IDEMPOTENCY_KEY, key)));
        // If the batch is repeated under its key, its calls happen once, too.
        if let Some(operation) = operation {
            request.extensions_mut().insert(operation);
        }
        request
    }
}

impl CallResult {
    async fn of(answer: Response) -> Self {
        let status = answer.status();
        // The endpoint made the body in memory, so reading it cannot fail.
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap_or_default();
        let json = String::from_utf8(body.into()).ok().and_then(|text| RawValue::from_string(text).ok());
        Self { status: status.as_u16(), body: json.unwrap_or_else(|| RawValue::NULL.to_owned()) }
    }
}

/// The answer to a call of a path that does not exist, or has no POST.
pub(crate) async fn unknown() -> Response {
    jackfield_shared::http::layers::for_status(StatusCode::NOT_FOUND).into_response()
}
