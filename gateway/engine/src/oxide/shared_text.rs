//! A frame's text in the library's form, made once for all of its sockets.

use std::sync::OnceLock;

use engineioxide_core::Str;

use crate::Frame;

/// See the module.
#[derive(Default)]
pub(crate) struct Shared(OnceLock<Str>);

impl Shared {
    /// The text of `frame`, which this belongs to. The library's type cannot share the frame's bytes, so the first call
    /// copies them.
    pub(super) fn text(&self, frame: &Frame) -> Str {
        let text = || Str::copy_from_slice(std::str::from_utf8(frame.text()).unwrap_or_default());
        self.0.get_or_init(text).clone()
    }
}
