//! The `auth` payload of a CONNECT packet: the token, and what the client needs to continue where it was.
//!
//! `token`: with or without `Bearer ` in front; it takes precedence over the handshake's · `recover`: `true` asks for
//! offsets and for recovery · `pid` and `offset`: sent by a stock client that comes back, see [`Resume`]. A field of
//! another type counts as absent.

use jackfield_shared::verify::strip_bearer;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Most bytes of an offset that is read: more than any gateway sends.
const LONGEST_OFFSET: usize = 1_024;

/// See the module.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ConnectAuth {
    pub(super) token: Option<String>,
    /// The client asks for recovery.
    pub(super) recover: bool,
    pub(super) resume: Option<Resume>,
}

/// The knowledge of a client that was connected before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resume {
    /// The `pid` of its last CONNECT.
    pub(super) pid: String,
    /// The offset of the last event that it handled.
    pub(super) offset: String,
}

impl ConnectAuth {
    pub(super) fn parse(auth: Option<&str>) -> Self {
        #[derive(Deserialize, Default)]
        struct Fields<'a> {
            #[serde(borrow)]
            token: Option<&'a RawValue>,
            recover: Option<&'a RawValue>,
            pid: Option<&'a RawValue>,
            offset: Option<&'a RawValue>,
        }
        let fields: Fields<'_> = auth.and_then(|auth| serde_json::from_str(auth).ok()).unwrap_or_default();
        let token = fields.token.and_then(text).map(|token| strip_bearer(&token).to_owned());
        let resume = fields.pid.and_then(text).zip(fields.offset.and_then(text));
        Self {
            token: token.filter(|token| !token.is_empty()),
            recover: fields.recover.is_some_and(|recover| recover.get() == "true"),
            resume: resume
                .filter(|(_, offset)| offset.len() <= LONGEST_OFFSET)
                .map(|(pid, offset)| Resume { pid, offset }),
        }
    }
}

fn text(json: &RawValue) -> Option<String> {
    serde_json::from_str(json.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> ConnectAuth {
        ConnectAuth::parse(Some(json))
    }

    #[test]
    fn a_field_of_another_type_counts_as_absent() {
        assert_eq!(parse(r#"{"token":"Bearer t","name":"x"}"#).token.as_deref(), Some("t"));
        for odd in [r#"{"token":7}"#, "[]", "null", r#"{"token":""}"#, "{", r#"{"recover":1,"pid":{},"offset":[]}"#] {
            assert_eq!(parse(odd), ConnectAuth::default(), "{odd}");
        }
        assert_eq!(ConnectAuth::parse(None), ConnectAuth::default());
        let odd = parse(r#"{"pid":1,"offset":"o","token":"t","recover":"true"}"#);
        assert_eq!(odd, ConnectAuth { token: Some("t".into()), ..ConnectAuth::default() });
    }

    #[test]
    fn a_client_that_comes_back_sends_pid_and_offset() {
        let back = parse(r#"{"pid":"p","offset":"o","token":"t","recover":true}"#);
        assert!(back.recover);
        assert_eq!(back.resume, Some(Resume { pid: "p".into(), offset: "o".into() }));
        assert_eq!(parse(r#"{"pid":"p"}"#).resume, None);
        let long = "x".repeat(LONGEST_OFFSET + 1);
        assert_eq!(parse(&format!(r#"{{"pid":"p","offset":"{long}"}}"#)).resume, None);
    }
}
