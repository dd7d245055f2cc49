//! The ids that nodes exchange, each a type of its own, so that the compiler finds a mix-up.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Arc<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// One process of the gateway, from its start to its end. Letters, digits, `_`, `-` and `.`.
    NodeId
);
id!(
    /// One unbroken lease of a node: `<node id>:<random>`. A node that lost its lease continues under a new one.
    Incarnation
);
id!(
    /// One Engine.IO connection, whichever namespaces it is in.
    SessionId
);

/// Characters of [`NodeId::tag`].
const TAG: usize = 8;

impl NodeId {
    /// The last characters of the id, which are random: short, and different for every node of a cluster.
    #[must_use]
    pub fn tag(&self) -> &str {
        // An id has only ASCII characters; another one is its own tag.
        self.0.get(self.0.len().saturating_sub(TAG)..).unwrap_or(&self.0)
    }
}

impl Incarnation {
    /// The first or next incarnation of `node`.
    #[must_use]
    pub fn new(node: &NodeId) -> Self {
        Self(format!("{node}:{}", random_id()).into())
    }

    /// The node whose lease this is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        NodeId(self.0.split(':').next().unwrap_or_default().into())
    }
}

impl SessionId {
    /// A new session's id.
    #[must_use]
    pub fn random() -> Self {
        Self(random_id().into())
    }
}

/// 20 characters of 120 random bits, safe in URLs, keys and channels.
#[must_use]
pub fn random_id() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 15]>())
}

/// One user's session, as the ports take it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionRef {
    /// The user.
    pub user: Arc<str>,
    /// The session.
    pub session: SessionId,
}
