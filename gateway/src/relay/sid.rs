//! The ids of connections with polling: `<tag of the node>.<random>.<MAC>`.
//!
//! Guarantees: an id that no node of the cluster made is recognised without asking anybody, so it costs no look-up and
//! reaches no other node; a node named by an id is one that made it. Comparisons take the same time for every wrong id.
//! Deliberately does not know where nodes are: addresses come from the membership only, never from an id.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use jackfield_cluster::membership::Secret;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// Random bytes of an id.
const RANDOM: usize = 15;
/// Bytes of an id's MAC.
const MAC: usize = 9;
/// Most characters of an id, so that a long text is not hashed.
const LONGEST: usize = 64;
/// The purposes of MACs, so that none can stand for another.
const OF_SID: &[u8] = b"sid";
const OF_PASS: &[u8] = b"pass";

/// The cluster's secret, ready for use.
pub(super) struct Key {
    pub(super) secret: Secret,
    mac: Hmac<Sha256>,
}

impl Key {
    pub(super) fn new(secret: Secret) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mac = Hmac::new_from_slice(secret.as_bytes()).expect("any length");
        Self { secret, mac }
    }

    /// A new id of the node with this tag.
    pub(super) fn sid(&self, tag: &str) -> Box<str> {
        let random = URL_SAFE_NO_PAD.encode(rand::random::<[u8; RANDOM]>());
        let named = format!("{tag}.{random}");
        let mac = self.mac(OF_SID, &named);
        format!("{named}.{mac}").into()
    }

    /// The tag of the node that made this id; `None` if no node with this key did.
    pub(super) fn tag<'a>(&self, sid: &'a str) -> Option<&'a str> {
        let (named, mac) = Some(sid).filter(|sid| sid.len() <= LONGEST)?.rsplit_once('.')?;
        let (tag, _) = named.rsplit_once('.')?;
        is_same(mac, &self.mac(OF_SID, named)).then_some(tag)
    }

    /// Shows the owner of a connection that a node of the cluster passes on a request for it.
    pub(super) fn pass(&self, sid: &str) -> String {
        self.mac(OF_PASS, sid)
    }

    pub(super) fn is_pass(&self, pass: &str, sid: &str) -> bool {
        sid.len() <= LONGEST && is_same(pass, &self.pass(sid))
    }

    fn mac(&self, purpose: &[u8], text: &str) -> String {
        let mac = self.mac.clone().chain_update(purpose).chain_update([0]).chain_update(text).finalize();
        URL_SAFE_NO_PAD.encode(&mac.into_bytes()[..MAC])
    }
}

fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> Key {
        Key::new(Secret::random())
    }

    #[test]
    fn an_id_names_its_node_and_is_safe_in_urls() {
        let key = key();
        let sid = key.sid("AbCd-_09");
        assert_eq!(key.tag(&sid), Some("AbCd-_09"));
        assert_eq!(sid.len(), 8 + 1 + 20 + 1 + 12);
        assert!(sid.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{sid}");
        assert_ne!(sid, key.sid("AbCd-_09"));
    }

    #[test]
    fn another_key_recognises_nothing() {
        let (key, other) = (key(), key());
        let sid = key.sid("nodenode");
        assert_eq!(other.tag(&sid), None);
        assert!(key.is_pass(&key.pass(&sid), &sid) && !other.is_pass(&key.pass(&sid), &sid));
    }

    #[test]
    fn the_mac_of_an_id_is_no_pass() {
        let key = key();
        let sid = key.sid("nodenode");
        let (named, mac) = sid.rsplit_once('.').unwrap();
        assert!(!key.is_pass(mac, named) && !key.is_pass(mac, &sid) && !key.is_pass("", &sid));
        assert!(!key.is_pass(&key.pass("other"), &sid));
    }

    proptest! {
        #[test]
        fn a_changed_id_is_not_genuine(at in 0usize..42, to in "[A-Za-z0-9._-]", tag in "[A-Za-z0-9_-]{8}") {
            let key = key();
            let sid = key.sid(&tag);
            let mut changed = sid.to_string();
            changed.replace_range(at..=at, &to);
            prop_assert_eq!(key.tag(&changed).is_some(), *changed == *sid);
        }

        #[test]
        fn a_shorter_or_longer_id_is_not_genuine(cut in 1usize..42, more in "[A-Za-z0-9._-]{1,80}") {
            let key = key();
            let sid = key.sid("nodenode");
            prop_assert_eq!(key.tag(&sid[..sid.len() - cut]), None);
            prop_assert_eq!(key.tag(&sid[cut..]), None);
            let with = [format!("{sid}{more}"), format!("{more}{sid}")];
            prop_assert!(with.iter().all(|sid| key.tag(sid).is_none()));
        }

        #[test]
        fn another_node_cannot_be_named(tag in "[a-z0-9.:/@\\[\\]-]{1,30}") {
            let key = key();
            let sid = key.sid("nodenode");
            let (_, rest) = sid.split_once('.').unwrap();
            let forged = format!("{tag}.{rest}");
            prop_assert_eq!(key.tag(&forged), None);
        }

        #[test]
        fn no_text_causes_a_panic(text: String) {
            let _ = key().tag(&text);
            let _ = key().is_pass(&text, &text);
        }
    }
}
