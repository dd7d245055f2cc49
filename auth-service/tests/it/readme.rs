//! README's table of settings matches the code.

use jackfield_auth::AuthSettings;
use jackfield_shared::settings::markdown_table;

#[test]
fn readme_lists_the_settings() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let table = markdown_table::<AuthSettings>();
    let wanted = format!("<!-- settings:auth -->\n\n{table}\n<!-- /settings:auth -->");
    assert!(readme.contains(&wanted), "README.md: between the marks must stand\n\n{table}");
}
