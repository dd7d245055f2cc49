//! A service's OpenAPI document, made from its endpoints' own annotations, and Swagger UI for it, from its crate.

use std::sync::Arc;

use axum::{
    Json, Router,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use utoipa::openapi::OpenApi as Document;
use utoipa_swagger_ui::{Config, serve};

use super::layers::for_status;

/// The files that Swagger UI's page requests.
const FILES: [&str; 7] = [
    "swagger-ui.css",
    "index.css",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-initializer.js",
    "favicon-16x16.png",
    "favicon-32x32.png",
];

/// Serves the page at `base`, its files below it, and the document at `base/openapi.json`.
pub fn router(base: &'static str, document: &Document) -> Router {
    let at = format!("{base}/openapi.json");
    // By default the page would send the document's address to a validator on the internet.
    let config = Arc::new(Config::from(at.clone()).validator_url("none"));
    let document = Json(document.clone());
    let routes = Router::new().route(&at, get(move || async move { document }));
    let page = [(base.to_owned(), "index.html"), (format!("{base}/"), "index.html")];
    let files = FILES.map(|name| (format!("{base}/{name}"), name));
    page.into_iter().chain(files).fold(routes, |routes, (path, name)| {
        let config = Arc::clone(&config);
        routes.route(&path, get(move || async move { file(base, name, config) }))
    })
}

fn file(base: &str, name: &str, config: Arc<Config<'static>>) -> Response {
    match serve(name, config) {
        Ok(Some(file)) => {
            // The page's links are relative to its folder, but it is also served without the slash at the end.
            let bytes = match (name, std::str::from_utf8(&file.bytes)) {
                ("index.html", Ok(page)) => {
                    page.replacen("<head>", &format!("<head>\n    <base href=\"{base}/\">"), 1).into_bytes()
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
        let config = Arc::new(Config::from("/api/openapi.json"));
        for name in FILES.iter().chain(&["index.html"]) {
            assert_eq!(file("/api", name, Arc::clone(&config)).status(), StatusCode::OK, "{name}");
        }
    }
}
