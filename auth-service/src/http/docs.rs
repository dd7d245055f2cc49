//! GET `/api/openapi.json`, made from the endpoints' own annotations, and GET `/api`: Swagger UI, from its crate.

use std::sync::Arc;

use axum::{
    Json, Router,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::{
        OpenApi as Document,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_swagger_ui::{Config, serve};

use super::layers::for_status;

const DOCUMENT: &str = "/api/openapi.json";
/// The files that Swagger UI's page asks for.
const FILES: [&str; 7] = [
    "swagger-ui.css",
    "index.css",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-initializer.js",
    "favicon-16x16.png",
    "favicon-32x32.png",
];

/// Every error's body.
#[derive(ToSchema)]
#[schema(as = Error, rename_all = "camelCase")]
#[expect(dead_code, reason = "a description; the body itself is jackfield_shared's")]
pub struct ErrorDoc {
    /// The HTTP status, repeated.
    #[schema(example = 400)]
    status_code: u16,
    /// The status's standard phrase.
    #[schema(example = "Bad Request")]
    error: String,
    /// Stable, for programs.
    #[schema(example = "validation_failed")]
    code: String,
    /// For people: a list for validation errors, one sentence otherwise.
    #[schema(value_type = Object, example = json!(["email must be an email"]))]
    message: (),
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Jackfield accounts", description = "Registration, sign-in and tokens for the Socket.IO gateways"),
    components(schemas(ErrorDoc)),
    modifiers(&Bearer),
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The document without the endpoints, which add themselves.
pub(super) fn document() -> Document {
    Description::openapi()
}

/// The page, its files, and the finished document.
pub(super) fn router(document: &Document) -> Router {
    // Without a validator's address the page would show the document to one on the internet.
    let config = Arc::new(Config::from(DOCUMENT).validator_url("none"));
    let document = Json(document.clone());
    let page = {
        let config = Arc::clone(&config);
        move || async move { file("index.html", config) }
    };
    let routes = Router::new()
        .route("/api", get(page.clone()))
        .route("/api/", get(page))
        .route(DOCUMENT, get(move || async move { document }));
    FILES.iter().fold(routes, |routes, name| {
        let config = Arc::clone(&config);
        routes.route(&format!("/api/{name}"), get(move || async move { file(name, config) }))
    })
}

fn file(name: &str, config: Arc<Config<'static>>) -> Response {
    match serve(name, config) {
        Ok(Some(file)) => {
            // The page's links are relative to a folder, and it is served as one file beside that.
            let bytes = match (name, std::str::from_utf8(&file.bytes)) {
                ("index.html", Ok(page)) => {
                    page.replacen("<head>", "<head>\n    <base href=\"/api/\">", 1).into_bytes()
                }
                _ => file.bytes.into_owned(),
            };
            ([(CONTENT_TYPE, file.content_type)], bytes).into_response()
        }
        _ => for_status(StatusCode::NOT_FOUND).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_there() {
        let config = Arc::new(Config::from(DOCUMENT));
        for name in FILES.iter().chain(&["index.html"]) {
            assert_eq!(file(name, Arc::clone(&config)).status(), StatusCode::OK, "{name}");
        }
    }
}
