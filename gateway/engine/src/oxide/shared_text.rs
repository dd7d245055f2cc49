//! A frame's text in the library's type, converted once for all sockets.

use std::sync::OnceLock;

use engineioxide_core::Str;

use crate::Frame;

/// See the module.
#[derive(Default)]
pub(crate) struct Shared(OnceLock<Str>);

impl Shared {
    /// The text of `frame`, the owner of this. The first call copies it, because the library's type cannot share the
    /// frame's bytes.
    pub(super) fn text(&self, frame: &Frame) -> Str {
        let text = || Str::copy_from_slice(std::str::from_utf8(frame.text()).unwrap_or_default());
        self.0.get_or_init(text).clone()
    }
}
