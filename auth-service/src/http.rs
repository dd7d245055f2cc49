//! The HTTP interface: one file per endpoint, and the parts that all of them share.
//!
//! Guarantees: the body of every error is an [`ErrorBody`](jackfield_shared::error_body::ErrorBody), because [`layers`]
//! rewrites the errors of all other layers; every request ends within a bounded time and reads a bounded body.

pub mod bearer;
pub mod check_status;
pub mod client_address;
mod document;
pub mod error;
pub mod health;
pub mod jwks;
pub mod layers;
pub mod list_users;
pub mod login;
pub mod logout;
pub mod optional_body;
pub mod password;
pub mod refresh;
pub mod register;
pub mod seed;
pub mod session;
mod trailing_slash;
pub mod update_user;
pub mod valid;

use std::sync::{Arc, OnceLock};

use axum::{Router, extract::Request, response::IntoResponse as _};
use jackfield_shared::http::{
    docs,
    identify::{Callers, identified},
    layers::unavailable,
    measure::{Measures, measured},
};
use tower::ServiceExt as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{app::App, metrics};

/// The public routes.
pub(crate) fn public_router(app: &Arc<App>, origins: &[String]) -> Router {
    let (endpoints, document) = OpenApiRouter::with_openapi(document::document())
        .routes(routes!(register::register))
        .routes(routes!(login::login))
        .routes(routes!(check_status::check_status))
        .routes(routes!(refresh::refresh))
        .routes(routes!(logout::logout))
        .routes(routes!(password::password))
        .routes(routes!(list_users::list_users))
        .routes(routes!(update_user::update_user))
        .routes(routes!(seed::seed))
        .routes(routes!(jwks::jwks))
        .split_for_parts();
    let routes = endpoints.with_state(Arc::clone(app)).merge(docs::router("/api", &document));
    let routes =
        measured(layers::wrap(routes, origins), Measures { answered: &metrics::REQUESTS, took: &metrics::REQUEST });
    trailing_slash::allow(identified(routes, Callers::Anybody), "/api")
}

/// The service, once it is built.
pub(crate) struct Started {
    /// The service behind the routes.
    pub app: Arc<App>,
    /// The public routes.
    pub routes: Router,
}

/// The public routes once the service is built; until then, 503 for every request.
pub(crate) fn once_started(started: Arc<OnceLock<Started>>) -> Router {
    Router::new().fallback(move |request: Request| async move {
        match started.get() {
            Some(started) => started.routes.clone().oneshot(request).await.into_response(),
            None => unavailable().into_response(),
        }
    })
}
