//! The receivers of an emission, as backends name them, checked.

use std::sync::Arc;

use jackfield_cluster::{ids::SocketId, room_name::RoomName, wire::Target};
use serde::Deserialize;
use utoipa::{
    ToSchema,
    openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, Type},
};

use super::names::{check_user, check_users, namespace_of, room, user_ids};

/// Most entries of `except`.
const MAX_EXCEPT: usize = 100;

/// Receivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum To {
    /// All sockets of these users, in every namespace. Those who are away get it when they are recovered.
    Users(Vec<Arc<str>>),
    /// The members of a room.
    Room(RoomName),
    /// All sockets in a namespace.
    Everyone(Arc<str>),
    /// One socket in a namespace.
    Socket(SocketId, Arc<str>),
}

/// Exactly one of `user`, `users`, `room`, `everyone`, `socket`; `namespace` goes with the last three, and `except` with
/// all but the last.
#[derive(Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "to must be {user}, {users}, {room, namespace?}, {everyone: true, namespace?} or {socket, namespace?}, \
                 and may have except beside the first four"
)]
#[schema(as = To)]
pub(crate) enum ToRequest {
    User(ToUser),
    Users(ToUsers),
    Room(ToRoom),
    Everyone(ToEveryone),
    Socket(ToSocket),
}

/// All sockets of one user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToUser {
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    user: Arc<str>,
    /// These do not get it: ids of sockets, `user:<id>`, names of rooms.
    #[serde(default)]
    #[schema(schema_with = excepted)]
    except: Vec<String>,
}

/// All sockets of these users.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToUsers {
    #[schema(schema_with = user_ids)]
    users: Vec<Arc<str>>,
    /// These do not get it: ids of sockets, `user:<id>`, names of rooms.
    #[serde(default)]
    #[schema(schema_with = excepted)]
    except: Vec<String>,
}

/// The members of a room.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToRoom {
    #[schema(pattern = "^(?!user:)[A-Za-z0-9_.:-]{1,64}$")]
    room: String,
    /// `/` if omitted.
    #[schema(pattern = "^/(chat)?$")]
    namespace: Option<String>,
    /// These do not get it: ids of sockets, `user:<id>`, names of rooms.
    #[serde(default)]
    #[schema(schema_with = excepted)]
    except: Vec<String>,
}

/// All sockets in a namespace.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToEveryone {
    /// Always `true`.
    #[schema(schema_with = only_true)]
    everyone: bool,
    /// `/` if omitted.
    #[schema(pattern = "^/(chat)?$")]
    namespace: Option<String>,
    /// These do not get it: ids of sockets, `user:<id>`, names of rooms.
    #[serde(default)]
    #[schema(schema_with = excepted)]
    except: Vec<String>,
}

/// One socket.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToSocket {
    /// Its public id: `socket.id` on the client.
    #[schema(pattern = "^[A-Za-z0-9_-]{20}$")]
    socket: String,
    /// `/` if omitted.
    #[schema(pattern = "^/(chat)?$")]
    namespace: Option<String>,
}

fn only_true() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true])).build()
}

fn excepted() -> Array {
    let name = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^(user:[\\s\\S]{1,128}|(?!user:)[A-Za-z0-9_.:-]{1,64})$"));
    ArrayBuilder::new()
        .items(name)
        .max_items(Some(MAX_EXCEPT))
        .description(Some("These do not get it: ids of sockets, `user:<id>`, names of rooms."))
        .build()
}

impl ToRequest {
    /// The receivers, and the sockets that are excepted. `default` is the namespace where none is given.
    ///
    /// # Errors
    /// One sentence that names the field.
    pub(crate) fn check(self, default: &str) -> Result<(To, Vec<Target>), String> {
        let namespace_or_default = |given: Option<&str>| namespace_of(given.or(Some(default)));
        let (to, except) = match self {
            Self::User(ToUser { user, except }) => {
                check_user("to.user", &user)?;
                (To::Users(vec![user]), except)
            }
            Self::Users(ToUsers { users, except }) => (To::Users(check_users("to.users", users)?), except),
            Self::Room(ToRoom { room: name, namespace, except }) => {
                (To::Room(room(namespace.as_deref().or(Some(default)), &name)?), except)
            }
            Self::Everyone(ToEveryone { everyone: true, namespace, except }) => {
                (To::Everyone(namespace_or_default(namespace.as_deref())?.into()), except)
            }
            Self::Everyone(ToEveryone { everyone: false, .. }) => return Err("to.everyone must be true".to_owned()),
            Self::Socket(ToSocket { socket, namespace }) => {
                let id = socket_id("to.socket", &socket)?;
                (To::Socket(id, namespace_or_default(namespace.as_deref())?.into()), Vec::new())
            }
        };
        Ok((to, check_except(&except)?))
    }
}

/// The id of a socket; an error names `field`.
pub(crate) fn socket_id(field: &str, text: &str) -> Result<SocketId, String> {
    SocketId::parse(text).ok_or_else(|| format!("{field} must be the id of a socket: 20 letters, digits, _ or -"))
}

fn check_except(names: &[String]) -> Result<Vec<Target>, String> {
    if names.len() > MAX_EXCEPT {
        return Err(format!("at most {MAX_EXCEPT} entries in to.except"));
    }
    let mut all = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let wrong = |_| {
            format!("to.except[{index}] must be the id of a socket, user:<id> of 1 to 128 characters, or a room's name")
        };
        match Target::receiver(name) {
            Target::User(user) => check_user("", &user).map_err(wrong)?,
            Target::Socket(_) => {}
            Target::Room(name) => drop(room(None, &name).map_err(wrong)?),
        }
        all.extend(Target::excepted(name));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::session::MAIN;

    fn check(to: Value) -> Result<(To, Vec<Target>), String> {
        serde_json::from_value::<ToRequest>(to).map_err(|error| error.to_string())?.check(MAIN)
    }

    #[test]
    fn receivers_are_checked() {
        let id = SocketId::random();
        let room = RoomName::parse(&"/chat".into(), "r").unwrap();
        for (to, expected) in [
            (json!({ "user": "u" }), To::Users(vec!["u".into()])),
            (json!({ "users": ["u", "v", "u"] }), To::Users(vec!["u".into(), "v".into()])),
            (json!({ "room": "r", "namespace": "/chat" }), To::Room(room)),
            (json!({ "everyone": true }), To::Everyone("/".into())),
            (json!({ "socket": id.to_string(), "namespace": "/chat" }), To::Socket(id, "/chat".into())),
        ] {
            assert_eq!(check(to), Ok((expected, vec![])));
        }
        for wrong in [
            json!({}),
            json!({ "user": "" }),
            json!({ "users": [] }),
            json!({ "user": "u", "namespace": "/" }),
            json!({ "room": "user:1" }),
            json!({ "room": "r", "namespace": "/other" }),
            json!({ "everyone": false }),
            json!({ "socket": "short" }),
            json!({ "socket": id.to_string(), "except": [] }),
            json!({ "everyone": true, "except": ["a b"] }),
            json!({ "everyone": true, "except": ["user:"] }),
            json!({ "everyone": true, "except": vec!["r"; 101] }),
        ] {
            assert!(check(wrong.clone()).is_err(), "{wrong}");
        }
        let except = check(json!({ "user": "u", "except": ["r", "user:v w"] })).unwrap().1;
        assert_eq!(except, [Target::Room("r".into()), Target::User("v w".into())]);
    }

    proptest! {
        #[test]
        fn any_names_are_checked_without_panic(names in prop::collection::vec("\\PC{0,70}", 0..4)) {
            if let Ok(except) = check_except(&names) {
                prop_assert!(except.len() >= names.len());
            }
        }
    }
}
