//! The client address of a request, for limits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The origin of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The client's address. An IPv6 address is reduced to its /64, which belongs to one customer.
    pub address: IpAddr,
    /// A proxy that the settings do not know seems to be in front: the header is there although no proxy is trusted,
    /// and the peer is on this machine or in a private network. All of its clients then share this one address.
    pub is_unknown_proxy: bool,
}

/// The origin of a request: the address that the outermost of `hops` trusted proxies saw. The client may have forged
/// the entries before it in `X-Forwarded-For`.
#[must_use]
pub fn origin(peer: Option<IpAddr>, headers: &HeaderMap, hops: usize) -> Origin {
    // Without a peer's address (routes served without one), all clients count as one.
    let peer = peer.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)).to_canonical();
    let lists = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let forwarded: Vec<_> = lists.flat_map(|list| list.split(',')).map(str::trim).collect();
    let forwarded_for: Option<IpAddr> = match hops {
        0 => None,
        _ => forwarded.get(forwarded.len().saturating_sub(hops)).and_then(|text| text.parse().ok()),
    };
    Origin {
        address: network(forwarded_for.unwrap_or(peer)),
        is_unknown_proxy: hops == 0 && !forwarded.is_empty() && is_private(peer),
    }
}

/// An IPv4 address, or the /64 network of an IPv6 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

/// Whether the address is of this machine or of a private network.
fn is_private(address: IpAddr) -> bool {
    /// 100.64.0.0/10, between a carrier and its customers; clouds use it too.
    const SHARED: u32 = 0x6440_0000;
    match address {
        IpAddr::V4(four) => {
            four.is_loopback()
                || four.is_private()
                || four.is_link_local()
                || Ipv4Addr::to_bits(four) >> 22 == SHARED >> 22
        }
        IpAddr::V6(six) => {
            six.is_loopback() || six.is_unspecified() || six.is_unique_local() || six.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, forwarded: &[&str], hops: usize) -> Origin {
        let mut headers = HeaderMap::new();
        for list in forwarded {
            headers.append(X_FORWARDED_FOR, list.parse().unwrap());
        }
        origin(Some(peer.parse().unwrap()), &headers, hops)
    }

    fn seen(peer: &str, forwarded: &[&str], hops: usize) -> String {
        of(peer, forwarded, hops).address.to_string()
    }

    #[test]
    fn only_entries_of_trusted_proxies_count() {
        assert_eq!(seen("10.0.0.1", &["6.6.6.6"], 0), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, 7.7.7.7"], 1), "7.7.7.7");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6", "7.7.7.7,10.0.0.2"], 2), "7.7.7.7");
        assert_eq!(seen("10.0.0.1", &["7.7.7.7"], 2), "7.7.7.7");
        assert_eq!(seen("10.0.0.1", &[], 1), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["rubbish"], 1), "10.0.0.1");
    }

    #[test]
    fn all_addresses_of_a_network_count_as_one() {
        assert_eq!(seen("2001:db8:1:2:3:4:5:6", &[], 0), "2001:db8:1:2::");
        assert_eq!(seen("10.0.0.1", &["2001:db8:1:2:3:4:5:6"], 1), "2001:db8:1:2::");
        assert_eq!(seen("::ffff:7.7.7.7", &[], 0), "7.7.7.7");
        assert_eq!(origin(None, &HeaderMap::new(), 0).address.to_string(), "::");
    }

    #[test]
    fn an_unknown_proxy_is_noticed() {
        for near in
            ["127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "100.64.0.1", "100.127.0.1", "::1", "fd00::1"]
        {
            assert!(of(near, &["6.6.6.6"], 0).is_unknown_proxy, "{near}");
            assert!(!of(near, &["6.6.6.6"], 1).is_unknown_proxy && !of(near, &[], 0).is_unknown_proxy, "{near}");
        }
        for far in ["8.8.8.8", "100.128.0.1", "2001:db8::1"] {
            assert!(!of(far, &["6.6.6.6"], 0).is_unknown_proxy, "{far}");
        }
    }
}
