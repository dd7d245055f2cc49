//! Where a request comes from, for limits.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderName, request::Parts},
};

use crate::app::App;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address. One of version 6 stands for its whole /64, which is one customer's.
pub struct ClientAddress(pub IpAddr);

impl FromRequestParts<Arc<App>> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        let forwarded = parts.headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let forwarded: Vec<_> = forwarded.flat_map(|list| list.split(',')).map(str::trim).collect();
        Ok(Self(client(peer, &forwarded, app.proxy_hops)))
    }
}

/// The address that the outermost of `hops` trusted proxies saw. What stands before it the client may have made up.
fn client(peer: Option<IpAddr>, forwarded: &[&str], hops: usize) -> IpAddr {
    // Whoever serves the routes without saying who asks has all clients counted as one.
    let peer = peer.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let seen = match hops {
        0 => None,
        _ => forwarded.get(forwarded.len().saturating_sub(hops)).and_then(|text| text.parse().ok()),
    };
    match seen.unwrap_or(peer).to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], hops: usize) -> String {
        client(Some(peer.parse().unwrap()), forwarded, hops).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        assert_eq!(seen("10.0.0.1", &["6.6.6.6"], 0), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6", "7.7.7.7"], 1), "7.7.7.7");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6", "7.7.7.7", "10.0.0.2"], 2), "7.7.7.7");
        assert_eq!(seen("10.0.0.1", &["7.7.7.7"], 2), "7.7.7.7");
        assert_eq!(seen("10.0.0.1", &[], 1), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["rubbish"], 1), "10.0.0.1");
    }

    #[test]
    fn one_customer_is_one_address() {
        assert_eq!(seen("2001:db8:1:2:3:4:5:6", &[], 0), "2001:db8:1:2::");
        assert_eq!(seen("::ffff:7.7.7.7", &[], 0), "7.7.7.7");
        assert_eq!(client(None, &[], 0).to_string(), "::");
    }
}
