//! The updates that subscribers get, as JSON text. Pure but for the clock.

use jackfield_shared::time::now_rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Text that subscribers get with the data of an `updateProduct`.
const UPDATED: &str = "Se ha actualizado un producto";

/// The kind of change that a backend's update reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Change {
    /// It was created.
    Create,
    /// It was changed.
    Update,
    /// It was deleted.
    Delete,
}

/// `{entity, type, data, createdAt}`; `None` if `data` cannot be JSON.
pub(super) fn of_backend<T: Serialize + ?Sized>(entity: &str, change: Change, data: &T) -> Option<String> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Update<'a, T: ?Sized> {
        entity: &'a str,
        r#type: Change,
        data: &'a T,
        created_at: &'a str,
    }
    serde_json::to_string(&Update { entity, r#type: change, data, created_at: &now_rfc3339() }).ok()
}

/// `{message, data}`; `None` if `data` cannot be JSON.
pub(super) fn of_subscriber(data: &RawValue) -> Option<String> {
    #[derive(Serialize)]
    struct Update<'a> {
        message: &'a str,
        data: &'a RawValue,
    }
    serde_json::to_string(&Update { message: UPDATED, data }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn updates_have_the_fields_of_the_protocol() {
        let read = |json: Option<String>| serde_json::from_str::<Value>(&json.unwrap()).unwrap();
        let mut update = read(of_backend("PRODUCTOS", Change::Create, &json!({ "id": 1 })));
        let created_at = update["createdAt"].take();
        let expected = json!({ "entity": "PRODUCTOS", "type": "CREATE", "data": { "id": 1 }, "createdAt": null });
        assert_eq!(update, expected);
        assert!(created_at.as_str().is_some_and(|at| at.len() == "2026-01-01T00:00:00.000Z".len()));
        let data: &RawValue = serde_json::from_str("[1, 12345678901234567890123]").unwrap();
        let text = of_subscriber(data).unwrap();
        assert_eq!(text, r#"{"message":"Se ha actualizado un producto","data":[1, 12345678901234567890123]}"#);
    }
}
