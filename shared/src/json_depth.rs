//! The depth of nested JSON, from its text.

/// Most levels of data that is passed on. Clients' JSON libraries refuse far deeper data.
pub const MAX_DEPTH: usize = 64;

/// Whether well-formed JSON has objects and arrays within each other more than `most` levels deep.
#[must_use]
pub fn is_deeper(json: &[u8], most: usize) -> bool {
    let (mut depth, mut in_text, mut is_escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' if depth == most => return true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn brackets_in_text_do_not_count() {
        assert!(!is_deeper(br#"["[[[[", "\"[[[[", "\\\\"]"#, 1));
        assert!(is_deeper(br#"["\\",[]]"#, 1));
        assert!(!is_deeper(b"1", 0) && is_deeper(b"{}", 0));
        let deep = "[".repeat(8_000) + &"]".repeat(8_000);
        assert!(is_deeper(deep.as_bytes(), MAX_DEPTH));
    }

    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(json!(null)), Just(json!(1.5)), any::<String>().prop_map(Value::from)];
        leaf.prop_recursive(8, 64, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_the_depth_of_the_tree(value in any_json()) {
            let (text, depth) = (value.to_string(), depth(&value));
            prop_assert!(!is_deeper(text.as_bytes(), depth));
            prop_assert!(depth == 0 || is_deeper(text.as_bytes(), depth - 1));
        }
    }
}
