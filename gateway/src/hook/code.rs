//! The codes of errors that backends choose. Pure.

/// Most characters of a code.
const MAX_CODE: usize = 64;

/// Whether this is a code as the gateway's own: `^[a-z][a-z0-9_:.-]{0,63}$`.
pub(crate) fn is_code(code: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_:.-".contains(&byte);
    code.len() <= MAX_CODE && code.bytes().all(plain) && code.starts_with(|c: char| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_short_and_plain() {
        for good in ["a", "out_of_stock", "order:9.b-c", &"x".repeat(64)] {
            assert!(is_code(good), "{good}");
        }
        for bad in ["", "A", "9", "_a", "a b", "é", "a\n", &"x".repeat(65)] {
            assert!(!is_code(bad), "{bad}");
        }
    }
}
