//! The address of a request's client, for limits.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Once},
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::request::Parts,
};
use jackfield_shared::http::client_address::origin;

use crate::app::App;

/// The client's address. An IPv6 address counts as its whole /64, which belongs to one customer.
pub struct ClientAddress(pub IpAddr);

impl FromRequestParts<Arc<App>> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        let origin = origin(peer, &parts.headers, app.proxy_hops);
        if origin.is_unknown_proxy {
            static HINT: Once = Once::new();
            HINT.call_once(|| {
                tracing::warn!(
                    proxy = %origin.address,
                    "a proxy sends X-Forwarded-For, but `proxy.hops` (PROXY_HOPS) is 0: all of its clients share the \
                     limits of one address; set it to the number of proxies in front"
                );
            });
        }
        Ok(Self(origin.address))
    }
}
