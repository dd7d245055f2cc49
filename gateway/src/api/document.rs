//! The OpenAPI document without the endpoints, which add themselves.

use jackfield_shared::error_body::ErrorBody;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Jackfield for backends",
        description = "Emit to users, rooms and everyone; send notifications; publish to feeds; read presence. Any \
                       node answers for the whole cluster. Every POST may carry an `Idempotency-Key`: calls with the \
                       same key within five minutes run once.",
    ),
    components(schemas(ErrorBody)),
    modifiers(&ApiKey),
)]
struct Description;

struct ApiKey;

impl Modify for ApiKey {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key")).build();
        document.components.get_or_insert_default().add_security_scheme("apiKey", SecurityScheme::Http(scheme));
    }
}

pub(super) fn document() -> Document {
    Description::openapi()
}
