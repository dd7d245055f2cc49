//! POST `/api/auth/refresh`: exchanges a refresh token for the next one and an access token.
//!
//! Guarantees, by the rules of [`crate::rotation`]: a token is exchanged once; its use later on, which means that
//! somebody else has it, ends the login. Every refusal is the same answer. If gateways cannot be told of the end,
//! nothing ends: the next use of an old token is noticed as well.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use garde::Validate;
use jackfield_shared::error_body::ErrorBody;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    error::ApiError,
    session::{Refreshed, response},
    valid::Valid,
};
use crate::{
    app::App,
    logins::{Login, now},
    metrics::REFRESHES,
    refresh_token::RefreshToken,
    revoker::{Reason, count_ended},
    rotation::{Family, Verdict, judge},
    sign_in::AccessToken,
    users::User,
};

/// A token is judged again if its login was changed meanwhile. After one more rotation it is at most repeated, and
/// after two it is reused.
const ATTEMPTS: usize = 4;

/// A refresh token to exchange. Has no `Debug`: a token must not be logged.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RefreshRequest)]
pub struct Request {
    /// From the last answer to register, login or refresh.
    #[schema(example = "jfr_AZq8…")]
    #[garde(skip)]
    refresh_token: String,
}

/// Exchanges a refresh token, once.
#[utoipa::path(
    post, path = "/api/auth/refresh", tag = "auth", request_body = Request,
    responses(
        (status = 200, description = "The login's next tokens", body = Refreshed),
        (status = 400, description = "`validation_failed`", body = ErrorBody),
        (status = 401, description = "`invalid_refresh_token`: unknown, ended, or used before", body = ErrorBody),
        (status = 413, description = "`payload_too_large`", body = ErrorBody),
        (status = 415, description = "`unsupported_media_type`", body = ErrorBody),
        (status = 503, description = "`unavailable`, with `Retry-After`", body = ErrorBody),
    ),
)]
#[tracing::instrument(name = "refresh", skip_all)]
pub async fn refresh(State(app): State<Arc<App>>, Valid(request): Valid<Request>) -> Result<Response, ApiError> {
    let Some(presented) = RefreshToken::parse(&request.refresh_token) else { return Err(refused()) };
    for _ in 0..ATTEMPTS {
        let now = now();
        let found = app.logins.find(presented.login()).await?;
        let family = found.as_ref().map_or_else(
            || Family::unknown(&presented, now),
            |(login, user)| Family {
                is_open: user.is_active && login.is_open(now),
                number: login.number,
                token_hash: login.token_hash,
                rotated_at: login.rotated_at,
                nonce: login.nonce,
            },
        );
        let verdict = judge(&presented, &family, now);
        let Some((login, user)) = found else { return Err(refused()) };
        let access = AccessToken::new(&app, &login, now);
        match verdict {
            Verdict::Rotate(next) => {
                if app.logins.rotate(&login, &next, now, access.expires_at()).await? {
                    return answer("rotated", &app, access, &login, &user, &next);
                }
            }
            Verdict::Repeat(current) => {
                // Many of the same token at once need one write.
                let is_covered = access.expires_at() <= login.tokens_until;
                if is_covered || app.logins.extend(login.id, now, access.expires_at()).await? {
                    return answer("repeated", &app, access, &login, &user, &current);
                }
            }
            Verdict::Reused => return Err(end(&app, &login).await?),
            Verdict::Refused => return Err(refused()),
        }
    }
    Err(refused())
}

fn answer(
    outcome: &'static str,
    app: &App,
    access: AccessToken,
    login: &Login,
    user: &User,
    next: &RefreshToken,
) -> Result<Response, ApiError> {
    let token = access.sign(app, login, user)?;
    REFRESHES.add_for([outcome], 1);
    Ok(response(StatusCode::OK, Refreshed { token, refresh_token: next.to_text() }))
}

fn refused() -> ApiError {
    REFRESHES.add_for(["refused"], 1);
    ApiError::InvalidRefreshToken
}

/// Ends a login whose tokens two parties have. Returns the refusal.
async fn end(app: &App, login: &Login) -> Result<ApiError, ApiError> {
    app.revoker.check().await?;
    let mut change = app.logins.begin().await?;
    let now = now();
    let Some(ended) = change.end_login(login.id, now).await? else { return Ok(refused()) };
    app.revoker.commit(change, &app.revoker.ended(&[ended], Reason::Reused, now)).await?;
    tracing::warn!(
        user = %login.user, sid = %login.id,
        "a refresh token was used twice, so two parties have it; ended the login, and the user must sign in again"
    );
    count_ended(Reason::Reused, 1);
    REFRESHES.add_for(["reused"], 1);
    Ok(ApiError::InvalidRefreshToken)
}
