//! The caller: the API key in `Authorization`, and whether it has the scope for the call.

use std::{marker::PhantomData, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
};
use jackfield_shared::verify::strip_bearer;

use super::{
    error::ApiError,
    keys::{ApiKey, Scope},
    state::Api,
};

/// A scope as a type, so that an endpoint's arguments name the scope that it needs.
pub(crate) trait Needs: Send {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! needs {
    ($($name:ident),*) => {
        $(
            /// See [`Scope`].
            pub(crate) struct $name;
            impl Needs for $name {
                const SCOPE: Scope = Scope::$name;
            }
        )*
    };
}
needs!(Emit, Notify, Read, Disconnect, Publish, Rooms, Hooks);

/// A caller whose key has the scope `N`.
pub(crate) struct Caller<N: Needs>(PhantomData<N>);

impl<N: Needs> FromRequestParts<Arc<Api>> for Caller<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        match key_of(&parts.headers, api) {
            None => Err(ApiError::InvalidKey),
            Some(key) if !key.may(N::SCOPE) => Err(ApiError::NeedScope(N::SCOPE)),
            Some(_) => Ok(Self(PhantomData)),
        }
    }
}

/// A caller with a valid key, whichever scopes it has.
pub(crate) struct AnyCaller;

impl FromRequestParts<Arc<Api>> for AnyCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        key_of(&parts.headers, api).map(|_| Self).ok_or(ApiError::InvalidKey)
    }
}

/// The configured key that a request contains, if any.
pub(crate) fn key_of<'a>(headers: &HeaderMap, api: &'a Api) -> Option<&'a ApiKey> {
    let given = headers.get(AUTHORIZATION)?.to_str().ok()?;
    api.keys.find(strip_bearer(given))
}
