//! Signatures of calls, as Standard Webhooks prescribes: HMAC-SHA256 over `<id>.<timestamp>.<body>`. Pure.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// A secret, ready to sign.
pub(super) struct Key {
    bytes: Box<[u8]>,
    mac: Hmac<Sha256>,
}

impl Key {
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        Some(Self { bytes: bytes.into(), mac: Hmac::new_from_slice(bytes).ok()? })
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes.ct_eq(&other.bytes).into()
    }
}

/// One signature, as the header `webhook-signature` holds it. `timestamp` is in Unix seconds.
pub(super) fn signature(key: &Key, id: &str, timestamp: u64, body: &[u8]) -> String {
    let mut mac = key.mac.clone();
    mac.update(id.as_bytes());
    mac.update(format!(".{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected value is that of Node's own crypto:
    /// `createHmac("sha256", Buffer.from("MfKQ…", "base64")).update("msg_1.1614265330." + body).digest("base64")`
    #[test]
    fn a_signature_is_the_one_that_other_programs_make() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let key = Key::new(&secret).unwrap();
        let sign = |id: &str, at: u64, body: &str| signature(&key, id, at, body.as_bytes());
        let body = r#"{"test": 2432232314, "é": "👋"}"#;
        assert_eq!(sign("msg_1", 1_614_265_330, body), "v1,KK2ohv+VXyU0EwU9WzZV1+ShNWuNIuCHsTBy7BwNwCw=");
        for other in
            [sign("msg_2", 1_614_265_330, body), sign("msg_1", 1_614_265_331, body), sign("msg_1", 1_614_265_330, "{}")]
        {
            assert_ne!(other, sign("msg_1", 1_614_265_330, body));
        }
    }
}
