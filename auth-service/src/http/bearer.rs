//! The caller of a request with `Authorization: Bearer …`.
//!
//! Guarantees: the token is ours and valid now; its login is open; its user exists, is active, and is as the database
//! has it now, not as the token says.

use std::{ops::Deref, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
};
use chrono::{DateTime, Utc};
use jackfield_shared::{claims::Role, verify::strip_bearer};
use uuid::Uuid;

use super::error::ApiError;
use crate::{
    app::App,
    logins::{Login, now},
    users::User,
};

/// A caller that has signed in.
pub struct Bearer {
    /// The user.
    pub user: User,
    /// The login that the token belongs to.
    pub login: Login,
    /// A moment before the user was read.
    pub read_at: DateTime<Utc>,
}

/// A caller whose user may administer users.
pub struct Administrator(pub Bearer);

impl Deref for Administrator {
    type Target = Bearer;

    fn deref(&self) -> &Bearer {
        &self.0
    }
}

/// Whether a user may administer users.
#[must_use]
pub fn is_administrator(roles: &[Role]) -> bool {
    roles.iter().any(|role| matches!(role, Role::Admin | Role::Superuser))
}

impl FromRequestParts<Arc<App>> for Bearer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        identify(app, &parts.headers).await
    }
}

impl FromRequestParts<Arc<App>> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let bearer = identify(app, &parts.headers).await?;
        if is_administrator(&bearer.user.roles) { Ok(Self(bearer)) } else { Err(ApiError::NeedRole) }
    }
}

async fn identify(app: &App, headers: &HeaderMap) -> Result<Bearer, ApiError> {
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(strip_bearer);
    let claims = token.and_then(|token| app.tokens.verify(token)).ok_or(ApiError::InvalidToken)?;
    let id = |text: &str| text.parse::<Uuid>().map_err(|_| ApiError::InvalidToken);
    let (sub, sid) = (id(&claims.sub)?, id(&claims.sid)?);
    let read_at = now();
    let found = app.logins.find(sid).await?.filter(|(login, _)| login.user == sub);
    let (login, user) = found.ok_or(ApiError::InvalidToken)?;
    if !user.is_active {
        return Err(ApiError::UserInactive);
    }
    if !login.is_open(read_at) {
        return Err(ApiError::InvalidToken);
    }
    Ok(Bearer { user, login, read_at })
}
