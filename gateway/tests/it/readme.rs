//! README's table of settings is the one from the code.

use jackfield_gateway::settings::GatewaySettings;
use jackfield_shared::settings::markdown_table;

#[test]
fn readme_lists_the_settings() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let table = markdown_table::<GatewaySettings>();
    let wanted = format!("<!-- settings:gateway -->\n\n{table}\n<!-- /settings:gateway -->");
    assert!(readme.contains(&wanted), "README.md: between the marks must stand\n\n{table}");
}
