//! The table of settings in the documentation is the one from the code.

#[path = "../../../deploy/standalone/tests/generated/mod.rs"]
mod generated;

use jackfield_auth::AuthSettings;
use jackfield_shared::settings::markdown_table;

#[test]
fn the_settings_are_documented() {
    generated::check("docs/configuration.md", "settings:auth", &markdown_table::<AuthSettings>());
}
