//! Declares settings: [`settings!`](crate::settings!) makes a struct of each group, with the defaults and the help texts
//! beside the fields.

use serde::{Serialize, de::DeserializeOwned};

/// One row of the documented table.
pub struct Setting {
    /// `session.onConflict`.
    pub key: String,
    /// Its effect, with its unit.
    pub doc: String,
}

/// A group of settings, or all of a program: [`settings!`](crate::settings!) implements it.
pub trait Settings: Serialize + DeserializeOwned + Default {
    /// Adds a row for each setting, in the order of the documentation. Keys begin with `prefix`.
    fn list(prefix: &str, rows: &mut Vec<Setting>);
}

/// A row for each setting of a program.
#[must_use]
pub fn list<S: Settings>() -> Vec<Setting> {
    let mut rows = Vec::new();
    S::list("", &mut rows);
    rows
}

/// For [`settings!`](crate::settings!): the row of a field.
#[doc(hidden)]
#[must_use]
pub fn row(prefix: &str, field: &str, doc: &[&str]) -> Setting {
    let doc: Vec<&str> = doc.iter().map(|line| line.trim()).collect();
    Setting { key: format!("{prefix}{}", camel_case(field)), doc: doc.join(" ").trim_end_matches('.').to_owned() }
}

/// `on_conflict` → `onConflict`, as serde does.
#[must_use]
pub fn camel_case(field: &str) -> String {
    let mut words = field.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |key, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        key + &initial.to_ascii_uppercase() + rest
    })
}

/// Declares groups of settings. A field's doc comment is its help text; its key is its name in camelCase, after the key
/// of its group. `groups` are other structs that this macro made, and come last.
///
/// ```
/// jackfield_shared::settings! {
///     /// All settings.
///     pub struct All {
///         /// The port.
///         port: u16 = 80,
///         groups { cors: Cors }
///     }
///     /// `cors.…`
///     pub struct Cors {
///         /// Origins that may connect.
///         origins: Vec<String> = Vec::new(),
///     }
/// }
/// let keys: Vec<String> = jackfield_shared::settings::list::<All>().into_iter().map(|row| row.key).collect();
/// assert_eq!(keys, ["port", "cors.origins"]);
/// ```
#[macro_export]
macro_rules! settings {
    ($(
        #[doc = $about:literal]
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $(#[serde($serde:meta)])?
                $field:ident: $kind:ty = $default:expr,
            )*
            $(groups { $($group:ident: $inner:ty),* $(,)? })?
        }
    )*) => {$(
        #[doc = $about]
        #[derive(Debug, Clone, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[doc = $doc])+
                $(#[serde($serde)])?
                pub $field: $kind,
            )*
            $($(
                #[doc = concat!("`", stringify!($group), ".…`")]
                pub $group: $inner,
            )*)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* $($($group: Default::default(),)*)? }
            }
        }

        impl $crate::settings::Settings for $name {
            fn list(prefix: &str, rows: &mut Vec<$crate::settings::Setting>) {
                $(rows.push($crate::settings::row(prefix, stringify!($field), &[$($doc),+]));)*
                $($(<$inner as $crate::settings::Settings>::list(concat!(stringify!($group), "."), rows);)*)?
            }
        }
    )*};
}
