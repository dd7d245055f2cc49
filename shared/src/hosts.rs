//! Addresses that a service listens on, as settings write them.

use std::net::IpAddr;

/// Whether only this machine reaches a service that listens on `host`. A name other than `localhost` may stand for anything.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are_loopback() {
        for own in ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LocalHost", "::ffff:127.0.0.1"] {
            assert!(is_loopback(own), "{own}");
        }
        for others in ["0.0.0.0", "::", "10.0.0.1", "", "localhost.example.com", "127.0.0.1.nip.io"] {
            assert!(!is_loopback(others), "{others}");
        }
    }
}
