//! The engine that a gateway uses: one of two, behind the same interface.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Request, Response},
};
use jackfield_shared::lifecycle::Lifecycle;

use crate::{Accept, EngineLimits, Handshake, Permit, native, oxide};

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// [`crate::native`].
    Native,
    /// [`crate::oxide`].
    Oxide,
}

/// Speaks Engine.IO to clients. Cheap to clone.
pub enum Engine<P: Permit> {
    /// [`crate::native`].
    Native(native::Engine<P>),
    /// [`crate::oxide`].
    Oxide(oxide::Engine<P>),
}

impl<P: Permit> Engine<P> {
    /// An engine that passes new connections to `accept`.
    #[must_use]
    pub fn new(kind: EngineKind, accept: Arc<dyn Accept<P>>, limits: EngineLimits, lifecycle: Lifecycle) -> Self {
        match kind {
            EngineKind::Native => Self::Native(native::Engine::new(accept, limits, &lifecycle)),
            EngineKind::Oxide => Self::Oxide(oxide::Engine::new(accept, limits, lifecycle)),
        }
    }

    /// Answers a request. `handshake` was parsed from it, and admission gave it `permit`.
    pub async fn answer(self, request: Request<Body>, handshake: Handshake, permit: Option<P>) -> Response<Body> {
        match self {
            Self::Native(engine) => engine.answer(request, handshake, permit).await,
            Self::Oxide(engine) => engine.answer(request, handshake, permit).await,
        }
    }
}

// A derived one would require `P: Clone`, although no `P` is cloned.
impl<P: Permit> Clone for Engine<P> {
    fn clone(&self) -> Self {
        match self {
            Self::Native(engine) => Self::Native(engine.clone()),
            Self::Oxide(engine) => Self::Oxide(engine.clone()),
        }
    }
}
