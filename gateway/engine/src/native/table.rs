//! The connections with polling, by the ids that their requests carry.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;

use super::wire::Wire;

/// An id: 20 characters. Its random bits are all that protects a polling session.
pub(super) type Sid = Box<str>;

/// Bytes of an id, all of them random.
const RANDOM: usize = 15;
/// Characters of an id, each of which holds 6 bits.
const LENGTH: usize = RANDOM / 3 * 4;

/// See the module.
#[derive(Default)]
pub(super) struct Table(Mutex<HashMap<Sid, Arc<Wire>>>);

impl Table {
    pub(super) fn insert(&self, sid: Sid, wire: &Arc<Wire>) {
        self.0.lock().insert(sid, Arc::clone(wire));
    }

    pub(super) fn get(&self, sid: &str) -> Option<Arc<Wire>> {
        self.0.lock().get(sid).cloned()
    }

    pub(super) fn remove(&self, sid: &str) {
        self.0.lock().remove(sid);
    }
}

/// Whether this could be an id of a connection that has ended, or no longer polls.
pub(super) fn is_sid(sid: &str) -> bool {
    sid.len() == LENGTH
}

/// A new id.
pub(super) fn new_sid() -> Sid {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; RANDOM]>()).into()
}
