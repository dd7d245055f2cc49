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
};
use crate::node::Node;

/// A scope as a type, so that an endpoint's arguments name the scope that it needs.
pub trait Needs: Send {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! needs {
    ($($name:ident),*) => {
        $(
            /// See [`Scope`].
            pub struct $name;
            impl Needs for $name {
                const SCOPE: Scope = Scope::$name;
            }
        )*
    };
}
needs!(Emit, Notify, Read, Disconnect, Publish);

/// A caller whose key has the scope `N`.
pub struct Caller<N: Needs>(PhantomData<N>);

impl<N: Needs> FromRequestParts<Arc<Node>> for Caller<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, ApiError> {
        match of(&parts.headers, node) {
            None => Err(ApiError::InvalidKey),
            Some(key) if !key.may(N::SCOPE) => Err(ApiError::NeedScope(N::SCOPE)),
            Some(_) => Ok(Self(PhantomData)),
        }
    }
}

/// The configured key that a request came with, if any.
pub fn of<'a>(headers: &HeaderMap, node: &'a Node) -> Option<&'a ApiKey> {
    let given = headers.get(AUTHORIZATION)?.to_str().ok()?;
    node.api_keys.find(strip_bearer(given))
}
