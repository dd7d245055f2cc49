//! The acknowledgement of events that return no data.

use serde::Serialize;

/// `{status:"ok"}`, for acknowledgements without further data.
#[derive(Serialize)]
pub(super) struct Done {
    status: &'static str,
}

pub(super) const DONE: Done = Done { status: "ok" };
